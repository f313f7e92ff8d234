package cdk_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// resources are those of a template that a test spoils.
type resources struct {
	t   *testing.T
	all map[string]any
}

// at is the object at a path below a resource, whose parts are separated by
// slashes; a number is an index.
func (r resources) at(path string) map[string]any {
	r.t.Helper()
	var v any = r.all
	for part := range strings.SplitSeq(path, "/") {
		switch parent := v.(type) {
		case map[string]any:
			v = parent[part]
		case []any:
			var i int
			if _, err := fmt.Sscan(part, &i); err != nil || i >= len(parent) {
				r.t.Fatalf("%s: no element %s", path, part)
			}
			v = parent[i]
		}
	}
	object, ok := v.(map[string]any)
	if !ok {
		r.t.Fatalf("%s is %T", path, v)
	}
	return object
}

// props are the properties of a resource.
func (r resources) props(id string) map[string]any {
	r.t.Helper()
	return r.at(id + "/Properties")
}

// statement is a grant of a role.
func (r resources) statement(role, sid string) map[string]any {
	r.t.Helper()
	policy := r.at(role + "/Properties/Policies/0/PolicyDocument")
	list := policy["Statement"].([]any)
	i := slices.IndexFunc(list, func(s any) bool { return s.(map[string]any)["Sid"] == sid })
	if i < 0 {
		r.t.Fatalf("%s has no statement %s", role, sid)
	}
	return list[i].(map[string]any)
}

// grant adds an action to a statement.
func (r resources) grant(role, sid, action string) {
	r.t.Helper()
	s := r.statement(role, sid)
	s["Action"] = append(s["Action"].([]any), action)
}

func object(pairs ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	return m
}

