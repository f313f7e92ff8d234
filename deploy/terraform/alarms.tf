locals {
  # Roles that read a stream can fall behind it.
  readers = setintersection(local.roles, ["pump", "sequence", "write", "react"])

  function_alarms = merge(
    { for role in local.roles : "${title(role)}Errors" => {
      description = "${var.name}-${role} failed: its log says why"
      role        = role, metric = "Errors", statistic = "Sum", minutes = 5, periods = 1, above = 0
    } },
    { for role in local.roles : "${title(role)}Throttles" => {
      description = "${var.name}-${role} was not run: raise the account's or the function's concurrency"
      role        = role, metric = "Throttles", statistic = "Sum", minutes = 5, periods = 1, above = 0
    } },
    { for role in local.readers : "${title(role)}Late" => {
      description = "${var.name}-${role} is more than 5 minutes behind its stream"
      role        = role, metric = "IteratorAge", statistic = "Maximum", minutes = 1, periods = 5, above = 5 * 60 * 1000
    } },
  )

  # What an invocation answers for without failing, since to try again at once would
  # not mend it. Two stores with one namespace share these metrics.
  own_alarms = { for name, alarm in {
    SequenceTampered = {
      description = "somebody has changed or removed items of the events table: the log of ${var.name}-sequence names them"
      role        = "sequence", metric = "Tampered"
    }
    WriteStalled = {
      description = "a projection can't go on: the log of ${var.name}-write says why"
      role        = "write", metric = "Stalled"
    }
    ReactStalled = {
      description = "a reaction or saga can't go on: the log of ${var.name}-react says why"
      role        = "react", metric = "Stalled"
    }
  } : name => alarm if contains(local.roles, alarm.role) }

  alarm_actions = var.alarm_topic_arn == null ? [] : [var.alarm_topic_arn]
}

# That nothing is measured means that nothing happened: no alarm takes it as bad.

resource "aws_cloudwatch_metric_alarm" "function" {
  for_each = var.alarms ? local.function_alarms : {}

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "Annals: ${each.value.description}"
  namespace           = "AWS/Lambda"
  metric_name         = each.value.metric
  dimensions          = { FunctionName = aws_lambda_function.role[each.value.role].function_name }
  statistic           = each.value.statistic
  period              = 60 * each.value.minutes
  evaluation_periods  = each.value.periods
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
}

resource "aws_cloudwatch_metric_alarm" "own" {
  for_each = var.alarms ? local.own_alarms : {}

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "Annals: ${each.value.description}"
  namespace           = var.metrics_namespace
  metric_name         = each.value.metric
  dimensions          = { role = each.value.role }
  statistic           = "Sum"
  period              = 60 * 5
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  count = var.alarms ? length(aws_sqs_queue.dead_letters) : 0

  alarm_name          = "${var.name}-DeadLetters"
  alarm_description   = "Annals: messages could not be stored: annals dlq list says why"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead_letters[0].name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
}

resource "aws_cloudwatch_metric_alarm" "queue" {
  count = var.alarms ? length(aws_sqs_queue.events) : 0

  alarm_name          = "${var.name}-QueueLate"
  alarm_description   = "Annals: a message has waited for track for more than 10 minutes"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = aws_sqs_queue.events[0].name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 5
  comparison_operator = "GreaterThanThreshold"
  threshold           = 10 * 60
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
}

# Reads and writes are throttled by metrics of their own.
resource "aws_cloudwatch_metric_alarm" "table" {
  for_each = !var.alarms ? {} : {
    Events = aws_dynamodb_table.events.name
    Log    = aws_dynamodb_table.log.name
    Views  = aws_dynamodb_table.views.name
  }

  alarm_name          = "${var.name}-${each.key}Throttled"
  alarm_description   = "Annals: DynamoDB throttled requests to ${each.value}: look for one hot stream, or a limit of the table"
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions

  metric_query {
    id          = "reads"
    return_data = false

    metric {
      namespace   = "AWS/DynamoDB"
      metric_name = "ReadThrottleEvents"
      dimensions  = { TableName = each.value }
      stat        = "Sum"
      period      = 300
    }
  }

  metric_query {
    id          = "writes"
    return_data = false

    metric {
      namespace   = "AWS/DynamoDB"
      metric_name = "WriteThrottleEvents"
      dimensions  = { TableName = each.value }
      stat        = "Sum"
      period      = 300
    }
  }

  metric_query {
    id          = "both"
    expression  = "SUM(METRICS())"
    label       = "throttled requests"
    return_data = true
  }
}
