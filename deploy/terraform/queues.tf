# The visibility timeout is six times track's timeout, as Lambda asks for.
resource "aws_sqs_queue" "events" {
  count = contains(local.roles, "track") ? 1 : 0

  name                       = "${var.name}-event-queue"
  visibility_timeout_seconds = 6 * local.sizes.track.timeout
  message_retention_seconds  = 4 * 24 * 3600
  sqs_managed_sse_enabled    = var.kms_key_arn == null ? true : null
  kms_master_key_id          = var.kms_key_arn

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters[0].arn
    maxReceiveCount     = 5
  })
}

resource "aws_sqs_queue" "dead_letters" {
  count = length(setintersection(local.roles, ["track", "pump", "sequence"])) > 0 ? 1 : 0

  name                      = "${var.name}-dead-letters"
  message_retention_seconds = 14 * 24 * 3600
  sqs_managed_sse_enabled   = var.kms_key_arn == null ? true : null
  kms_master_key_id         = var.kms_key_arn
}

resource "aws_sqs_queue_redrive_allow_policy" "dead_letters" {
  count = contains(local.roles, "track") ? 1 : 0

  queue_url = aws_sqs_queue.dead_letters[0].url
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.events[0].arn]
  })
}
