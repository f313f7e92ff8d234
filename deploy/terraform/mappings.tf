locals {
  wakers = setintersection(local.roles, ["write", "react"])
}

# A trigger that a role is not allowed to read can't be made, so each waits for
# its role's policy.

resource "aws_lambda_event_source_mapping" "track" {
  count = contains(local.roles, "track") ? 1 : 0

  function_name                      = aws_lambda_function.role["track"].arn
  event_source_arn                   = aws_sqs_queue.events[0].arn
  batch_size                         = 1000
  maximum_batching_window_in_seconds = 1
  function_response_types            = ["ReportBatchItemFailures"]

  depends_on = [aws_iam_role_policy.role]
}

# What fails for another reason than its message can be mended within the age.
resource "aws_lambda_event_source_mapping" "pump" {
  count = contains(local.roles, "pump") ? 1 : 0

  function_name                      = aws_lambda_function.role["pump"].arn
  event_source_arn                   = aws_kinesis_stream.ingest[0].arn
  starting_position                  = "TRIM_HORIZON"
  batch_size                         = 1000
  maximum_batching_window_in_seconds = 1
  parallelization_factor             = 1
  bisect_batch_on_function_error     = true
  maximum_retry_attempts             = -1
  maximum_record_age_in_seconds      = var.max_record_age_seconds
  function_response_types            = ["ReportBatchItemFailures"]

  destination_config {
    on_failure {
      destination_arn = aws_sqs_queue.dead_letters[0].arn
    }
  }

  depends_on = [aws_iam_role_policy.role]
}

# No commit may be left out of the log, so that nothing is given up or skipped. A
# record that is no insertion tells of somebody who has changed or removed events.
resource "aws_lambda_event_source_mapping" "sequence" {
  count = contains(local.roles, "sequence") ? 1 : 0

  function_name                      = aws_lambda_function.role["sequence"].arn
  event_source_arn                   = aws_dynamodb_table.events.stream_arn
  starting_position                  = "TRIM_HORIZON"
  batch_size                         = 1000
  maximum_batching_window_in_seconds = 0
  parallelization_factor             = 1
  bisect_batch_on_function_error     = false
  maximum_retry_attempts             = -1
  maximum_record_age_in_seconds      = -1
  function_response_types            = ["ReportBatchItemFailures"]

  destination_config {
    on_failure {
      destination_arn = aws_sqs_queue.dead_letters[0].arn
    }
  }

  depends_on = [aws_iam_role_policy.role]
}

# A wake-up is only worth something while it is fresh: the next one does as well.
resource "aws_lambda_event_source_mapping" "wakes" {
  for_each = local.wakers

  function_name                      = aws_lambda_function.role[each.key].arn
  event_source_arn                   = aws_dynamodb_table.log.stream_arn
  starting_position                  = "TRIM_HORIZON"
  batch_size                         = 1000
  maximum_batching_window_in_seconds = 0
  parallelization_factor             = 1
  bisect_batch_on_function_error     = false
  maximum_retry_attempts             = -1
  maximum_record_age_in_seconds      = 3600
  function_response_types            = ["ReportBatchItemFailures"]

  filter_criteria {
    filter {
      pattern = jsonencode({ eventName = ["INSERT"], dynamodb = { Keys = { key = { S = ["log"] } } } })
    }
  }

  depends_on = [aws_iam_role_policy.role]
}

resource "aws_lambda_event_source_mapping" "playback" {
  count = length(setintersection(local.roles, ["write", "playback"])) == 2 ? 1 : 0

  function_name                      = aws_lambda_function.role["write"].arn
  event_source_arn                   = aws_kinesis_stream.playback[0].arn
  starting_position                  = "LATEST"
  batch_size                         = 1000
  maximum_batching_window_in_seconds = 1
  parallelization_factor             = 1
  bisect_batch_on_function_error     = false
  maximum_retry_attempts             = -1
  maximum_record_age_in_seconds      = 3600
  function_response_types            = ["ReportBatchItemFailures"]

  depends_on = [aws_iam_role_policy.role]
}

# What was left unfinished goes on, and the timeouts of sagas fire, where nothing
# else wakes the functions.
resource "aws_cloudwatch_event_rule" "tick" {
  count = length(local.wakers) > 0 ? 1 : 0

  name                = "${var.name}-tick"
  description         = "Annals: what was left unfinished goes on, and the timeouts of sagas fire"
  schedule_expression = "rate(1 minute)"
}

resource "aws_cloudwatch_event_target" "tick" {
  for_each = local.wakers

  target_id = each.key
  rule      = aws_cloudwatch_event_rule.tick[0].name
  arn       = aws_lambda_function.role[each.key].arn
}

resource "aws_lambda_permission" "tick" {
  for_each = local.wakers

  statement_id  = "tick"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.role[each.key].function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.tick[0].arn
}
