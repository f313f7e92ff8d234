variable "name" {
  description = "Name of the store. Every resource is called NAME-…, and NAME is what the store's address names."
  type        = string
  default     = "annals"

  validation {
    condition     = can(regex("^[a-zA-Z0-9][a-zA-Z0-9_-]{2,39}$", var.name))
    error_message = "name must be 3 to 40 letters, digits, hyphens and underscores."
  }
}

variable "lambda_zip" {
  description = "Path of the functions' zip for the chosen architecture, as make lambda builds it: dist/annals-lambda-arm64.zip."
  type        = string
}

variable "react_zip" {
  description = "Path of the zip of a bootstrap of your own, with your reactions and sagas. Without one, react is not deployed."
  type        = string
  default     = null
}

variable "roles" {
  description = "Which functions to deploy: load, track, pump, command, query, sequence, write, react, playback. By default all, and react only with a react_zip. A queue or stream that none of them uses is not made."
  type        = set(string)
  default     = null

  validation {
    condition = var.roles == null ? true : alltrue([
      for role in var.roles : contains(["load", "track", "pump", "command", "query", "sequence", "write", "react", "playback"], role)
    ])
    error_message = "roles may hold load, track, pump, command, query, sequence, write, react and playback."
  }

  validation {
    condition     = var.roles == null ? true : !contains(var.roles, "react") || var.react_zip != null
    error_message = "The role react needs react_zip: a binary with reactions of your own."
  }

  validation {
    condition     = var.roles == null ? true : contains(var.roles, "react") || var.react_zip == null
    error_message = "react_zip is set, and roles has no react: add it, or leave react_zip out."
  }
}

variable "architecture" {
  description = "Instruction set of the functions, and of the zips: arm64 or x86_64."
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64."
  }
}

variable "projections" {
  description = "Path of a zip of a Lambda layer whose directory projections holds the files that define projections. It shows in the functions as /opt/projections."
  type        = string
  default     = null
}

variable "bucket" {
  description = "Name of the bucket for large commits and sealed runs of the log. By default one is made up from the store's name."
  type        = string
  default     = null
}

variable "kms_key_arn" {
  description = "ARN of a customer managed KMS key for the tables, the bucket, the queues and the streams. By default AWS's own keys encrypt them."
  type        = string
  default     = null
}

variable "subject_key_arn" {
  description = "ARN of a KMS key that wraps the keys of data subjects, for events whose data can be erased. By default there are no such keys. Losing the KMS key is losing those data."
  type        = string
  default     = null

  validation {
    condition     = var.subject_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.subject_key_arn))
    error_message = "subject_key_arn must be the ARN of a KMS key, not of an alias."
  }
}

variable "deletion_protection" {
  description = "Whether the tables refuse to be deleted. Apply false before terraform destroy."
  type        = bool
  default     = true
}

variable "stream_retention_hours" {
  description = "How long the Kinesis streams keep records, in hours: 24 to 8760."
  type        = number
  default     = 24

  validation {
    condition     = var.stream_retention_hours >= 24 && var.stream_retention_hours <= 8760
    error_message = "stream_retention_hours must be 24 to 8760."
  }
}

variable "shards" {
  description = "How many shards each Kinesis stream has. By default the streams are on demand, and scale by themselves."
  type        = number
  default     = null

  validation {
    condition     = var.shards == null ? true : var.shards >= 1 && var.shards <= 10000
    error_message = "shards must be 1 to 10000, or left out."
  }
}

variable "max_record_age_seconds" {
  description = "After how long pump gives a record up that it could not store, and puts where it lies into the queue of dead letters: 60 to 604800 seconds, and no longer than the stream keeps it."
  type        = number
  default     = 21600

  validation {
    condition     = var.max_record_age_seconds >= 60 && var.max_record_age_seconds <= 604800
    error_message = "max_record_age_seconds must be 60 to 604800."
  }

  validation {
    condition     = var.max_record_age_seconds <= var.stream_retention_hours * 3600
    error_message = "max_record_age_seconds is more than the stream keeps records for: raise stream_retention_hours."
  }
}

variable "log_retention_days" {
  description = "How long the log groups are kept, in days: a number of days that CloudWatch Logs knows."
  type        = number
  default     = 30

  validation {
    condition = contains(
      [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
      var.log_retention_days,
    )
    error_message = "log_retention_days must be 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}

variable "log_level" {
  description = "What the functions log at least: debug, info, warn or error."
  type        = string
  default     = "info"

  validation {
    condition     = contains(["debug", "info", "warn", "error"], var.log_level)
    error_message = "log_level must be debug, info, warn or error."
  }
}

variable "metrics_namespace" {
  description = "CloudWatch namespace of the functions' own metrics, which are told apart by role alone: two stores of one account and region need two."
  type        = string
  default     = "Annals"
}

variable "tracing" {
  description = "Whether X-Ray traces the invocations."
  type        = bool
  default     = false
}

variable "traces_endpoint" {
  description = "URL that the functions send spans to, by OTLP over HTTP. By default they send none."
  type        = string
  default     = null

  validation {
    condition     = var.traces_endpoint == null ? true : can(regex("^https?://[^/?#]+[^?#]*$", var.traces_endpoint))
    error_message = "traces_endpoint must be http://… or https://…."
  }
}

variable "authorizer" {
  description = "Issuer and audience of the JSON Web Tokens that callers of the HTTP API show, and OAuth scopes of which a token must have one. By default IAM decides: callers sign their requests and need execute-api:Invoke."
  type = object({
    issuer   = string
    audience = list(string)
    scopes   = optional(list(string), [])
  })
  default = null

  validation {
    condition     = var.authorizer == null ? true : startswith(var.authorizer.issuer, "https://") && length(var.authorizer.audience) > 0
    error_message = "authorizer needs an issuer, https://…, and at least one audience."
  }
}

variable "throttling" {
  description = "Calls that the HTTP API takes from all callers together: rate is how many a second, burst how many at once."
  type = object({
    rate  = optional(number, 1000)
    burst = optional(number, 2000)
  })
  default = {}

  validation {
    condition     = var.throttling.rate > 0 && var.throttling.rate <= 10000 && var.throttling.burst >= 1 && var.throttling.burst <= 5000
    error_message = "throttling.rate must be above 0 and at most 10000, throttling.burst 1 to 5000."
  }
}

variable "alarms" {
  description = "Whether alarms are made."
  type        = bool
  default     = true
}

variable "alarm_topic_arn" {
  description = "ARN of an SNS topic that the alarms tell. By default they only show."
  type        = string
  default     = null
}

variable "dashboard" {
  description = "Whether a dashboard is made."
  type        = bool
  default     = true
}
