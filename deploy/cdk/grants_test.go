package cdk_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// granted is all that each role may do, besides writing its log: service:actions
// and on what.
var granted = map[string][]string{
	"Load": {
		"kinesis:PutRecords IngestStream",
	},
	"Track": {
		"sqs:DeleteMessage,GetQueueAttributes,ReceiveMessage EventQueue",
		"sqs:SendMessage DeadLetters",
		"dynamodb:PutItem,Query EventsTable",
		"dynamodb:GetItem LogTable",
		"s3:GetObject,PutObject Bucket/annals/bodies/* Bucket/annals/pending/*",
		"s3:ListBucket Bucket",
		"s3:PutObject Bucket/annals/dead/*",
	},
	"Pump": {
		"kinesis:DescribeStream,DescribeStreamSummary,GetRecords,GetShardIterator,ListShards IngestStream",
		"sqs:SendMessage DeadLetters",
		"dynamodb:PutItem,Query EventsTable",
		"dynamodb:GetItem LogTable",
		"s3:GetObject,PutObject Bucket/annals/bodies/* Bucket/annals/pending/*",
		"s3:ListBucket Bucket",
		"s3:PutObject Bucket/annals/dead/*",
	},
	"Command": {
		"dynamodb:PutItem,Query EventsTable",
		"dynamodb:GetItem LogTable",
		"s3:GetObject,PutObject Bucket/annals/bodies/* Bucket/annals/pending/*",
		"s3:ListBucket Bucket",
	},
	"Query": {
		"dynamodb:Query EventsTable",
		"dynamodb:GetItem,Query LogTable",
		"s3:GetObject Bucket/annals/bodies/* Bucket/annals/pages/* Bucket/annals/pending/* Bucket/annals/runs/*",
		"s3:ListBucket Bucket",
		"dynamodb:BatchGetItem,GetItem,Query ViewsTable",
	},
	"Sequence": {
		"dynamodb:DescribeStream,GetRecords,GetShardIterator,ListStreams EventsTable.StreamArn",
		"dynamodb:GetItem,Query EventsTable",
		"dynamodb:BatchWriteItem,GetItem,PutItem,Query LogTable",
		"s3:GetObject,PutObject Bucket/annals/bodies/* Bucket/annals/pages/* Bucket/annals/runs/*",
		"s3:GetObject Bucket/annals/pending/*",
		"s3:DeleteObject Bucket/annals/pages/*",
		"s3:ListBucket Bucket",
		"sqs:SendMessage DeadLetters",
	},
	"Write": {
		"dynamodb:DescribeStream,GetRecords,GetShardIterator,ListStreams LogTable.StreamArn",
		"kinesis:DescribeStream,DescribeStreamSummary,GetRecords,GetShardIterator,ListShards PlaybackStream",
		"dynamodb:Query EventsTable",
		"dynamodb:GetItem,Query LogTable",
		"s3:GetObject Bucket/annals/bodies/* Bucket/annals/pages/* Bucket/annals/pending/* Bucket/annals/runs/*",
		"s3:ListBucket Bucket",
		"dynamodb:BatchGetItem,GetItem,Query ViewsTable",
		"dynamodb:ConditionCheckItem,DeleteItem,PutItem ViewsTable",
		"dynamodb:BatchWriteItem ViewsTable",
	},
	"React": {
		"dynamodb:DescribeStream,GetRecords,GetShardIterator,ListStreams LogTable.StreamArn",
		"dynamodb:Query EventsTable",
		"dynamodb:GetItem,Query LogTable",
		"s3:GetObject Bucket/annals/bodies/* Bucket/annals/pages/* Bucket/annals/pending/* Bucket/annals/runs/*",
		"s3:ListBucket Bucket",
		"dynamodb:BatchGetItem,GetItem,Query ViewsTable",
		"dynamodb:ConditionCheckItem,DeleteItem,PutItem ViewsTable",
		"dynamodb:PutItem EventsTable",
		"s3:PutObject Bucket/annals/bodies/* Bucket/annals/pending/*",
	},
	"Playback": {
		"dynamodb:Query EventsTable",
		"dynamodb:GetItem,Query LogTable",
		"s3:GetObject Bucket/annals/bodies/* Bucket/annals/pages/* Bucket/annals/pending/* Bucket/annals/runs/*",
		"s3:ListBucket Bucket",
		"dynamodb:BatchGetItem,GetItem,Query ViewsTable",
		"dynamodb:ConditionCheckItem,DeleteItem,PutItem ViewsTable",
		"dynamodb:BatchWriteItem ViewsTable",
		"dynamodb:PutItem EventsTable",
		"s3:PutObject Bucket/annals/bodies/* Bucket/annals/pending/*",
		"kinesis:PutRecords PlaybackStream",
		"lambda:InvokeFunction arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:annals-playback",
	},
}

