package cdk_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"

	"github.com/eb901187/annals/deploy/cdk"
)

// templateOf reads a golden template for CDK's assertions.
func templateOf(t *testing.T, path string) assertions.Template {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return templateFrom(t, text)
}

func templateFrom(t *testing.T, text []byte) assertions.Template {
	t.Helper()
	var template map[string]any
	if err := json.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	return assertions.Template_FromJSON(&template, nil)
}

// has fails the test unless one resource of a kind has the properties.
func has(t *testing.T, template assertions.Template, kind string, properties map[string]any) {
	t.Helper()
	defer func() {
		if found := recover(); found != nil {
			t.Errorf("no %s has %v:\n%v", kind, properties, found)
		}
	}()
	template.HasResourceProperties(&kind, properties)
}

func att(id, name string) map[string]any { return object("Fn::GetAtt", []any{id, name}) }

func TestTables(t *testing.T) {
	template := templateOf(t, golden)
	for _, table := range []struct {
		name, hash, hashType, sort, sortType, stream, ttl string
	}{
		{"annals-events", "stream", "S", "version", "N", "NEW_IMAGE", ""},
		{"annals-log", "key", "S", "at", "N", "KEYS_ONLY", "until"},
		{"annals-views", "space", "S", "key", "S", "", ""},
	} {
		want := object(
			"TableName", table.name,
			"KeySchema", []any{object("AttributeName", table.hash, "KeyType", "HASH"), object("AttributeName", table.sort, "KeyType", "RANGE")},
			"AttributeDefinitions", []any{object("AttributeName", table.hash, "AttributeType", table.hashType), object("AttributeName", table.sort, "AttributeType", table.sortType)},
			"StreamSpecification", assertions.Match_Absent(), "TimeToLiveSpecification", assertions.Match_Absent(),
			"GlobalSecondaryIndexes", assertions.Match_Absent(),
		)
		if table.stream != "" {
			want["StreamSpecification"] = object("StreamViewType", table.stream)
		}
		if table.ttl != "" {
			want["TimeToLiveSpecification"] = object("AttributeName", table.ttl, "Enabled", true)
		}
		has(t, template, "AWS::DynamoDB::Table", want)
	}
	template.ResourceCountIs(new("AWS::DynamoDB::Table"), new(3.0))
}

func TestMappings(t *testing.T) {
	template := templateOf(t, golden)
	letters := object("OnFailure", object("Destination", att("AnnalsDeadLetters", "Arn")))
	none := assertions.Match_Absent()
	filter := func(pattern string) any { return object("Filters", []any{object("Pattern", pattern)}) }
	page := filter(`{"eventName":["INSERT"],"dynamodb":{"Keys":{"key":{"S":["log"]}}}}`)
	for _, m := range []struct {
		source   map[string]any
		function string
		start    any
		window   int
		age      any
		bisect   any
		failure  any
		filter   any
	}{
		{att("AnnalsEventQueue", "Arn"), "Track", none, 1, none, none, none, none},
		{att("AnnalsIngestStream", "Arn"), "Pump", "TRIM_HORIZON", 1, 6 * 3600, true, letters, none},
		{att("AnnalsEventsTable", "StreamArn"), "Sequence", "TRIM_HORIZON", 0, -1, false, letters, none},
		{att("AnnalsLogTable", "StreamArn"), "Write", "TRIM_HORIZON", 0, 3600, false, none, page},
		{att("AnnalsLogTable", "StreamArn"), "React", "TRIM_HORIZON", 0, 3600, false, none, page},
		{att("AnnalsPlaybackStream", "Arn"), "Write", "LATEST", 1, 3600, false, none, none},
	} {
		want := object(
			"EventSourceArn", m.source, "FunctionName", object("Ref", "Annals"+m.function+"Function"), "BatchSize", 1000,
			"FunctionResponseTypes", []any{"ReportBatchItemFailures"}, "MaximumBatchingWindowInSeconds", m.window,
			"StartingPosition", m.start, "MaximumRecordAgeInSeconds", m.age, "BisectBatchOnFunctionError", m.bisect,
			"DestinationConfig", m.failure, "FilterCriteria", m.filter,
		)
		if m.start != none {
			want["MaximumRetryAttempts"], want["ParallelizationFactor"] = -1, 1
		}
		has(t, template, "AWS::Lambda::EventSourceMapping", want)
	}
	template.ResourceCountIs(new("AWS::Lambda::EventSourceMapping"), new(6.0))
}

