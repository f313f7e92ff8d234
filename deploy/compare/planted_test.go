package compare

import (
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
)

// inModule are differences: a piece of the module's text, what stands in its place,
// and what is found then.
var inModule = []struct{ file, old, new, found string }{
	{"tables.tf", `range_key                   = "at"`, `range_key                   = "key"`, "table annals-log: RANGE key:"},
	{"tables.tf", `"KEYS_ONLY"`, `"NEW_IMAGE"`, "table annals-log: stream:"},
	{"tables.tf", `attribute_name = "until"`, `attribute_name = "at"`, "table annals-log: time to live by:"},
	{"tables.tf", "point_in_time_recovery {\n    enabled = true", "point_in_time_recovery {\n    enabled = false", "point in time recovery:"},
	{"tables.tf", "stream_enabled              = true", "stream_enabled              = false", "stream:"},
	{"bucket.tf", "restrict_public_buckets = true", "restrict_public_buckets = false", "bucket: restrict public:"},
	{"bucket.tf", "days = 30", "days = 3", "bucket: lifecycle annals-annals-pending, expiration days:"},
	{"bucket.tf", `"aws:SecureTransport" = "false"`, `"aws:SecureTransport" = "true"`, "bucket policy: s3:* on"},
	{"bucket.tf", "\n}\n\nresource \"aws_s3_bucket_public", "\n  force_destroy = true\n}\n\nresource \"aws_s3_bucket_public", "bucket: kept with its objects:"},
	{"streams.tf", `"ON_DEMAND"`, `"PROVISIONED"`, "kinesis stream annals-ingest: mode:"},
	{"queues.tf", "maxReceiveCount     = 5", "maxReceiveCount     = 6", "queue annals-event-queue: redrive:"},
	{"queues.tf", `"byQueue"`, `"allowAll"`, "queue annals-dead-letters: redrive allowed:"},
	{"functions.tf", "track    = { timeout = 60, memory = 512 }", "track    = { timeout = 30, memory = 512 }", "function annals-track: timeout:"},
	{"functions.tf", "load     = { timeout = 10, memory = 256 }", "load     = { timeout = 10, memory = 128 }", "function annals-load: memory:"},
	{"functions.tf", `ANNALS_QUEUE = "${var.name}-event-queue"`, `ANNALS_QUEUE = "event-queue"`, "function annals-track: environment ANNALS_QUEUE:"},
	{"functions.tf", `"Allow"`, `"Terminate"`, "function annals-playback: recursion:"},
	{"functions.tf", "retention_in_days = var.log_retention_days", "", "log group /aws/lambda/annals-command: retention days:"},
	{"mappings.tf", "batch_size                         = 1000", "batch_size                         = 100", ": batch size:"},
	{"mappings.tf", "bisect_batch_on_function_error     = true", "", "to annals-pump: bisect:"},
	{"mappings.tf", `eventName = ["INSERT"], `, `eventName = ["MODIFY"], `, "to annals-write: filters:"},
	{"outputs.tf", `if name == "react"`, `if name == "write"`, "output react_role: value:"},
	{"mappings.tf", `"LATEST"`, `"TRIM_HORIZON"`, "to annals-write: starts at:"},
	{"mappings.tf", `["ReportBatchItemFailures"]`, "[]", ": partial answers:"},
	{"mappings.tf", "aws_sqs_queue.dead_letters[0].arn", "aws_sqs_queue.events[0].arn", ": on failure:"},
	{"mappings.tf", "rate(1 minute)", "rate(5 minutes)", "rule annals-tick: schedule:"},
	{"mappings.tf", `arn       = aws_lambda_function.role[each.key].arn`, `arn       = aws_lambda_function.role["react"].arn`, "rule annals-tick: target write:"},
	{"mappings.tf", "\"tick\" {\n  for_each = local.wakers\n\n  target_id", "\"tick\" {\n  for_each = toset([\"react\"])\n\n  target_id", "rule annals-tick: target write:"},
	{"mappings.tf", "\"tick\" {\n  for_each = local.wakers\n\n  statement_id", "\"tick\" {\n  for_each = toset([\"react\"])\n\n  statement_id",
		"permission of events.amazonaws.com to invoke annals-write: only in the template"},
	{"api.tf", `"POST /v1/ingest"`, `"PUT /v1/ingest"`, "route PUT /v1/ingest: only in Terraform"},
	{"api.tf", `"AWS_IAM"`, `"NONE"`, "route GET /: authorization:"},
	{"api.tf", `throttling_burst_limit   = var.throttling.burst`, `throttling_burst_limit   = 1`, "stage $default: calls at once:"},
	{"api.tf", `"$context.requestId"`, `"$context.path"`, "stage $default: access log format:"},
	{"api.tf", `/*/*"`, `/*"`, "permission of apigateway.amazonaws.com to invoke annals-command: source:"},
	{"grants.tf", `["kinesis:PutRecords"]`, `["kinesis:PutRecords", "kinesis:PutRecord"]`, "role of annals-load: grant: kinesis:PutRecord on"},
	{"grants.tf", `"${local.objects}/dead/*"`, `"${local.objects}/*"`, "role of annals-pump: grant: s3:PutObject on"},
	{"grants.tf", `Service = "lambda.amazonaws.com"`, `Service = "ec2.amazonaws.com"`, "role of annals-command: trust: sts:AssumeRole on it by"},
	{"alarms.tf", "threshold           = 10 * 60", "threshold           = 60", "alarm annals-QueueLate: threshold:"},
	{"alarms.tf", `metric = "Tampered"`, `metric = "Sequenced"`, "alarm annals-SequenceTampered: metric:"},
	{"alarms.tf", `"SUM(METRICS())"`, `"MAX(METRICS())"`, "query both, expression:"},
	{"dashboard.tf", `"p99"`, `"p50"`, "dashboard annals: graph Duration (ms, p99):"},
	{"outputs.tf", `one(aws_sqs_queue.events[*].url)`, `one(aws_sqs_queue.events[*].name)`, "output queue_url: value:"},
	{"variables.tf", `default     = "arm64"`, `default     = "x86_64"`, "function annals-load: architecture:"},
}

