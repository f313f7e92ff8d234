locals {
  roles = var.roles != null ? var.roles : toset(concat(
    ["load", "track", "pump", "command", "query", "sequence", "write", "playback"],
    var.react_zip == null ? [] : ["react"],
  ))

  # Seconds and megabytes. API Gateway waits 30 s for an answer.
  sizes = {
    load     = { timeout = 10, memory = 256 }
    track    = { timeout = 60, memory = 512 }
    pump     = { timeout = 60, memory = 512 }
    command  = { timeout = 10, memory = 512 }
    query    = { timeout = 29, memory = 512 }
    sequence = { timeout = 60, memory = 512 }
    write    = { timeout = 300, memory = 512 }
    react    = { timeout = 300, memory = 512 }
    playback = { timeout = 900, memory = 512 }
  }

  environment = {
    all = merge(
      {
        ANNALS_METRICS   = var.metrics_namespace
        ANNALS_LOG_LEVEL = var.log_level
      },
      var.traces_endpoint == null ? {} : { OTEL_EXPORTER_OTLP_ENDPOINT = var.traces_endpoint },
    )
    store           = { ANNALS_STORE = "dynamodb://${var.name}?bucket=${aws_s3_bucket.store.bucket}" }
    ingest_stream   = { ANNALS_INGEST_STREAM = "${var.name}-ingest" }
    playback_stream = { ANNALS_PLAYBACK_STREAM = "${var.name}-playback" }
    queue           = { ANNALS_QUEUE = "${var.name}-event-queue" }
    dead_letters    = { ANNALS_DEAD_LETTERS = one(aws_sqs_queue.dead_letters[*].url) }
    keys            = var.subject_key_arn == null ? {} : { ANNALS_KEYS = "dynamodb://${var.name}-keys?kms=${var.subject_key_arn}" }
    projections     = var.projections == null ? {} : { ANNALS_PROJECTIONS = "/opt/projections" }
  }

  environments = {
    load     = local.environment.ingest_stream
    track    = merge(local.environment.store, local.environment.queue, local.environment.dead_letters)
    pump     = merge(local.environment.store, local.environment.ingest_stream, local.environment.dead_letters)
    command  = local.environment.store
    query    = merge(local.environment.store, local.environment.projections)
    sequence = local.environment.store
    write    = merge(local.environment.store, local.environment.playback_stream, local.environment.projections)
    react    = local.environment.store
    playback = merge(local.environment.store, local.environment.playback_stream, local.environment.projections)
  }

  purposes = {
    load     = "puts what is posted to /v1/ingest on the event stream"
    track    = "stores the messages of the event queue"
    pump     = "stores the records of the event stream"
    command  = "appends to streams over HTTP"
    query    = "reads streams, the log, traces and views over HTTP"
    sequence = "gives stored events their positions"
    write    = "folds the log into views"
    react    = "runs reactions and sagas"
    playback = "plays a part of the log"
  }

  reads_projections = ["query", "write", "playback"]
}

resource "aws_lambda_function" "role" {
  for_each = local.roles

  function_name    = "${var.name}-${each.key}"
  description      = "Annals: ${local.purposes[each.key]}"
  role             = aws_iam_role.role[each.key].arn
  package_type     = "Zip"
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.architecture]
  filename         = each.key == "react" ? var.react_zip : var.lambda_zip
  source_code_hash = filebase64sha256(each.key == "react" ? var.react_zip : var.lambda_zip)
  timeout          = local.sizes[each.key].timeout
  memory_size      = local.sizes[each.key].memory
  layers           = contains(local.reads_projections, each.key) ? aws_lambda_layer_version.projections[*].arn : []

  environment {
    variables = merge(
      local.environment.all,
      local.environments[each.key],
      contains(concat(local.seals, local.opens), each.key) ? local.environment.keys : {},
      { ANNALS_ROLE = each.key },
    )
  }

  logging_config {
    log_group  = aws_cloudwatch_log_group.role[each.key].name
    log_format = "Text"
  }

  tracing_config {
    mode = var.tracing ? "Active" : "PassThrough"
  }
}

# playback goes on in another invocation of itself; Lambda would end such a chain
# after 16.
resource "aws_lambda_function_recursion_config" "playback" {
  count = contains(local.roles, "playback") ? 1 : 0

  function_name  = aws_lambda_function.role["playback"].function_name
  recursive_loop = "Allow"
}

resource "aws_lambda_layer_version" "projections" {
  count = var.projections == null ? 0 : 1

  layer_name       = "${var.name}-projections"
  description      = "Annals: definitions of projections"
  filename         = var.projections
  source_code_hash = filebase64sha256(var.projections)

  compatible_architectures = [var.architecture]
  compatible_runtimes      = ["provided.al2023"]
}

resource "aws_cloudwatch_log_group" "role" {
  for_each = local.roles

  name              = "/aws/lambda/${var.name}-${each.key}"
  retention_in_days = var.log_retention_days
}
