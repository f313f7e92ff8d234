package main

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"

	"github.com/eb901187/annals/deploy/cdk"
)

// given is what -c and cdk.json say.
type given struct {
	values map[string]any
	read   map[string]bool
}

func (c given) TryGetContext(key *string) any {
	c.read[*key] = true
	return c.values[*key]
}

func (c given) GetAllContext(*map[string]any) any { return c.values }

func propsGiven(values map[string]any) (cdk.Props, error) {
	return propsOf(given{values, map[string]bool{}})
}

func TestPropsOf(t *testing.T) {
	got, err := propsGiven(map[string]any{
		"name": "orders", "zip": "a.zip", "reactZip": "b.zip", "architecture": "x86_64", "projections": "p", "roles": "query,react",
		"logRetentionDays": "7", "streamRetentionHours": 48.0, "shards": "2", "maxRecordAge": "90m",
		"jwtIssuer": "https://i.example", "jwtAudience": "a,b", "jwtScopes": []any{"s", "t"},
		"throttlingRate": "50", "throttlingBurst": "100", "kmsKeyArn": "arn:k", "subjectKeyArn": "arn:s", "noAlarms": "true", "alarmTopicArn": "arn:t",
		"noDashboard": true, "tracing": "true", "tracesEndpoint": "https://o.example", "logLevel": "debug", "metricsNamespace": "N",
		"destroy": "true", "@aws-cdk/core:stackRelativeExports": true, "aws:cdk:bundling-stacks": []any{"**"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := cdk.Props{
		Name: "orders", Zip: "a.zip", ReactZip: "b.zip", Architecture: "x86_64", Projections: "p", Roles: []cdk.Role{cdk.Query, cdk.React},
		LogRetentionDays: 7, StreamRetentionHours: 48, Shards: 2, MaxRecordAge: 90 * time.Minute,
		Authorizer: cdk.Authorizer{Issuer: "https://i.example", Audience: []string{"a", "b"}, Scopes: []string{"s", "t"}},
		Throttling: cdk.Throttling{Rate: 50, Burst: 100}, KeyArn: "arn:k", SubjectKeyArn: "arn:s", Alarms: cdk.Alarms{Disabled: true, TopicArn: "arn:t"},
		NoDashboard: true, Tracing: true, TracesEndpoint: "https://o.example", LogLevel: "debug", MetricsNamespace: "N",
		RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// Every field of the props can be set.
func TestEveryPropHasAKey(t *testing.T) {
	values := map[string]any{}
	for _, key := range keys {
		values[key] = "1"
	}
	values["maxRecordAge"] = "1h"
	p, err := propsGiven(values)
	if err != nil {
		t.Fatal(err)
	}
	for field := range reflect.TypeFor[cdk.Props]().Fields() {
		if reflect.ValueOf(p).FieldByIndex(field.Index).IsZero() {
			t.Errorf("no key of the context sets %s", field.Name)
		}
	}
}

func TestDefaults(t *testing.T) {
	c := given{nil, map[string]bool{}}
	p, err := propsOf(c)
	if err != nil {
		t.Fatal(err)
	}
	if want := (cdk.Props{Name: "annals", Architecture: cdk.ARM64, Zip: "../../dist/annals-lambda-arm64.zip"}); !reflect.DeepEqual(p, want) {
		t.Errorf("got %+v", p)
	}
	for key := range c.read {
		if !slices.Contains(keys, key) {
			t.Errorf("%s is read, and would be refused", key)
		}
	}
	for _, key := range keys {
		if !c.read[key] {
			t.Errorf("%s is never read", key)
		}
	}
}

func TestWrongContext(t *testing.T) {
	_, err := propsGiven(map[string]any{"shards": "many", "maxRecordAge": "6", "tracing": "perhaps", "alarmTopic": "arn:t"})
	for _, want := range []string{
		`shards is "many"; it must be a whole number`, `maxRecordAge is "6"; it must be a duration`,
		`tracing is "perhaps"; it must be true or false`, "unknown key alarmTopic;",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
}

// README.md has a row for each key.
func TestKeysAreDocumented(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if !strings.Contains(string(readme), fmt.Sprintf("\n| `%s` |", key)) {
			t.Errorf("README.md has no row for %s", key)
		}
	}
}
