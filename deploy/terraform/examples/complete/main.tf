# A store called annals with every function that needs no code of your own, from a
# checkout in which make lambda has run.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}

variable "region" {
  description = "AWS region."
  type        = string
  default     = "eu-central-1"
}

variable "name" {
  description = "Name of the store."
  type        = string
  default     = "annals"
}

variable "deletion_protection" {
  description = "Whether the tables refuse to be deleted. Apply false before terraform destroy."
  type        = bool
  default     = true
}

provider "aws" {
  region = var.region
}

module "annals" {
  source = "../.."

  name                = var.name
  lambda_zip          = "${path.module}/../../../../dist/annals-lambda-arm64.zip"
  deletion_protection = var.deletion_protection
  alarm_topic_arn     = aws_sns_topic.alarms.arn
}

# Subscribe whoever should hear of alarms.
resource "aws_sns_topic" "alarms" {
  name = "${var.name}-alarms"
}

output "api_url" {
  description = "Where the HTTP API is."
  value       = module.annals.api_url
}

output "queue_url" {
  description = "URL of the queue for tracking messages."
  value       = module.annals.queue_url
}

output "dead_letters_url" {
  description = "URL of the queue of dead letters."
  value       = module.annals.dead_letters_url
}

output "bucket_name" {
  description = "Name of the bucket."
  value       = module.annals.bucket_name
}

output "store_address" {
  description = "Address of the store for the command annals."
  value       = module.annals.store_address
}