// The tick is made where one of those that it wakes is deployed, and may wake it.
func TestTick(t *testing.T) {
	for _, roles := range [][]cdk.Role{{cdk.Write, cdk.React}, {cdk.Write}, {cdk.React}, {cdk.Query}} {
		props := everything(t)
		props.Roles = roles
		if !slices.Contains(roles, cdk.React) {
			props.ReactZip = ""
		}
		template := templateFrom(t, synthesize(t, props))
		var targets []any
		for _, role := range []string{"write", "react"} {
			if !slices.Contains(roles, cdk.Role(role)) {
				continue
			}
			function := "Annals" + strings.ToUpper(role[:1]) + role[1:] + "Function"
			targets = append(targets, object("Id", role, "Arn", att(function, "Arn")))
			has(t, template, "AWS::Lambda::Permission", object("Action", "lambda:InvokeFunction", "FunctionName", object("Ref", function),
				"Principal", "events.amazonaws.com", "SourceArn", att("AnnalsTick", "Arn")))
		}
		if targets != nil {
			has(t, template, "AWS::Events::Rule", object("Name", "annals-tick", "ScheduleExpression", "rate(1 minute)", "State", "ENABLED", "Targets", targets))
		}
		template.ResourceCountIs(new("AWS::Events::Rule"), new(float64(min(1, len(targets)))))
		template.ResourcePropertiesCountIs(new("AWS::Lambda::Permission"), object("Principal", "events.amazonaws.com"), new(float64(len(targets))))
	}
}

func TestFunctions(t *testing.T) {
	template := templateOf(t, golden)
	for _, f := range []struct {
		role            cdk.Role
		timeout, memory int
		env             map[string]any
	}{
		{cdk.Load, 10, 256, object("ANNALS_INGEST_STREAM", "annals-ingest", "ANNALS_STORE", assertions.Match_Absent())},
		{cdk.Track, 60, 512, object("ANNALS_QUEUE", "annals-event-queue", "ANNALS_DEAD_LETTERS", object("Ref", "AnnalsDeadLetters"))},
		{cdk.Pump, 60, 512, object("ANNALS_INGEST_STREAM", "annals-ingest", "ANNALS_DEAD_LETTERS", object("Ref", "AnnalsDeadLetters"))},
		{cdk.Command, 10, 512, object()},
		{cdk.Query, 29, 512, object("ANNALS_PROJECTIONS", "/opt/projections")},
		{cdk.Sequence, 60, 512, object()},
		{cdk.Write, 300, 512, object("ANNALS_PLAYBACK_STREAM", "annals-playback", "ANNALS_PROJECTIONS", "/opt/projections")},
		{cdk.React, 300, 512, object()},
		{cdk.Playback, 900, 512, object("ANNALS_PLAYBACK_STREAM", "annals-playback", "ANNALS_PROJECTIONS", "/opt/projections")},
	} {
		f.env["ANNALS_ROLE"] = string(f.role)
		if _, set := f.env["ANNALS_STORE"]; !set {
			f.env["ANNALS_STORE"] = object("Fn::Sub", "dynamodb://annals?bucket=${AnnalsBucket}")
		}
		has(t, template, "AWS::Lambda::Function", object(
			"FunctionName", "annals-"+string(f.role), "Timeout", f.timeout, "MemorySize", f.memory,
			"Runtime", "provided.al2023", "Handler", "bootstrap", "Architectures", []any{"arm64"},
			"Environment", object("Variables", f.env), "VpcConfig", assertions.Match_Absent(),
		))
	}
}

// To the role of one's own code rights are added, so that its generated name is an
// output; nobody else's is.
func TestReactRoleIsAnOutput(t *testing.T) {
	templateOf(t, golden).HasOutput(new("ReactRole"), object("Value", object("Ref", "AnnalsReactRole")))
	if found := templateOf(t, goldenChosen).FindOutputs(new("ReactRole"), nil); len(*found) != 0 {
		t.Errorf("without react there is %v", *found)
	}
}

// An invocation that could not go on, or that met a change of events, is no error of
// Lambda's, so that only the functions' own metrics tell of it.
func TestAlarmsOfOwnMetrics(t *testing.T) {
	alarm := func(name, namespace, metric, role string) map[string]any {
		return object(
			"AlarmName", name, "Namespace", namespace, "MetricName", metric, "Statistic", "Sum", "Threshold", 0,
			"Dimensions", []any{object("Name", "role", "Value", role)}, "ComparisonOperator", "GreaterThanThreshold",
		)
	}
	for _, want := range []map[string]any{
		alarm("annals-WriteStalled", "Annals", "Stalled", "write"), alarm("annals-ReactStalled", "Annals", "Stalled", "react"),
		alarm("annals-SequenceTampered", "Annals", "Tampered", "sequence"),
	} {
		has(t, templateOf(t, golden), "AWS::CloudWatch::Alarm", want)
	}
	has(t, templateOf(t, goldenChosen), "AWS::CloudWatch::Alarm", alarm("orders-SequenceTampered", "Orders", "Tampered", "sequence"))
}