// A difference that is planted on either side is found and named.
func TestPlantedDifferences(t *testing.T) {
	template, err := ReadTemplate(golden(t, templatePath))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range inModule {
		files := sources(t)
		if !strings.Contains(string(files[c.file]), c.old) {
			t.Errorf("%s has no %q", c.file, c.old)
			continue
		}
		files[c.file] = []byte(strings.Replace(string(files[c.file]), c.old, c.new, 1))
		module, err := readModule(t, files, given)
		if err != nil {
			t.Errorf("%s with %s: %v", c.file, c.new, err)
			continue
		}
		mustFind(t, Diff(template, module, "the template", "Terraform"), c.new, c.found)
	}
}

func TestPlantedDifferencesInTheTemplate(t *testing.T) {
	module, err := readModule(t, sources(t), given)
	if err != nil {
		t.Fatal(err)
	}
	text := string(golden(t, templatePath))
	for _, c := range []struct{ old, new, found string }{
		{`"KeyType": "RANGE"`, `"KeyType": "HASH"`, "HASH key:"},
		{`"TableName": "annals-log"`, `"TableName": "annals-pages"`, "table annals-pages: only in the template"},
		{`"VisibilityTimeout": 360`, `"VisibilityTimeout": 30`, "queue annals-event-queue: visibility timeout:"},
		{`"MaximumRecordAgeInSeconds": 21600`, `"MaximumRecordAgeInSeconds": 60`, "to annals-pump: record age seconds:"},
		{`"MaximumRetryAttempts": -1`, `"MaximumRetryAttempts": 3`, ": retries:"},
		{`"MemorySize": 256`, `"MemorySize": 512`, "function annals-load: memory:"},
		{`"dynamodb:PutItem"`, `"dynamodb:UpdateItem"`, ": grant: dynamodb:UpdateItem on"},
		{`"AuthorizationType": "AWS_IAM"`, `"AuthorizationType": "NONE"`, ": authorization:"},
		{`"RetentionInDays": 30`, `"RetentionInDays": 60`, ": retention days:"},
		{`"RecursiveLoop": "Allow"`, `"RecursiveLoop": "Terminate"`, "function annals-playback: recursion:"},
		{`"TreatMissingData": "notBreaching"`, `"TreatMissingData": "breaching"`, ": missing data:"},
		{`"SSEAlgorithm": "AES256"`, `"SSEAlgorithm": "aws:kms"`, "bucket: encryption:"},
		{`"Id": "write"`, `"Id": "query"`, "rule annals-tick: target query:"},
		{`"ThrottlingRateLimit": 1000`, `"ThrottlingRateLimit": 10`, "stage $default: calls a second:"},
		{`"ANNALS_ROLE": "pump"`, `"ANNALS_ROLE": "track"`, "function annals-pump: environment ANNALS_ROLE:"},
	} {
		if !strings.Contains(text, c.old) {
			t.Errorf("the template has no %s", c.old)
			continue
		}
		template, err := ReadTemplate([]byte(strings.Replace(text, c.old, c.new, 1)))
		if err != nil {
			t.Errorf("%s: %v", c.new, err)
			continue
		}
		mustFind(t, Diff(template, module, "the template", "Terraform"), c.new, c.found)
	}
}

