# The keys are those of package dynamo. deletion_protection_enabled and recovery to
# any moment of the last 35 days hold what cannot be made again; NAME-views can be.

resource "aws_dynamodb_table" "events" {
  name                        = "${var.name}-events"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "stream"
  range_key                   = "version"
  deletion_protection_enabled = var.deletion_protection
  stream_enabled              = true
  stream_view_type            = "NEW_IMAGE"

  attribute {
    name = "stream"
    type = "S"
  }

  attribute {
    name = "version"
    type = "N"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }
}

# Its stream carries keys only: it wakes write and react, which read the table.
resource "aws_dynamodb_table" "log" {
  name                        = "${var.name}-log"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "key"
  range_key                   = "at"
  deletion_protection_enabled = var.deletion_protection
  stream_enabled              = true
  stream_view_type            = "KEYS_ONLY"

  attribute {
    name = "key"
    type = "S"
  }

  attribute {
    name = "at"
    type = "N"
  }

  ttl {
    enabled        = true
    attribute_name = "until"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }
}

resource "aws_dynamodb_table" "views" {
  name                        = "${var.name}-views"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "space"
  range_key                   = "key"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "space"
    type = "S"
  }

  attribute {
    name = "key"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }
}

# The keys of data subjects. A key that could be recovered would not be erased.
resource "aws_dynamodb_table" "keys" {
  count = var.subject_key_arn == null ? 0 : 1

  name                        = "${var.name}-keys"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "subject"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "subject"
    type = "S"
  }

  point_in_time_recovery {
    enabled = false
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }
}