func TestGrants(t *testing.T) {
	r := resourcesOf(t, golden)
	for role, want := range granted {
		var got []string
		for _, s := range r.at("Annals" + role + "Role/Properties/Policies/0/PolicyDocument")["Statement"].([]any) {
			got = append(got, readable(s.(map[string]any)))
		}
		want = append([]string{"logs:CreateLogStream,PutLogEvents " + role + "Logs"}, want...)
		if !slices.Equal(got, want) {
			t.Errorf("%s may\n\t%s\nand should\n\t%s", role, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
	}
	for id, v := range r.all {
		if v.(map[string]any)["Type"] == "AWS::IAM::Role" && granted[strings.TrimSuffix(strings.TrimPrefix(id, "Annals"), "Role")] == nil {
			t.Errorf("%s is not in the list of this test", id)
		}
	}
}

// readable is a statement as granted has it.
func readable(s map[string]any) string {
	var service string
	var actions []string
	for _, action := range s["Action"].([]any) {
		var name string
		service, name, _ = strings.Cut(action.(string), ":")
		actions = append(actions, name)
	}
	line := service + ":" + strings.Join(actions, ",")
	for _, resource := range s["Resource"].([]any) {
		line += " " + place(resource)
	}
	return line
}

// place is an ARN as granted has it: AnnalsBucket.Arn is Bucket.
func place(v any) string {
	intrinsic, _ := v.(map[string]any)
	if list, ok := intrinsic["Fn::GetAtt"].([]any); ok {
		return strings.TrimSuffix(strings.TrimPrefix(list[0].(string), "Annals")+"."+list[1].(string), ".Arn")
	}
	switch sub := intrinsic["Fn::Sub"].(type) {
	case string:
		return sub
	case []any:
		return strings.ReplaceAll(sub[0].(string), "${Arn}", place(sub[1].(map[string]any)["Arn"]))
	}
	return fmt.Sprint(v)
}

// Of a key of one's own, each role may use what its work takes.
func TestKeyGrants(t *testing.T) {
	r := resourcesOf(t, goldenChosen)
	const key = " arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
	for role, want := range map[string]string{
		"Load":     "kms:GenerateDataKey",
		"Query":    "kms:Decrypt,DescribeKey",
		"Pump":     "kms:Decrypt,DescribeKey,Encrypt,GenerateDataKey,ReEncryptFrom,ReEncryptTo",
		"Sequence": "kms:Decrypt,DescribeKey,Encrypt,GenerateDataKey,ReEncryptFrom,ReEncryptTo",
	} {
		if got := readable(r.statement("Annals"+role+"Role", "UseKey")); got != want+key {
			t.Errorf("%s may %s and should %s", role, got, want+key)
		}
		if got, want := readable(r.statement("Annals"+role+"Role", "Trace")), "xray:PutTelemetryRecords,PutTraceSegments *"; got != want {
			t.Errorf("%s may %s and should %s", role, got, want)
		}
	}
}

// The keys of data subjects are made where events are stored, and only opened where they
// are read.
func TestSubjectKeyGrants(t *testing.T) {
	r := resourcesOf(t, goldenChosen)
	const key = " arn:aws:kms:eu-central-1:111122223333:key/66666666-7777-8888-9999-000000000000"
	for role, want := range map[string][2]string{
		"Track": {"dynamodb:GetItem,PutItem KeysTable", "kms:Decrypt,GenerateDataKey" + key},
		"Pump":  {"dynamodb:GetItem,PutItem KeysTable", "kms:Decrypt,GenerateDataKey" + key},
		"Query": {"dynamodb:GetItem KeysTable", "kms:Decrypt" + key},
	} {
		for i, sid := range []string{"SubjectKeys", "WrapSubjectKeys"} {
			if got := readable(r.statement("Annals"+role+"Role", sid)); got != want[i] {
				t.Errorf("%s may %s and should %s", role, got, want[i])
			}
		}
	}
	for _, role := range []string{"Load", "Sequence"} {
		policy, err := json.Marshal(r.at("Annals" + role + "Role"))
		if err != nil || strings.Contains(string(policy), "Subject") {
			t.Errorf("%s may use the keys of data subjects: %s %v", role, policy, err)
		}
		environment, err := json.Marshal(r.props("Annals" + role + "Function")["Environment"])
		if err != nil || strings.Contains(string(environment), "ANNALS_KEYS") {
			t.Errorf("%s: %s %v", role, environment, err)
		}
	}
}

func resourcesOf(t *testing.T, path string) resources {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var template struct{ Resources map[string]any }
	if err := json.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	return resources{t, template.Resources}
}
