package local_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals/awstest/local"
)

func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "template.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const role = `"R": {"Type": "AWS::IAM::Role", "Properties": {"Policies": [{"PolicyDocument": {"Statement": [
	{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": {"Fn::GetAtt": ["Q", "Arn"]}},
	{"Effect": "Deny", "Action": ["s3:*"], "Resource": ["*"]}]}}]}}`

const function = `"F": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": {"Fn::Join": ["-", ["f", {"Ref": "AWS::Region"}]]},
	"Timeout": 7, "MemorySize": 256, "Role": {"Fn::GetAtt": "R.Arn"},
	"Environment": {"Variables": {"QUEUE": {"Ref": "Q"}, "ADDRESS": {"Fn::Sub": ["x://${B}?a=${Own}&${!Literal}", {"Own": {"Ref": "Parameter"}}]}}}}}`

const rest = `"Q": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "q", "VisibilityTimeout": 60, "MessageRetentionPeriod": 1209600, "RedrivePolicy": {"deadLetterTargetArn": "arn:x", "maxReceiveCount": 5}}},
	"B": {"Type": "AWS::S3::Bucket", "Properties": {}},
	"T": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "t", "StreamSpecification": {"StreamViewType": "NEW_IMAGE"},
		"AttributeDefinitions": [{"AttributeName": "n", "AttributeType": "N"}, {"AttributeName": "k", "AttributeType": "S"}],
		"KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}]}},
	"M": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {"EventSourceArn": {"Fn::GetAtt": ["T", "StreamArn"]}, "FunctionName": {"Ref": "F"},
		"BatchSize": 10, "MaximumRecordAgeInSeconds": 60, "StartingPosition": "LATEST", "FunctionResponseTypes": ["ReportBatchItemFailures"],
		"FilterCriteria": {"Filters": [{"Pattern": "{}"}]}, "DestinationConfig": {"OnFailure": {"Destination": {"Fn::GetAtt": ["Q", "Arn"]}}}}},
	"I": {"Type": "AWS::ApiGatewayV2::Integration", "Properties": {"IntegrationUri": {"Fn::GetAtt": ["F", "Arn"]}, "PayloadFormatVersion": "2.0"}},
	"W": {"Type": "AWS::ApiGatewayV2::Route", "Properties": {"RouteKey": "GET /", "Target": {"Fn::Sub": "integrations/${I}"}}},
	"E": {"Type": "AWS::Events::Rule", "Properties": {"Name": "tick", "ScheduleExpression": "rate(5 minutes)", "Targets": [{"Arn": {"Fn::GetAtt": ["F", "Arn"]}}]}}`

const permissions = `"P1": {"Type": "AWS::Lambda::Permission", "Properties": {"Action": "lambda:InvokeFunction", "FunctionName": {"Ref": "F"}, "Principal": "apigateway.amazonaws.com"}},
	"P2": {"Type": "AWS::Lambda::Permission", "Properties": {"Action": "lambda:InvokeFunction", "FunctionName": {"Ref": "F"}, "Principal": "events.amazonaws.com"}},
	"A": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"X": {"Fn::ImportValue": "passed over"}}}`

func templateOf(resources ...string) string {
	return `{"Parameters": {"Parameter": {"Default": "value"}}, "Resources": {` + strings.Join(resources, ",\n") + `}}`
}

func TestReadTemplate(t *testing.T) {
	t.Parallel()
	stack, err := local.ReadTemplate(written(t, templateOf(role, function, rest, permissions)))
	if err != nil {
		t.Fatal(err)
	}
	f := stack.Functions[0]
	if f.Name != "f-us-east-1" || f.Timeout != 7*time.Second || f.Memory != 256 || f.Env["ADDRESS"] != "x://b?a=value&${Literal}" ||
		f.Env["QUEUE"] != "https://sqs.us-east-1.amazonaws.com/123456789012/q" {
		t.Errorf("function %+v", f)
	}
	if len(f.Grants) != 2 || f.Grants[0].Deny || f.Grants[0].Resources[0] != "arn:aws:sqs:us-east-1:123456789012:q" || !f.Grants[1].Deny {
		t.Errorf("grants %+v", f.Grants)
	}
	if table := stack.Tables[0]; table != (local.Table{Name: "t", Hash: "k:S", Range: "n:N", StreamView: "NEW_IMAGE"}) {
		t.Errorf("table %+v", table)
	}
	m := stack.Mappings[0]
	if m.Source != stack.TableStreamARN("t") || m.Function != "f-us-east-1" || m.Retries != -1 || m.MaxAge != time.Minute || !m.PartialResponses || m.OnFailure == "" || len(m.Filters) != 1 {
		t.Errorf("mapping %+v", m)
	}
	if q := stack.Queues[0]; q.Attributes["VisibilityTimeout"] != "60" || q.Attributes["MessageRetentionPeriod"] != "1209600" || !strings.Contains(q.Attributes["RedrivePolicy"], `"maxReceiveCount":5`) {
		t.Errorf("queue %+v", q)
	}
	if !slices.Equal(stack.Routes, []local.Route{{Key: "GET /", Function: "f-us-east-1"}}) || !slices.Equal(stack.Buckets, []string{"b"}) {
		t.Errorf("routes %+v, buckets %v", stack.Routes, stack.Buckets)
	}
	if s := stack.Schedules[0]; s.Name != "tick" || s.Every != 5*time.Minute || s.Function != "f-us-east-1" {
		t.Errorf("schedule %+v", s)
	}
}

// A rule may invoke several functions, each of which has to permit it.
func TestScheduleOfTwo(t *testing.T) {
	t.Parallel()
	second := strings.NewReplacer(`"F": {`, `"G": {`, `["-", ["f", {"Ref": "AWS::Region"}]]`, `["-", ["g"]]`).Replace(function)
	both := strings.Replace(rest, `[{"Arn": {"Fn::GetAtt": ["F", "Arn"]}}]`, `[{"Arn": {"Fn::GetAtt": ["F", "Arn"]}}, {"Arn": {"Fn::GetAtt": ["G", "Arn"]}}]`, 1)
	if _, err := local.ReadTemplate(written(t, templateOf(role, function, second, both, permissions))); err == nil || !strings.Contains(err.Error(), `events.amazonaws.com is not permitted to invoke the function "g"`) {
		t.Errorf("without a permission: %v", err)
	}
	permitted := `"P3": {"Type": "AWS::Lambda::Permission", "Properties": {"Action": "lambda:InvokeFunction", "FunctionName": {"Ref": "G"}, "Principal": "events.amazonaws.com"}}`
	stack, err := local.ReadTemplate(written(t, templateOf(role, function, second, both, permissions, permitted)))
	if err != nil {
		t.Fatal(err)
	}
	want := []local.Schedule{{Name: "tick", Every: 5 * time.Minute, Function: "f-us-east-1"}, {Name: "tick", Every: 5 * time.Minute, Function: "g"}}
	if !slices.Equal(stack.Schedules, want) {
		t.Errorf("schedules %+v", stack.Schedules)
	}
	d := local.Deploy(t, local.Stack{Functions: []local.Function{{Name: "f-us-east-1", Timeout: time.Minute}, {Name: "g", Timeout: time.Minute}}, Schedules: want}, local.Options{Bootstrap: self(t)})
	if err := d.Tick("tick"); err != nil {
		t.Fatal(err)
	}
	for _, s := range want {
		if lines := d.Lines(s.Function); len(lines) != 1 || !strings.Contains(lines[0].Text, "rule/tick") {
			t.Errorf("%s was invoked with %v", s.Function, lines)
		}
	}
	if err := d.Tick("tock"); err == nil {
		t.Error("there is no such schedule")
	}
}

// What isn't played must not look as if it worked.
func TestReadTemplateRefuses(t *testing.T) {
	t.Parallel()
	whole := templateOf(role, function, rest, permissions)
	for _, test := range []struct{ old, new, want string }{
		{permissions, `"X": {"Type": "x"}`, "not permitted"},
		{`"Effect": "Allow",`, `"Effect": "Allow", "Condition": {},`, "conditions"},
		{`"rate(5 minutes)"`, `"cron(0 * * * ? *)"`, "only rates"},
		{`{"Ref": "Q"}`, `{"Ref": "Nowhere"}`, "Nowhere"},
		{`{"Ref": "Q"}`, `{"Fn::Select": [0, []]}`, "Fn::Select"},
		{`["T", "StreamArn"]`, `["T", "Nothing"]`, "Nothing"},
		{`"BatchSize": 10,`, `"ParallelizationFactor": 2,`, "of a shard"},
		{`"PayloadFormatVersion": "2.0"`, `"PayloadFormatVersion": "1.0"`, "payload format"},
		{`"R.Arn"`, `"Q.Arn"`, "role"},
		{`{`, ``, "template.json"},
	} {
		_, err := local.ReadTemplate(written(t, strings.Replace(whole, test.old, test.new, 1)))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s for %s: %v", test.new, test.old, err)
		}
	}
}
