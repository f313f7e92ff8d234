locals {
  # In the order in which an event meets them.
  roles_in_order = [
    for role in ["load", "track", "pump", "command", "query", "sequence", "write", "react", "playback"] : role if contains(local.roles, role)
  ]
  tables = ["${var.name}-events", "${var.name}-log", "${var.name}-views"]

  # What the alarms watch and what is paid for, in rows of two.
  graphs = [for graph in [
    {
      title   = "Invocations", statistic = "Sum"
      metrics = [for role in local.roles_in_order : ["AWS/Lambda", "Invocations", "FunctionName", "${var.name}-${role}"]]
    },
    {
      title   = "Errors", statistic = "Sum"
      metrics = [for role in local.roles_in_order : ["AWS/Lambda", "Errors", "FunctionName", "${var.name}-${role}"]]
    },
    {
      title   = "Duration (ms, p99)", statistic = "p99"
      metrics = [for role in local.roles_in_order : ["AWS/Lambda", "Duration", "FunctionName", "${var.name}-${role}"]]
    },
    {
      title = "Behind the stream (ms)", statistic = "Maximum"
      metrics = [
        for role in local.roles_in_order : ["AWS/Lambda", "IteratorAge", "FunctionName", "${var.name}-${role}"] if contains(local.readers, role)
      ]
    },
    {
      title = "Messages that wait", statistic = "Maximum"
      metrics = [
        for queue in concat(aws_sqs_queue.events[*].name, aws_sqs_queue.dead_letters[*].name) :
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue]
      ]
    },
    {
      title = "Records that came", statistic = "Sum"
      metrics = [
        for stream in concat(aws_kinesis_stream.ingest[*].name, aws_kinesis_stream.playback[*].name) :
        ["AWS/Kinesis", "IncomingRecords", "StreamName", stream]
      ]
    },
    {
      title = "Units of the tables", statistic = "Sum"
      metrics = [
        for pair in setproduct(local.tables, ["ConsumedWriteCapacityUnits", "ConsumedReadCapacityUnits"]) :
        ["AWS/DynamoDB", pair[1], "TableName", pair[0]]
      ]
    },
    {
      title = "Throttled requests", statistic = "Sum"
      metrics = [
        for pair in setproduct(local.tables, ["WriteThrottleEvents", "ReadThrottleEvents"]) :
        ["AWS/DynamoDB", pair[1], "TableName", pair[0]]
      ]
    },
  ] : graph if length(graph.metrics) > 0]
}

resource "aws_cloudwatch_dashboard" "annals" {
  count = var.dashboard ? 1 : 0

  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [for at, graph in local.graphs : {
      type   = "metric"
      x      = at % 2 * 12
      y      = floor(at / 2) * 6
      width  = 12
      height = 6
      properties = {
        title   = graph.title
        stat    = graph.statistic
        period  = 60
        view    = "timeSeries"
        region  = data.aws_region.current.region
        metrics = graph.metrics
      }
    }]
  })
}