func mustFind(t *testing.T, differences []string, planted, found string) {
	t.Helper()
	if !slices.ContainsFunc(differences, func(d string) bool { return strings.Contains(d, found) }) {
		t.Errorf("%s was planted, and this is what was found, not %q:\n%s", planted, found, strings.Join(differences, "\n"))
	}
}

// What is not known is refused, so that nothing is left out of the comparison.
func TestWhatCannotBeComparedIsRefused(t *testing.T) {
	text := string(golden(t, templatePath))
	for _, c := range []struct{ old, new, says string }{
		{`"VisibilityTimeout": 360`, `"DelaySeconds": 5`, "sets DelaySeconds, which is not compared"},
		{`"AWS::CloudWatch::Dashboard"`, `"AWS::SSM::Parameter"`, "the type AWS::SSM::Parameter is not known here"},
		{`"KeyType": "RANGE"`, `"KeyType": "RANGE", "Kind": 1`, "sets Kind, which is not compared"},
		{`"MemorySize": 256`, `"MemorySize": {"Fn::If": ["Small", 256, 512]}`, "Fn::If of [Small 256 512] can't be compared"},
		{`"Ref": "AnnalsBucket"`, `"Ref": "Elsewhere"`, "there is no resource Elsewhere"},
	} {
		if !strings.Contains(text, c.old) {
			t.Errorf("the template has no %s", c.old)
			continue
		}
		if _, err := ReadTemplate([]byte(strings.Replace(text, c.old, c.new, 1))); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, not %q", c.new, err, c.says)
		}
	}
	for _, c := range []struct{ file, old, new, says string }{
		{"queues.tf", "visibility_timeout_seconds = 6", "delay_seconds = 6", "sets delay_seconds, which is not compared"},
		{"streams.tf", `"aws_kinesis_stream" "ingest"`, `"aws_sns_topic" "ingest"`, "is not declared"},
		{"functions.tf", "local.roles\n", "local.rolls\n", "local.rolls is not declared"},
		{"outputs.tf", "aws_s3_bucket.store.bucket", "aws_s3_bucket.store.colour", "does not have an attribute named \"colour\""},
		{"variables.tf", `default     = "arm64"`, `default     = "mips"`, "var.architecture: architecture must be"},
		{"functions.tf", `  reads_projections =`, "  roles2 = local.roles3\n  roles3 = local.roles2\n  reads_projections = local.roles2 == 1 ? [] :", "needs itself"},
	} {
		files := sources(t)
		if !strings.Contains(string(files[c.file]), c.old) {
			t.Errorf("%s has no %q", c.file, c.old)
			continue
		}
		files[c.file] = []byte(strings.Replace(string(files[c.file]), c.old, c.new, 1))
		if _, err := readModule(t, files, given); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s with %s: %v, not %q", c.file, c.new, err, c.says)
		}
	}
}

func TestValidations(t *testing.T) {
	set := func(names ...string) cty.Value {
		var list []cty.Value
		for _, n := range names {
			list = append(list, cty.StringVal(n))
		}
		return cty.SetVal(list)
	}
	zip := cty.StringVal("annals.zip")
	for _, c := range []struct {
		given map[string]cty.Value
		says  string
	}{
		{map[string]cty.Value{}, "var.lambda_zip must be given"},
		{map[string]cty.Value{"lambda_zip": zip, "name": cty.StringVal("a")}, "name must be 3 to 40"},
		{map[string]cty.Value{"lambda_zip": zip, "roles": set("load", "pumpe")}, "roles may hold"},
		{map[string]cty.Value{"lambda_zip": zip, "roles": set("react")}, "needs react_zip"},
		{map[string]cty.Value{"lambda_zip": zip, "roles": set("load"), "react_zip": zip}, "roles has no react"},
		{map[string]cty.Value{"lambda_zip": zip, "max_record_age_seconds": cty.NumberIntVal(100000)}, "raise stream_retention_hours"},
		{map[string]cty.Value{"lambda_zip": zip, "log_retention_days": cty.NumberIntVal(31)}, "log_retention_days must be"},
		{map[string]cty.Value{"lambda_zip": zip, "rolls": zip}, "no variable rolls"},
	} {
		if _, err := readModule(t, sources(t), c.given); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v, not %q", c.given, err, c.says)
		}
	}
}
