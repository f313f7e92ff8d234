# What each function may call, and nothing else. Nobody may UpdateItem or DeleteItem on
# NAME-events; PutItem is Annals' to make conditional, which IAM can't.

data "aws_region" "current" {}
data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  objects = "${aws_s3_bucket.store.arn}/${var.name}"

  # Null where the roles that were chosen leave a resource out.
  arns = {
    ingest   = one(aws_kinesis_stream.ingest[*].arn)
    playback = one(aws_kinesis_stream.playback[*].arn)
    queue    = one(aws_sqs_queue.events[*].arn)
    letters  = one(aws_sqs_queue.dead_letters[*].arn)
    keys     = one(aws_dynamodb_table.keys[*].arn)
    # Not the function's own attribute: the function needs its role first.
    continue = "arn:${data.aws_partition.current.partition}:lambda:${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}:function:${var.name}-playback"
  }

  table_stream_actions = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"]
  kinesis_actions      = ["kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"]

  # Without s3:ListBucket S3 says of an object that is missing that it may not be
  # read, and a body that still lies under pending/ would not be looked for there.
  missing = [
    { actions = ["s3:ListBucket"], resources = [aws_s3_bucket.store.arn] },
  ]
  append = concat(local.missing, [
    { actions = ["dynamodb:PutItem", "dynamodb:Query"], resources = [aws_dynamodb_table.events.arn] },
    { actions = ["dynamodb:GetItem"], resources = [aws_dynamodb_table.log.arn] },
    { actions = ["s3:GetObject", "s3:PutObject"], resources = ["${local.objects}/bodies/*", "${local.objects}/pending/*"] },
  ])
  bury = [
    { actions = ["sqs:SendMessage"], resources = [local.arns.letters] },
    { actions = ["s3:PutObject"], resources = ["${local.objects}/dead/*"] },
  ]
  read_log = concat(local.missing, [
    { actions = ["dynamodb:Query"], resources = [aws_dynamodb_table.events.arn] },
    { actions = ["dynamodb:GetItem", "dynamodb:Query"], resources = [aws_dynamodb_table.log.arn] },
    {
      actions = ["s3:GetObject"]
      resources = [
        "${local.objects}/bodies/*", "${local.objects}/pages/*", "${local.objects}/pending/*", "${local.objects}/runs/*",
      ]
    },
  ])
  read_views = [
    { actions = ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query"], resources = [aws_dynamodb_table.views.arn] },
  ]
  write_views = concat(local.read_views, [
    {
      actions   = ["dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:PutItem"]
      resources = [aws_dynamodb_table.views.arn]
    },
  ])

  # A generation that is done with is deleted.
  drop_views = [
    { actions = ["dynamodb:BatchWriteItem"], resources = [aws_dynamodb_table.views.arn] },
  ]

  grants = {
    load = [
      { actions = ["kinesis:PutRecords"], resources = [local.arns.ingest] },
    ]
    track = concat(local.append, local.bury, [
      { actions = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"], resources = [local.arns.queue] },
    ])
    pump = concat(local.append, local.bury, [
      { actions = local.kinesis_actions, resources = [local.arns.ingest] },
    ])
    command = local.append
    query   = concat(local.read_log, local.read_views)
    # It moves on bodies that their writer left under pending/, and drops pages
    # whose run is sealed.
    sequence = concat(local.read_log, [
      { actions = local.table_stream_actions, resources = [aws_dynamodb_table.events.stream_arn] },
      { actions = ["dynamodb:GetItem"], resources = [aws_dynamodb_table.events.arn] },
      { actions = ["dynamodb:BatchWriteItem", "dynamodb:PutItem"], resources = [aws_dynamodb_table.log.arn] },
      {
        actions   = ["s3:PutObject"]
        resources = ["${local.objects}/bodies/*", "${local.objects}/pages/*", "${local.objects}/runs/*"]
      },
      { actions = ["s3:DeleteObject"], resources = ["${local.objects}/pages/*"] },
      { actions = ["sqs:SendMessage"], resources = [local.arns.letters] },
    ])
    write = concat(
      local.read_log,
      local.write_views,
      local.drop_views,
      [{ actions = local.table_stream_actions, resources = [aws_dynamodb_table.log.stream_arn] }],
      !contains(local.roles, "playback") ? [] : [{ actions = local.kinesis_actions, resources = [local.arns.playback] }],
    )
    react = concat(local.read_log, local.append, local.write_views, [
      { actions = local.table_stream_actions, resources = [aws_dynamodb_table.log.stream_arn] },
    ])
    playback = concat(local.read_log, local.append, local.write_views, local.drop_views, [
      { actions = ["kinesis:PutRecords"], resources = [local.arns.playback] },
      { actions = ["lambda:InvokeFunction"], resources = [local.arns.continue] },
    ])
  }

  # Of the key that encrypts tables, bucket, streams and queues: load only puts
  # records, query only reads.
  key_actions = merge(
    { for role in local.roles : role => ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"] },
    { load = ["kms:GenerateDataKey"], query = ["kms:Decrypt", "kms:DescribeKey"] },
  )

  # What is done with the keys of data subjects; load and sequence look into no event.
  seals = [for role in ["track", "pump", "command", "react"] : role if var.subject_key_arn != null]
  opens = [for role in ["query", "write", "playback"] : role if var.subject_key_arn != null]

  common_grants = { for role in local.roles : role => concat(
    [{ actions = ["logs:CreateLogStream", "logs:PutLogEvents"], resources = ["${aws_cloudwatch_log_group.role[role].arn}:*"] }],
    var.kms_key_arn == null ? [] : [{ actions = local.key_actions[role], resources = [var.kms_key_arn] }],
    !contains(local.seals, role) ? [] : [
      { actions = ["dynamodb:GetItem", "dynamodb:PutItem"], resources = [local.arns.keys] },
      { actions = ["kms:Decrypt", "kms:GenerateDataKey"], resources = [var.subject_key_arn] },
    ],
    !contains(local.opens, role) ? [] : [
      { actions = ["dynamodb:GetItem"], resources = [local.arns.keys] },
      { actions = ["kms:Decrypt"], resources = [var.subject_key_arn] },
    ],
    # X-Ray's actions know no resources.
    !var.tracing ? [] : [{ actions = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"], resources = ["*"] }],
  ) }
}

resource "aws_iam_role" "role" {
  for_each = local.roles

  # A generated name, as those of roles are shared by all regions.
  name_prefix = substr("${var.name}-${each.key}-", 0, 38)
  description = "Annals: what the function ${var.name}-${each.key} may do"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "role" {
  for_each = local.roles

  name = each.key
  role = aws_iam_role.role[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      for grant in concat(local.grants[each.key], local.common_grants[each.key]) :
      { Effect = "Allow", Action = grant.actions, Resource = grant.resources }
    ]
  })
}