// The queue hides a message for six times as long as track may take.
func TestQueue(t *testing.T) {
	has(t, templateOf(t, golden), "AWS::SQS::Queue", object(
		"QueueName", "annals-event-queue", "VisibilityTimeout", 6*60, "MessageRetentionPeriod", 4*24*3600,
		"RedrivePolicy", object("deadLetterTargetArn", att("AnnalsDeadLetters", "Arn"), "maxReceiveCount", 5),
	))
}

// Each prop shows in the template.
func TestChosen(t *testing.T) {
	template := templateOf(t, goldenChosen)
	key := "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
	has(t, template, "AWS::DynamoDB::Table", object("TableName", "orders-events", "DeletionProtectionEnabled", false, "SSESpecification", object("KMSMasterKeyId", key)))
	has(t, template, "AWS::DynamoDB::Table", object(
		"TableName", "orders-keys", "KeySchema", []any{object("AttributeName", "subject", "KeyType", "HASH")},
		"PointInTimeRecoverySpecification", object("PointInTimeRecoveryEnabled", false), "SSESpecification", object("KMSMasterKeyId", key),
	))
	has(t, template, "AWS::Lambda::Function", object("FunctionName", "orders-query",
		"Environment", object("Variables", object("ANNALS_KEYS", "dynamodb://orders-keys?kms=arn:aws:kms:eu-central-1:111122223333:key/66666666-7777-8888-9999-000000000000"))))
	has(t, template, "AWS::Kinesis::Stream", object("Name", "orders-ingest", "ShardCount", 4, "RetentionPeriodHours", 48, "StreamEncryption", object("KeyId", key)))
	has(t, template, "AWS::SQS::Queue", object("QueueName", "orders-dead-letters", "KmsMasterKeyId", key))
	has(t, template, "AWS::Lambda::EventSourceMapping", object("EventSourceArn", att("AnnalsIngestStream", "Arn"), "MaximumRecordAgeInSeconds", 3*3600))
	has(t, template, "AWS::Lambda::Function", object("FunctionName", "orders-pump", "Architectures", []any{"x86_64"}, "TracingConfig", object("Mode", "Active"),
		"Environment", object("Variables", object("OTEL_EXPORTER_OTLP_ENDPOINT", "https://otlp.example.com", "ANNALS_LOG_LEVEL", "debug", "ANNALS_METRICS", "Orders"))))
	has(t, template, "AWS::Logs::LogGroup", object("LogGroupName", "/aws/lambda/orders-pump", "RetentionInDays", 7))
	has(t, template, "AWS::ApiGatewayV2::Authorizer", object("AuthorizerType", "JWT", "JwtConfiguration", object("Issuer", "https://issuer.example.com", "Audience", []any{"orders"})))
	has(t, template, "AWS::ApiGatewayV2::Route", object("RouteKey", "POST /v1/ingest", "AuthorizationType", "JWT", "AuthorizationScopes", []any{"orders/write"}))
	has(t, template, "AWS::ApiGatewayV2::Stage", object("DefaultRouteSettings", object("ThrottlingRateLimit", 50, "ThrottlingBurstLimit", 100)))
	has(t, template, "AWS::CloudWatch::Alarm", object("AlarmName", "orders-PumpLate", "AlarmActions", []any{"arn:aws:sns:eu-central-1:111122223333:orders-alarms"}))
	for kind, count := range map[string]float64{
		"AWS::Lambda::Function": 5, "AWS::Kinesis::Stream": 1, "AWS::SQS::Queue": 2, "AWS::Events::Rule": 0,
		"AWS::CloudWatch::Dashboard": 0, "AWS::Lambda::LayerVersion": 0,
	} {
		template.ResourceCountIs(&kind, &count)
	}
}

