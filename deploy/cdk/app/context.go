package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"

	"github.com/eb901187/annals/deploy/cdk"
)

// A source is where the context comes from: a constructs.Node.
type source interface {
	TryGetContext(key *string) any
	GetAllContext(defaults *map[string]any) any
}

// propsOf reads props from the context. Each key is set by -c key=value or in
// cdk.json; keys that are not set leave the construct's own choice.
func propsOf(context source) (cdk.Props, error) {
	r := reader{context: context}
	p := cdk.Props{
		Name: r.text("name"), Zip: r.text("zip"), ReactZip: r.text("reactZip"), Architecture: r.text("architecture"),
		Projections:      r.text("projections"),
		LogRetentionDays: r.number("logRetentionDays"), StreamRetentionHours: r.number("streamRetentionHours"), Shards: r.number("shards"),
		MaxRecordAge: r.duration("maxRecordAge"),
		Authorizer:   cdk.Authorizer{Issuer: r.text("jwtIssuer"), Audience: r.list("jwtAudience"), Scopes: r.list("jwtScopes")},
		Throttling:   cdk.Throttling{Rate: float64(r.number("throttlingRate")), Burst: r.number("throttlingBurst")},
		KeyArn:       r.text("kmsKeyArn"), SubjectKeyArn: r.text("subjectKeyArn"),
		Alarms:      cdk.Alarms{Disabled: r.yes("noAlarms"), TopicArn: r.text("alarmTopicArn")},
		NoDashboard: r.yes("noDashboard"), Tracing: r.yes("tracing"), TracesEndpoint: r.text("tracesEndpoint"),
		LogLevel: r.text("logLevel"), MetricsNamespace: r.text("metricsNamespace"),
	}
	for _, role := range r.list("roles") {
		p.Roles = append(p.Roles, cdk.Role(role))
	}
	if r.yes("destroy") {
		p.RemovalPolicy = awscdk.RemovalPolicy_DESTROY
	}
	if p.Name == "" {
		p.Name = "annals"
	}
	if p.Architecture == "" {
		p.Architecture = cdk.ARM64
	}
	if p.Zip == "" {
		// Where make lambda puts it, seen from the directory of cdk.json.
		p.Zip = "../../dist/annals-lambda-" + p.Architecture + ".zip"
	}
	r.refuseUnknown()
	return p, errors.Join(r.errs...)
}

// keys are all that propsOf reads.
var keys = []string{
	"name", "zip", "reactZip", "architecture", "projections", "roles", "logRetentionDays", "streamRetentionHours", "shards",
	"maxRecordAge", "jwtIssuer", "jwtAudience", "jwtScopes", "throttlingRate", "throttlingBurst", "kmsKeyArn", "subjectKeyArn", "noAlarms",
	"alarmTopicArn", "noDashboard", "tracing", "tracesEndpoint", "logLevel", "metricsNamespace", "destroy",
}

// A reader reads the context and gathers what can't be read.
type reader struct {
	context source
	errs    []error
}

// text is what -c gives for a key, or what cdk.json has, as text.
func (r *reader) text(key string) string {
	switch v := r.context.TryGetContext(&key).(type) {
	case nil:
		return ""
	case string:
		return v
	case []any:
		var parts []string
		for _, part := range v {
			parts = append(parts, fmt.Sprint(part))
		}
		return strings.Join(parts, ",")
	default:
		return fmt.Sprint(v)
	}
}

// refuseUnknown finds misspelled keys, which would be ignored silently. Keys of
// CDK's own have a colon, an @ or a slash.
func (r *reader) refuseUnknown() {
	all, _ := r.context.GetAllContext(nil).(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if !strings.ContainsAny(key, ":@/") && !slices.Contains(keys, key) {
			r.errs = append(r.errs, fmt.Errorf("the context has the unknown key %s; README.md lists those that there are", key))
		}
	}
}

func (r *reader) list(key string) []string {
	if text := r.text(key); text != "" {
		return strings.Split(text, ",")
	}
	return nil
}

func (r *reader) number(key string) int {
	return read(r, key, "a whole number", strconv.Atoi)
}

func (r *reader) duration(key string) time.Duration {
	return read(r, key, "a duration such as 6h or 90m", time.ParseDuration)
}

func (r *reader) yes(key string) bool {
	return read(r, key, "true or false", strconv.ParseBool)
}

func read[T any](r *reader, key, form string, parse func(string) (T, error)) T {
	var value T
	text := r.text(key)
	if text == "" {
		return value
	}
	value, err := parse(text)
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("the context's %s is %q; it must be %s", key, text, form))
	}
	return value
}
