resource "aws_kinesis_stream" "ingest" {
  count = length(setintersection(local.roles, ["load", "pump"])) > 0 ? 1 : 0

  name             = "${var.name}-ingest"
  shard_count      = var.shards
  retention_period = var.stream_retention_hours
  encryption_type  = "KMS"
  kms_key_id       = coalesce(var.kms_key_arn, "alias/aws/kinesis")

  stream_mode_details {
    stream_mode = var.shards == null ? "ON_DEMAND" : "PROVISIONED"
  }
}

resource "aws_kinesis_stream" "playback" {
  count = contains(local.roles, "playback") ? 1 : 0

  name             = "${var.name}-playback"
  shard_count      = var.shards
  retention_period = var.stream_retention_hours
  encryption_type  = "KMS"
  kms_key_id       = coalesce(var.kms_key_arn, "alias/aws/kinesis")

  stream_mode_details {
    stream_mode = var.shards == null ? "ON_DEMAND" : "PROVISIONED"
  }
}