// Whatever is wrong is named, all of it at once, and nothing is made.
func TestWrongProps(t *testing.T) {
	for want, change := range map[string]func(*cdk.Props){
		`Name is "a b"`:                       func(p *cdk.Props) { p.Name = "a b" },
		`Name is "ab"`:                        func(p *cdk.Props) { p.Name = "ab" },
		"Zip is missing; make lambda":         func(p *cdk.Props) { p.Zip = "" },
		"Zip can't be read: stat nowhere.zip": func(p *cdk.Props) { p.Zip = "nowhere.zip" },
		"which is no zip file":                func(p *cdk.Props) { p.Zip = "testdata" },
		"Architecture is \"arm\"":             func(p *cdk.Props) { p.Architecture = "arm" },
		"LogRetentionDays is 2; CloudWatch":   func(p *cdk.Props) { p.LogRetentionDays = 2 },
		"StreamRetentionHours is 23":          func(p *cdk.Props) { p.StreamRetentionHours = 23 },
		"Shards is -1":                        func(p *cdk.Props) { p.Shards = -1 },
		"MaxRecordAge is 30s":                 func(p *cdk.Props) { p.MaxRecordAge = 30 * time.Second },
		"raise StreamRetentionHours":          func(p *cdk.Props) { p.MaxRecordAge = 48 * time.Hour },
		"Authorizer.Issuer is \"\"":           func(p *cdk.Props) { p.Authorizer.Audience = []string{"a"} },
		"Authorizer.Issuer is \"http://":      func(p *cdk.Props) { p.Authorizer = cdk.Authorizer{Issuer: "http://a.example", Audience: []string{"a"}} },
		"Authorizer.Audience is missing":      func(p *cdk.Props) { p.Authorizer.Issuer = "https://a.example" },
		"Throttling.Rate is -1":               func(p *cdk.Props) { p.Throttling.Rate = -1 },
		"Throttling.Burst is 6000":            func(p *cdk.Props) { p.Throttling.Burst = 6000 },
		"KeyArn is \"alias/a\"":               func(p *cdk.Props) { p.KeyArn = "alias/a" },
		"SubjectKeyArn is \"alias/a\"":        func(p *cdk.Props) { p.SubjectKeyArn = "alias/a" },
		"Alarms.TopicArn is \"pager\"":        func(p *cdk.Props) { p.Alarms.TopicArn = "pager" },
		"Alarms.Disabled makes no alarms": func(p *cdk.Props) {
			p.Alarms = cdk.Alarms{Disabled: true, TopicArn: "arn:aws:sns:eu-west-1:111122223333:a"}
		},
		"TracesEndpoint is \"otlp\"":              func(p *cdk.Props) { p.TracesEndpoint = "otlp" },
		"MetricsNamespace is \"AWS/SQS\"":         func(p *cdk.Props) { p.MetricsNamespace = "AWS/SQS" },
		"MetricsNamespace is \"a b\"":             func(p *cdk.Props) { p.MetricsNamespace = "a b" },
		"LogLevel is \"loud\"":                    func(p *cdk.Props) { p.LogLevel = "loud" },
		"RemovalPolicy is SNAPSHOT":               func(p *cdk.Props) { p.RemovalPolicy = awscdk.RemovalPolicy_SNAPSHOT },
		"Roles is empty":                          func(p *cdk.Props) { p.Roles = []cdk.Role{} },
		`Roles has "reader"; roles are load`:      func(p *cdk.Props) { p.Roles = []cdk.Role{"reader"} },
		"Roles has query twice":                   func(p *cdk.Props) { p.Roles = []cdk.Role{cdk.Query, cdk.Query} },
		"ReactZip is missing":                     func(p *cdk.Props) { p.Roles = []cdk.Role{cdk.React} },
		"Roles has no react":                      func(p *cdk.Props) { p.Roles, p.ReactZip = []cdk.Role{cdk.Query}, p.Zip },
		"Projections can't be read: stat nowhere": func(p *cdk.Props) { p.Projections = "nowhere" },
		"which is no directory":                   func(p *cdk.Props) { p.Projections = "props.go" },
	} {
		props := cdk.Props{Zip: stockZip(t, "stock")}
		change(&props)
		stack := awscdk.NewStack(awscdk.NewApp(nil), new("annals"), nil)
		_, err := cdk.NewAnnals(stack, "Annals", props)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
		if n := len(*stack.Node().Children()); n != 0 {
			t.Errorf("%s: %d children were made", want, n)
		}
	}
	_, err := cdk.NewAnnals(awscdk.NewStack(awscdk.NewApp(nil), new("annals"), nil), "Annals", cdk.Props{Name: "!", Shards: -1, LogLevel: "loud"})
	for _, field := range []string{"Name", "Zip", "Shards", "LogLevel"} {
		if err == nil || !strings.Contains(err.Error(), "\n"+field+" is") {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

// A stack may hold two stores.
func TestTwoStores(t *testing.T) {
	out := t.TempDir()
	app := awscdk.NewApp(&awscdk.AppProps{Outdir: &out})
	stack := awscdk.NewStack(app, new("annals"), nil)
	for id, name := range map[string]string{"Annals": "annals", "Orders": "orders"} {
		if _, err := cdk.NewAnnals(stack, id, cdk.Props{Name: name, Zip: stockZip(t, name), Roles: []cdk.Role{cdk.Query}}); err != nil {
			t.Fatal(err)
		}
	}
	template := assertions.Template_FromStack(stack, nil)
	template.HasOutput(new("StoreAddress"), object())
	template.HasOutput(new("OrdersStoreAddress"), object())
	has(t, template, "AWS::DynamoDB::Table", object("TableName", "orders-events"))
}
