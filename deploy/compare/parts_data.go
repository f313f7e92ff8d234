package compare

import (
	"fmt"
	"strings"
)

// parts are all that can be compared.
var parts = func() (all []part) {
	for _, list := range [][]part{dataParts, bucketParts, functionParts, invocationParts, apiParts, watchParts} {
		all = append(all, list...)
	}
	return all
}()

var dataParts = []part{
	{
		what: "table",
		template: side{kind: "AWS::DynamoDB::Table", name: path("TableName"), more: templateKeys, left: []string{
			"SSESpecification.SSEType", // there is one only
			"DeletionPolicy",           // Terraform has none; deletion protection is compared
		}},
		module: side{kind: "aws_dynamodb_table", name: path("name"), more: moduleKeys},
		rows: []row{
			{"billing", "BillingMode", "billing_mode", "PROVISIONED"},
			{"deletion protection", "DeletionProtectionEnabled", "deletion_protection_enabled", "false"},
			{"point in time recovery", "PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled", "point_in_time_recovery.enabled", "false"},
			{"KMS encryption", "SSESpecification.SSEEnabled", "server_side_encryption.enabled", "false"},
			{"KMS key", "SSESpecification.KMSMasterKeyId", "server_side_encryption.kms_key_arn", ""},
			{"stream", "StreamSpecification.StreamViewType", "stream_view_type", ""},
			{"time to live by", "TimeToLiveSpecification.AttributeName", "ttl.attribute_name", ""},
			{"time to live", "TimeToLiveSpecification.Enabled", "ttl.enabled", "false"},
		},
	},
	{
		what:     "kinesis stream",
		template: side{kind: "AWS::Kinesis::Stream", name: path("Name")},
		module:   side{kind: "aws_kinesis_stream", name: path("name")},
		rows: []row{
			{"mode", "StreamModeDetails.StreamMode", "stream_mode_details.stream_mode", "PROVISIONED"},
			{"shards", "ShardCount", "shard_count", ""},
			{"retention hours", "RetentionPeriodHours", "retention_period", "24"},
			{"encryption", "StreamEncryption.EncryptionType", "encryption_type", "NONE"},
			{"KMS key", "StreamEncryption.KeyId", "kms_key_id", ""},
		},
	},
	{
		what:     "queue",
		template: side{kind: "AWS::SQS::Queue", name: path("QueueName")},
		module:   side{kind: "aws_sqs_queue", name: path("name")},
		rows: []row{
			{"visibility timeout", "VisibilityTimeout", "visibility_timeout_seconds", "30"},
			{"retention seconds", "MessageRetentionPeriod", "message_retention_seconds", "345600"},
			{"SQS encryption", "SqsManagedSseEnabled", "sqs_managed_sse_enabled", ""},
			{"KMS key", "KmsMasterKeyId", "kms_master_key_id", ""},
			{"redrive", "RedrivePolicy", "redrive_policy", ""},
			{"redrive allowed", "RedriveAllowPolicy", "", ""},
		},
	},
	{
		what: "queue",
		module: side{kind: "aws_sqs_queue_redrive_allow_policy", name: func(_ *reading, s *settings) string {
			url := s.text("queue_url")
			return url[strings.LastIndex(url, "/")+1:]
		}},
		rows: []row{{"redrive allowed", "", "redrive_allow_policy", ""}},
	},
}

func templateKeys(_ *reading, s *settings) (Fields, error) {
	types := map[string]string{}
	for _, a := range s.list("AttributeDefinitions") {
		types[a.text("AttributeName")] = a.text("AttributeType")
	}
	fields := Fields{"attributes": fmt.Sprint(len(types))}
	for _, k := range s.list("KeySchema") {
		attribute := k.text("AttributeName")
		fields[k.text("KeyType")+" key"] = attribute + " " + types[attribute]
	}
	return fields, nil
}

func moduleKeys(_ *reading, s *settings) (Fields, error) {
	types := map[string]string{}
	for _, a := range s.list("attribute") {
		types[a.text("name")] = a.text("type")
	}
	hash, sort := s.text("hash_key"), s.text("range_key")
	fields := Fields{"attributes": fmt.Sprint(len(types)), "HASH key": hash + " " + types[hash]}
	if sort != "" {
		fields["RANGE key"] = sort + " " + types[sort]
	}
	if s.text("stream_enabled") != "true" {
		fields["stream"] = ""
	}
	return fields, nil
}
