package local_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals/awstest/local"
)

// call has the function f call a service.
func call(t *testing.T, d *local.Deployment, method, service, target, path, body string) (status int, answer string) {
	t.Helper()
	order, err := json.Marshal(map[string]string{"do": "call", "url": strings.Join([]string{method, service, target, path, body}, " ")})
	if err != nil {
		t.Fatal(err)
	}
	result := invoke(t, d, "f", string(order))
	var out struct {
		Status int
		Body   string
	}
	if err := json.Unmarshal(result.Payload, &out); err != nil || result.Failed {
		t.Fatalf("%s: %v", result.Payload, err)
	}
	return out.Status, out.Body
}

func query(table string) string {
	return fmt.Sprintf(`{"TableName":%q,"KeyConditionExpression":"k = :k","ExpressionAttributeValues":{":k":{"S":"a"}}}`, table)
}

// A function may do what its role grants, and everything else is denied and told.
func TestGateLetsPassWhatIsGranted(t *testing.T) {
	t.Parallel()
	var denied []string
	t.Run("run", func(t *testing.T) {
		stack := local.Stack{
			Tables:  []local.Table{{Name: "events", Hash: "k:S", Range: "n:N"}, {Name: "log", Hash: "k:S"}},
			Buckets: []string{"bucket"},
			Functions: []local.Function{{Name: "f", Timeout: 20 * time.Second, Grants: []local.Grant{
				{Actions: []string{"dynamodb:Query", "dynamodb:PutItem"}, Resources: []string{"arn:aws:dynamodb:us-east-1:123456789012:table/events"}},
				{Actions: []string{"s3:GetObject", "s3:PutObject"}, Resources: []string{"arn:aws:s3:::bucket/a/*"}},
				{Actions: []string{"lambda:InvokeFunction"}, Resources: []string{"*"}},
				{Deny: true, Actions: []string{"s3:*"}, Resources: []string{"arn:aws:s3:::bucket/a/no*"}},
			}}},
		}
		faults := 0
		d := local.Deploy(t, stack, local.Options{Bootstrap: self(t), Denied: func(lines []string) { denied = lines }, Fault: func(c local.Call) *local.Fault {
			if c.Actions[0] == "dynamodb:PutItem" && faults == 0 {
				faults++
				return &local.Fault{Code: "ProvisionedThroughputExceededException", Message: "planted"}
			}
			return nil
		}})
		const tables = "DynamoDB_20120810."
		put := `{"TableName":"events","Item":{"k":{"S":"a"},"n":{"N":"1"}}}`
		for _, test := range []struct {
			method, service, target, path, body string
			want                                int
			contains                            string
		}{
			{"POST", "dynamodb", tables + "Query", "/", query("events"), 200, `"Count":0`},
			{"POST", "dynamodb", tables + "Query", "/", query("log"), 400, "AccessDeniedException"},
			{"POST", "dynamodb", tables + "PutItem", "/", put, 400, "ProvisionedThroughputExceeded"},
			{"POST", "dynamodb", tables + "PutItem", "/", put, 200, ""},
			{"POST", "dynamodb", tables + "DeleteItem", "/", `{"TableName":"events","Key":{}}`, 400, "AccessDeniedException"},
			{"POST", "dynamodb", tables + "TransactWriteItems", "/", `{"TransactItems":[{"Update":{"TableName":"events"}}]}`, 400, "dynamodb:UpdateItem"},
			{"PUT", "s3", "", "/bucket/a/b", "body", 200, ""},
			{"GET", "s3", "", "/bucket/a/b", "", 200, "body"},
			{"GET", "s3", "", "/bucket/b", "", 403, "AccessDenied"},
			{"GET", "s3", "", "/bucket/a/none", "", 403, "AccessDenied"},
			{"GET", "s3", "", "/bucket/a/missing", "", 403, "s3:ListBucket"},
			{"POST", "sts", "", "/", "", 403, "not played"},
		} {
			status, answer := call(t, d, test.method, test.service, test.target, test.path, test.body)
			if status != test.want || !strings.Contains(answer, test.contains) {
				t.Errorf("%s %s %s: got %d %s", test.method, test.target, test.path, status, answer)
			}
		}
		if got := d.Unused("f"); !slices.Equal(got, []string{"lambda:InvokeFunction"}) {
			t.Errorf("unused: %v", got)
		}
	})
	all := strings.Join(denied, "\n")
	for _, want := range []string{"f needs dynamodb:Query on arn:aws:dynamodb:us-east-1:123456789012:table/log", "dynamodb:UpdateItem", "bucket/a/none", `"sts"`} {
		if !strings.Contains(all, want) {
			t.Errorf("%s is not told in:\n%s", want, all)
		}
	}
	if strings.Contains(all, "ProvisionedThroughput") || strings.Contains(all, "PutItem on") {
		t.Errorf("a planted fault was told as a denial:\n%s", all)
	}
}
