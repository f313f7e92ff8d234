# Plans against a provider that is made up: nothing is asked of AWS. The zips stand
# for files that make lambda builds.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { region = "eu-central-1" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }
  mock_resource "aws_iam_role" {
    defaults = {
      arn = "arn:aws:iam::111122223333:role/made-up"
    }
  }
  mock_resource "aws_dynamodb_table" {
    defaults = {
      arn        = "arn:aws:dynamodb:eu-central-1:111122223333:table/made-up"
      stream_arn = "arn:aws:dynamodb:eu-central-1:111122223333:table/made-up/stream/2026-01-01T00:00:00.000"
    }
  }
  mock_resource "aws_kinesis_stream" {
    defaults = {
      arn = "arn:aws:kinesis:eu-central-1:111122223333:stream/made-up"
    }
  }
  mock_resource "aws_sqs_queue" {
    defaults = {
      arn = "arn:aws:sqs:eu-central-1:111122223333:made-up"
      url = "https://sqs.eu-central-1.amazonaws.com/111122223333/made-up"
    }
  }
  mock_resource "aws_s3_bucket" {
    defaults = {
      arn = "arn:aws:s3:::made-up"
    }
  }
  mock_resource "aws_lambda_function" {
    defaults = {
      arn = "arn:aws:lambda:eu-central-1:111122223333:function:made-up"
    }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = {
      arn = "arn:aws:logs:eu-central-1:111122223333:log-group:made-up"
    }
  }
  mock_resource "aws_cloudwatch_event_rule" {
    defaults = {
      arn = "arn:aws:events:eu-central-1:111122223333:rule/made-up"
    }
  }
  mock_resource "aws_apigatewayv2_api" {
    defaults = {
      execution_arn = "arn:aws:execute-api:eu-central-1:111122223333:made-up"
    }
  }
}

variables {
  lambda_zip = "tests/plan.tftest.hcl"
}

run "defaults" {
  command = plan

  assert {
    condition     = toset(keys(aws_lambda_function.role)) == toset(["load", "track", "pump", "command", "query", "sequence", "write", "playback"])
    error_message = "All roles but react are deployed by default."
  }

  assert {
    condition     = length(aws_apigatewayv2_route.route) == 13
    error_message = "There are 13 routes."
  }

  assert {
    condition     = alltrue([for r in aws_apigatewayv2_route.route : r.authorization_type == "AWS_IAM"])
    error_message = "IAM decides by default."
  }

  assert {
    condition     = length(aws_cloudwatch_event_rule.tick) == 1 && toset(keys(aws_cloudwatch_event_target.tick)) == toset(["write"])
    error_message = "The tick wakes write."
  }

  assert {
    condition     = aws_dynamodb_table.events.deletion_protection_enabled && aws_dynamodb_table.log.deletion_protection_enabled
    error_message = "Tables are protected by default."
  }
}

run "react" {
  command = plan

  variables {
    react_zip   = "tests/plan.tftest.hcl"
    projections = "tests/plan.tftest.hcl"
  }

  assert {
    condition     = length(aws_lambda_function.role) == 9 && length(aws_cloudwatch_event_rule.tick) == 1
    error_message = "react shares the tick of write."
  }

  assert {
    condition = alltrue([for keys in [keys(aws_cloudwatch_event_target.tick), keys(aws_lambda_permission.tick)] :
      toset(keys) == toset(["write", "react"])
    ])
    error_message = "The tick may wake both."
  }

  assert {
    condition     = aws_lambda_function.role["write"].environment[0].variables["ANNALS_PROJECTIONS"] == "/opt/projections"
    error_message = "write finds the projections of the layer."
  }
}

run "one_role" {
  command = plan

  variables {
    name  = "Orders_1"
    roles = ["track"]
  }

  assert {
    condition     = length(aws_kinesis_stream.ingest) == 0 && length(aws_kinesis_stream.playback) == 0 && length(aws_apigatewayv2_api.annals) == 0 && length(aws_cloudwatch_event_rule.tick) == 0
    error_message = "What no role uses is not made."
  }

  assert {
    condition     = aws_sqs_queue.events[0].name == "Orders_1-event-queue"
    error_message = "The queue has the store's name."
  }

  assert {
    condition     = aws_s3_bucket.store.bucket_prefix == "orders-1-"
    error_message = "A bucket's name has lower-case letters and hyphens only."
  }
}

run "tokens_and_key" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
    shards      = 2
    authorizer = {
      issuer   = "https://issuer.example.com"
      audience = ["orders"]
    }
  }

  assert {
    condition     = alltrue([for r in aws_apigatewayv2_route.route : r.authorization_type == "JWT"])
    error_message = "Tokens decide."
  }

  assert {
    condition     = aws_kinesis_stream.ingest[0].kms_key_id == var.kms_key_arn && aws_sqs_queue.events[0].kms_master_key_id == var.kms_key_arn
    error_message = "The given key encrypts streams and queues."
  }
}

run "keys_of_data_subjects" {
  command = plan

  variables {
    subject_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/66666666-7777-8888-9999-000000000000"
  }

  assert {
    condition     = !aws_dynamodb_table.keys[0].point_in_time_recovery[0].enabled
    error_message = "A key that is erased does not come back."
  }

  assert {
    condition     = output.keys_address == "dynamodb://annals-keys?region=eu-central-1&kms=${var.subject_key_arn}"
    error_message = "The address names the table and the key."
  }
}

run "no_alias_for_data_subjects" {
  command = plan

  variables {
    subject_key_arn = "alias/orders"
  }

  expect_failures = [var.subject_key_arn]
}

# Everything is made, so that what is only known then is computed too.
run "applied" {
  command = apply

  variables {
    react_zip = "tests/plan.tftest.hcl"
  }

  assert {
    condition     = !strcontains(aws_iam_role_policy.role["track"].policy, "\"*\"")
    error_message = "No grant is on everything."
  }

  assert {
    condition     = output.store_address == "dynamodb://annals?region=eu-central-1&bucket=${aws_s3_bucket.store.bucket}"
    error_message = "The address names the bucket."
  }
}

run "wrong" {
  command = plan

  variables {
    name                   = "a"
    roles                  = ["react"]
    architecture           = "mips"
    log_retention_days     = 31
    stream_retention_hours = 24
    max_record_age_seconds = 90000
    log_level              = "loud"
    throttling             = { rate = 0 }
    shards                 = 0
    traces_endpoint        = "otlp.example.com"
    authorizer             = { issuer = "http://issuer.example.com", audience = [] }
  }

  expect_failures = [
    var.name,
    var.roles,
    var.architecture,
    var.log_retention_days,
    var.max_record_age_seconds,
    var.log_level,
    var.throttling,
    var.shards,
    var.traces_endpoint,
    var.authorizer,
  ]
}
