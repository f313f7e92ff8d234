package dynamo

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// templatePath is what CDK deploys.
const templatePath = "../deploy/cdk/testdata/annals.template.json"

// A tableLayout is what Init and a deployment must agree on.
type tableLayout struct {
	Keys      []string // name, type, kind
	Stream    string   // what the stream holds; empty for none
	TTL       string
	Billing   string
	Protected bool
}

// A templateTable holds the properties of a table in a template.
type templateTable struct {
	TableName            string
	BillingMode          types.BillingMode
	AttributeDefinitions []types.AttributeDefinition
	KeySchema            []types.KeySchemaElement
	StreamSpecification  struct{ StreamViewType string }

	DeletionProtectionEnabled        bool
	PointInTimeRecoverySpecification struct{ PointInTimeRecoveryEnabled bool }
	TimeToLiveSpecification          struct{ AttributeName string }
}

func keysOf(schema []types.KeySchemaElement, attributes []types.AttributeDefinition) (keys []string) {
	for _, k := range schema {
		i := slices.IndexFunc(attributes, func(a types.AttributeDefinition) bool {
			return aws.ToString(a.AttributeName) == aws.ToString(k.AttributeName)
		})
		keys = append(keys, fmt.Sprint(aws.ToString(k.AttributeName), " ", attributes[i].AttributeType, " ", k.KeyType))
	}
	return keys
}

// The tables that a deployment makes are those that Init makes.
func TestTemplateHasTheTablesOfInit(t *testing.T) {
	address := newAddress(t)
	address.Name = "annals"
	mustInit(t, address)
	clients, err := connect(t.Context(), &address, &Options{})
	if err != nil {
		t.Fatal(err)
	}
	tables := 0
	for id, r := range templateResources(t) {
		if r.Type != "AWS::DynamoDB::Table" {
			continue
		}
		tables++
		var d templateTable
		if err := json.Unmarshal(r.Properties, &d); err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		got := tableLayout{keysOf(d.KeySchema, d.AttributeDefinitions), d.StreamSpecification.StreamViewType, d.TimeToLiveSpecification.AttributeName, string(d.BillingMode), d.DeletionProtectionEnabled}
		if want := describe(t, clients.db, d.TableName); !reflect.DeepEqual(got, want) {
			t.Errorf("%s in %s is\n\t%+v, and annals init makes\n\t%+v", d.TableName, templatePath, got, want)
		}
		// Stand-ins don't offer it, so the plan says what Init asks for.
		planned := slices.ContainsFunc(address.Plan(), func(p Part) bool {
			return p.Resource == "table "+d.TableName && p.Setting == "point-in-time recovery"
		})
		if !planned || !d.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled {
			t.Errorf("point-in-time recovery of %s: %v deployed, %v by annals init", d.TableName, d.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled, planned)
		}
	}
	if tables != 3 {
		t.Errorf("%d tables are deployed", tables)
	}
}

// describe asks for the layout of a table that Init has made.
func describe(t *testing.T, db *dynamodb.Client, name string) tableLayout {
	t.Helper()
	out, err := db.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &name})
	if err != nil {
		t.Fatal(err)
	}
	ttl, err := db.DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: &name})
	if err != nil {
		t.Fatal(err)
	}
	layout := tableLayout{
		Keys: keysOf(out.Table.KeySchema, out.Table.AttributeDefinitions), TTL: aws.ToString(ttl.TimeToLiveDescription.AttributeName),
		Billing: string(out.Table.BillingModeSummary.BillingMode), Protected: aws.ToBool(out.Table.DeletionProtectionEnabled),
	}
	if spec := out.Table.StreamSpecification; spec != nil && aws.ToBool(spec.StreamEnabled) {
		layout.Stream = string(spec.StreamViewType)
	}
	return layout
}

// Init finds its rule in a bucket that was deployed, and the rule sweeps the same.
func TestTemplateHasTheBucketOfInit(t *testing.T) {
	var bucket struct {
		LifecycleConfiguration struct {
			Rules []struct {
				ID                             string `json:"Id"`
				Prefix                         string
				ExpirationInDays               int
				AbortIncompleteMultipartUpload struct{ DaysAfterInitiation int }
			}
		}
	}
	if err := json.Unmarshal(templateResources(t)["AnnalsBucket"].Properties, &bucket); err != nil {
		t.Fatal(err)
	}
	rules := bucket.LifecycleConfiguration.Rules
	if len(rules) != 2 {
		t.Fatalf("the bucket has the rules %+v", rules)
	}
	got := fmt.Sprintf("lifecycle: %s is removed after %d days, parts of uploads after %d", rules[0].Prefix, rules[0].ExpirationInDays, rules[1].AbortIncompleteMultipartUpload.DaysAfterInitiation)
	address := Address{Name: "annals", Bucket: "b"}
	if !slices.ContainsFunc(address.Plan(), func(p Part) bool { return p.Setting == got }) {
		t.Errorf("deployed is %q, and annals init plans %+v", got, address.Plan())
	}
	if rules[0].ID != "annals-annals-pending" {
		t.Errorf("annals init would add its rule, as it doesn't know %s", rules[0].ID)
	}
}

type templateResource struct {
	Type       string
	Properties json.RawMessage
}

func templateResources(t *testing.T) map[string]templateResource {
	t.Helper()
	text, err := os.ReadFile(templatePath)
	if err != nil {
		t.Fatal(err)
	}
	var template struct{ Resources map[string]templateResource }
	if err := json.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	return template.Resources
}