// planted are mistakes, each with the rules that find it, separated by spaces.
var planted = []struct {
	name, rules string
	plant       func(resources)
}{
	{"policy-outside", "grants_are_in_roles", func(r resources) { r.all["More"] = object("Type", "AWS::IAM::Policy", "Properties", object()) }},
	{"managed-policy", "grants_are_in_roles", func(r resources) {
		r.props("AnnalsLoadRole")["ManagedPolicyArns"] = []any{"arn:aws:iam::aws:policy/AmazonDynamoDBFullAccess"}
	}},
	{"role-of-another", "roles_are_for_functions", func(r resources) {
		r.at("AnnalsLoadRole/Properties/AssumeRolePolicyDocument/Statement/0")["Principal"] = object("AWS", "*")
	}},
	{"all-actions", "no_wildcard_action", func(r resources) { r.statement("AnnalsLoadRole", "PutToIngest")["Action"] = []any{"*"} }},
	{"some-actions", "no_wildcard_action", func(r resources) { r.statement("AnnalsLoadRole", "PutToIngest")["Action"] = []any{"kinesis:Put*"} }},
	{"action-as-text", "no_wildcard_action", func(r resources) { r.statement("AnnalsLoadRole", "PutToIngest")["Action"] = "kinesis:PutRecords" }},
	{"not-action", "no_wildcard_action", func(r resources) {
		r.statement("AnnalsLoadRole", "PutToIngest")["NotAction"] = []any{"kinesis:DeleteStream"}
	}},
	{"all-resources", "no_wildcard_resource", func(r resources) { r.statement("AnnalsLoadRole", "PutToIngest")["Resource"] = []any{"*"} }},
	{"resource-as-text", "no_wildcard_resource", func(r resources) { r.statement("AnnalsLoadRole", "PutToIngest")["Resource"] = "*" }},
	{"all-streams", "no_wildcard_resource", func(r resources) {
		r.statement("AnnalsLoadRole", "PutToIngest")["Resource"] = []any{object("Fn::Sub", "arn:${AWS::Partition}:kinesis:*:*:stream/*")}
	}},
	{"all-objects", "no_wildcard_resource", func(r resources) {
		r.statement("AnnalsQueryRole", "ReadObjects")["Resource"] = []any{object("Fn::Sub", []any{"${Arn}/*", object()})}
	}},
	{"joined", "no_wildcard_resource", func(r resources) {
		r.statement("AnnalsLoadRole", "PutToIngest")["Resource"] = []any{object("Fn::Join", []any{"", []any{"*"}})}
	}},
	{"trace-more", "no_wildcard_resource", func(r resources) {
		s := r.statement("AnnalsLoadRole", "PutToIngest")
		s["Sid"], s["Resource"] = "Trace", []any{"*"}
	}},
	{"delete-keys", "keys_are_not_deleted", func(r resources) {
		r.statement("AnnalsTrackRole", "ReadMark")["Resource"] = []any{att("AnnalsKeysTable", "Arn")}
		r.grant("AnnalsTrackRole", "ReadMark", "dynamodb:DeleteItem")
	}},
	{"scan-events", "events_are_not_changed", func(r resources) { r.grant("AnnalsTrackRole", "Append", "dynamodb:Scan") }},
	{"update-events", "events_are_not_changed nothing_is_updated", func(r resources) { r.grant("AnnalsTrackRole", "Append", "dynamodb:UpdateItem") }},
	{"delete-events", "events_are_not_changed", func(r resources) { r.grant("AnnalsPlaybackRole", "Append", "dynamodb:DeleteItem") }},
	{"batch-write-events", "events_are_not_changed", func(r resources) { r.grant("AnnalsCommandRole", "Append", "dynamodb:BatchWriteItem") }},
	{"delete-events-by-name", "tables_are_granted_by_reference", func(r resources) {
		s := r.statement("AnnalsCommandRole", "Append")
		s["Action"] = []any{"dynamodb:DeleteItem"}
		s["Resource"] = []any{object("Fn::Sub", "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/annals-events")}
	}},
	{"delete-events-by-text", "no_wildcard_resource tables_are_granted_by_reference", func(r resources) {
		s := r.statement("AnnalsCommandRole", "Append")
		s["Action"] = []any{"dynamodb:DeleteItem"}
		s["Resource"] = []any{"arn:aws:dynamodb:*:*:table/annals-events"}
	}},
	{"two-services", "tables_are_granted_by_reference", func(r resources) { r.grant("AnnalsTrackRole", "SendDeadLetters", "dynamodb:DeleteItem") }},
	{"one-statement", "no_wildcard_action", func(r resources) {
		document := r.at("AnnalsLoadRole/Properties/Policies/0/PolicyDocument")
		document["Statement"] = object("Effect", "Allow", "Action", []any{"*"}, "Resource", []any{"*"})
	}},
	{"update-views", "nothing_is_updated", func(r resources) { r.grant("AnnalsWriteRole", "WriteViews", "dynamodb:UpdateItem") }},
	{"second-writer", "log_is_the_sequencers", func(r resources) { r.grant("AnnalsQueryRole", "ReadLog", "dynamodb:PutItem") }},
	{"delete-log", "log_is_the_sequencers", func(r resources) { r.grant("AnnalsSequenceRole", "WriteLog", "dynamodb:DeleteItem") }},
	{"delete-bodies", "objects_are_kept", func(r resources) { r.grant("AnnalsSequenceRole", "KeepObjects", "s3:DeleteObject") }},
	{"anybodys-api", "invocations_have_a_source", func(r resources) { delete(r.props("AnnalsLoadPermission"), "SourceArn") }},
	{"anybodys-tick", "invocations_have_a_source", func(r resources) { delete(r.props("AnnalsWriteTickPermission"), "SourceArn") }},
	{"invoked-by-all", "invocations_have_a_source", func(r resources) { r.props("AnnalsLoadPermission")["Principal"] = "*" }},

	{"plain-table", "tables_are_encrypted", func(r resources) { delete(r.props("AnnalsEventsTable"), "SSESpecification") }},
	{"plain-bucket", "buckets_are_encrypted", func(r resources) { delete(r.props("AnnalsBucket"), "BucketEncryption") }},
	{"plain-stream", "streams_are_encrypted", func(r resources) { delete(r.props("AnnalsIngestStream"), "StreamEncryption") }},
	{"plain-queue", "queues_are_encrypted", func(r resources) { r.props("AnnalsDeadLetters")["SqsManagedSseEnabled"] = false }},
	{"without-tls", "buckets_take_tls_only", func(r resources) { delete(r.all, "AnnalsBucketPolicy") }},
	{"tls-for-reads", "buckets_take_tls_only", func(r resources) {
		r.at("AnnalsBucketPolicy/Properties/PolicyDocument/Statement/0")["Action"] = "s3:GetObject"
	}},
	{"tls-for-the-bucket", "buckets_take_tls_only", func(r resources) {
		s := r.at("AnnalsBucketPolicy/Properties/PolicyDocument/Statement/0")
		s["Resource"] = s["Resource"].([]any)[:1]
	}},

	{"public-bucket", "no_public_bucket", func(r resources) {
		r.at("AnnalsBucket/Properties/PublicAccessBlockConfiguration")["BlockPublicAcls"] = false
	}},
	{"public-list", "no_public_bucket", func(r resources) { r.props("AnnalsBucket")["AccessControl"] = "PublicRead" }},
	{"open-bucket", "no_open_bucket_policy", func(r resources) {
		document := r.at("AnnalsBucketPolicy/Properties/PolicyDocument")
		document["Statement"] = append(document["Statement"].([]any), object("Effect", "Allow", "Principal", "*", "Action", "s3:GetObject", "Resource", "*"))
	}},
	{"open-queue", "no_policies_of_others", func(r resources) { r.all["Open"] = object("Type", "AWS::SQS::QueuePolicy") }},
	{"open-table", "no_policies_of_others", func(r resources) {
		r.props("AnnalsEventsTable")["ResourcePolicy"] = object("PolicyDocument", object())
	}},
	{"open-route", "routes_are_authorized", func(r resources) { r.props("AnnalsRouteGET")["AuthorizationType"] = "NONE" }},
	{"jwt-of-nobody", "routes_are_authorized", func(r resources) { r.props("AnnalsRouteGET")["AuthorizationType"] = "JWT" }},
	{"no-throttling", "api_is_throttled_and_logged", func(r resources) { delete(r.props("AnnalsStage"), "DefaultRouteSettings") }},
	{"no-access-log", "api_is_throttled_and_logged", func(r resources) { delete(r.props("AnnalsStage"), "AccessLogSettings") }},
	{"function-url", "no_function_url", func(r resources) { r.all["Url"] = object("Type", "AWS::Lambda::Url") }},
	{"custom-resource", "no_code_of_others", func(r resources) { r.all["Cleaner"] = object("Type", "Custom::S3AutoDeleteObjects") }},

	{"unprotected-table", "tables_outlive_mistakes", func(r resources) { r.props("AnnalsEventsTable")["DeletionProtectionEnabled"] = false }},
	{"recovered-keys", "keys_can_not_be_recovered", func(r resources) { r.props("AnnalsEventsTable")["TableName"] = "annals-keys" }},
	{"no-recovery", "tables_can_be_recovered", func(r resources) { delete(r.props("AnnalsLogTable"), "PointInTimeRecoverySpecification") }},
	{"deleted-table", "tables_outlive_mistakes", func(r resources) { r.at("AnnalsEventsTable")["DeletionPolicy"] = "Delete" }},
	{"mortal-events", "events_live_for_ever", func(r resources) {
		r.props("AnnalsEventsTable")["TimeToLiveSpecification"] = object("AttributeName", "until", "Enabled", true)
	}},
	{"deleted-bucket", "buckets_outlive_mistakes", func(r resources) { r.at("AnnalsBucket")["DeletionPolicy"] = "Delete" }},
	{"expiring-bodies", "buckets_outlive_mistakes", func(r resources) {
		r.at("AnnalsBucket/Properties/LifecycleConfiguration/Rules/0")["Prefix"] = "annals/"
	}},
	{"expiring-at-a-date", "buckets_outlive_mistakes", func(r resources) {
		r.at("AnnalsBucket/Properties/LifecycleConfiguration/Rules/1")["ExpirationDate"] = "2030-01-01T00:00:00Z"
	}},
	{"no-older-versions", "buckets_outlive_mistakes", func(r resources) {
		r.at("AnnalsBucket/Properties/LifecycleConfiguration/Rules/1")["NoncurrentVersionExpiration"] = object("NoncurrentDays", 1)
	}},
	{"endless-logs", "logs_have_retention", func(r resources) { delete(r.props("AnnalsTrackLogs"), "RetentionInDays") }},
	{"other-logs", "functions_log_to_such_a_group", func(r resources) { delete(r.props("AnnalsTrackFunction"), "LoggingConfig") }},
	{"short-letters", "queues_have_dead_letters", func(r resources) { r.props("AnnalsDeadLetters")["MessageRetentionPeriod"] = 345600 }},
	{"no-letters", "queues_have_dead_letters", func(r resources) { delete(r.props("AnnalsEventQueue"), "RedrivePolicy") }},
	{"whole-batches", "batches_fail_in_part", func(r resources) { delete(r.props("AnnalsTrackQueueMapping"), "FunctionResponseTypes") }},
	{"silent-failure", "batches_that_fail_are_told", func(r resources) { delete(r.props("AnnalsPumpIngestMapping"), "DestinationConfig") }},
	{"late-start", "batches_that_fail_are_told", func(r resources) { r.props("AnnalsSequenceEventsMapping")["StartingPosition"] = "LATEST" }},
}
