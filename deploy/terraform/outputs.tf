output "api_url" {
  description = "Where the HTTP API is, without a slash at its end; null if no role serves it."
  value       = one(aws_apigatewayv2_api.annals[*].api_endpoint)
}

output "store_address" {
  description = "Address of the store, as --store of the command annals takes it."
  value       = "dynamodb://${var.name}?region=${data.aws_region.current.region}&bucket=${aws_s3_bucket.store.bucket}"
}

output "keys_address" {
  description = "Address of the keys of data subjects, as --keys of the command annals takes it; null without subject_key_arn."
  value       = var.subject_key_arn == null ? null : "dynamodb://${var.name}-keys?region=${data.aws_region.current.region}&kms=${var.subject_key_arn}"
}

output "queue_url" {
  description = "URL of the queue that track takes messages of; null without track."
  value       = one(aws_sqs_queue.events[*].url)
}

output "dead_letters_url" {
  description = "URL of the queue of dead letters, as annals dlq takes it; null without track, pump and sequence."
  value       = one(aws_sqs_queue.dead_letters[*].url)
}

output "ingest_stream" {
  description = "Name of the Kinesis event stream; null without load and pump."
  value       = one(aws_kinesis_stream.ingest[*].name)
}

output "playback_stream" {
  description = "Name of the Kinesis playback stream; null without playback."
  value       = one(aws_kinesis_stream.playback[*].name)
}

output "react_role" {
  description = "Name of the role of react, to add rights to that reactions of your own need; null without react."
  value       = one([for name, role in aws_iam_role.role : role.name if name == "react"])
}

output "bucket_name" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.store.bucket
}
