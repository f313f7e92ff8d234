package cdk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
)

var (
	names     = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{2,39}$`)
	keyArns   = regexp.MustCompile(`^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$`)
	topicArns = regexp.MustCompile(`^arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:.+$`)
	https     = regexp.MustCompile(`^https://[^/?#\s]+[^?#\s]*$`)
	metrics   = regexp.MustCompile(`^[a-zA-Z0-9_./#:-]{1,255}$`)
	endpoints = regexp.MustCompile(`^https?://[^/?#\s]+[^?#\s]*$`)
)

// retentions are the days that CloudWatch Logs can keep a group's events.
var retentions = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

// violations gather what is wrong with props.
type violations []error

// add says what is wrong with a field, and what would be right.
func (v *violations) add(field, format string, args ...any) {
	*v = append(*v, fmt.Errorf("%s "+format, append([]any{field}, args...)...))
}

func (v *violations) must(ok bool, field, format string, args ...any) {
	if !ok {
		v.add(field, format, args...)
	}
}

// validate names everything that is wrong.
func (p Props) validate() error {
	var v violations
	v.must(names.MatchString(p.Name), "Name", "is %q; it must be 3 to 40 letters, digits, hyphens and underscores", p.Name)
	v.must(p.Architecture == ARM64 || p.Architecture == X8664, "Architecture", "is %q; it must be %s or %s", p.Architecture, ARM64, X8664)
	v.must(slices.Contains(retentions, p.LogRetentionDays), "LogRetentionDays", "is %d; CloudWatch knows %s", p.LogRetentionDays, numbers(retentions))
	v.must(p.StreamRetentionHours >= 24 && p.StreamRetentionHours <= 8760, "StreamRetentionHours", "is %d; it must be 24 to 8760", p.StreamRetentionHours)
	v.must(p.Shards >= 0 && p.Shards <= 10000, "Shards", "is %d; it must be 0, which is on demand, or up to 10000", p.Shards)
	v.must(p.MaxRecordAge >= time.Minute && p.MaxRecordAge <= 7*24*time.Hour && p.MaxRecordAge%time.Second == 0,
		"MaxRecordAge", "is %v; it must be whole seconds from 1m to 168h", p.MaxRecordAge)
	v.must(p.MaxRecordAge <= time.Duration(p.StreamRetentionHours)*time.Hour,
		"MaxRecordAge", "is %v, and the stream keeps records for %d hours only; raise StreamRetentionHours", p.MaxRecordAge, p.StreamRetentionHours)
	v.must(p.Throttling.Rate > 0 && p.Throttling.Rate <= 10000, "Throttling.Rate", "is %v; it must be above 0 and at most 10000", p.Throttling.Rate)
	v.must(p.Throttling.Burst > 0 && p.Throttling.Burst <= 5000, "Throttling.Burst", "is %d; it must be 1 to 5000", p.Throttling.Burst)
	v.must(p.KeyArn == "" || keyArns.MatchString(p.KeyArn), "KeyArn", "is %q; it must be the ARN of a KMS key, not of an alias", p.KeyArn)
	v.must(p.SubjectKeyArn == "" || keyArns.MatchString(p.SubjectKeyArn), "SubjectKeyArn", "is %q; it must be the ARN of a KMS key, not of an alias", p.SubjectKeyArn)
	v.must(p.Alarms.TopicArn == "" || topicArns.MatchString(p.Alarms.TopicArn), "Alarms.TopicArn", "is %q; it must be the ARN of an SNS topic", p.Alarms.TopicArn)
	v.must(!p.Alarms.Disabled || p.Alarms.TopicArn == "", "Alarms.TopicArn", "is set, and Alarms.Disabled makes no alarms; take one of them off")
	v.must(slices.Contains([]string{"debug", "info", "warn", "error"}, p.LogLevel), "LogLevel", "is %q; it must be debug, info, warn or error", p.LogLevel)
	v.must(metrics.MatchString(p.MetricsNamespace) && !strings.HasPrefix(p.MetricsNamespace, "AWS/"),
		"MetricsNamespace", "is %q; it must be letters, digits and . _ - / # :, and not start with AWS/", p.MetricsNamespace)
	v.must(p.TracesEndpoint == "" || endpoints.MatchString(p.TracesEndpoint), "TracesEndpoint", "is %q; it must be http://… or https://…", p.TracesEndpoint)
	v.must(p.RemovalPolicy == awscdk.RemovalPolicy_RETAIN || p.RemovalPolicy == awscdk.RemovalPolicy_DESTROY,
		"RemovalPolicy", "is %s; it must be RETAIN or DESTROY", p.RemovalPolicy)
	v.authorizer(p.Authorizer)
	v.roles(p)
	v.zip("Zip", p.Zip, p.Architecture)
	if p.ReactZip != "" {
		v.zip("ReactZip", p.ReactZip, p.Architecture)
	}
	v.projections(p.Projections)
	return errors.Join(v...)
}

func (v *violations) roles(p Props) {
	v.must(len(p.Roles) > 0, "Roles", "is empty; leave it nil for all roles")
	for i, r := range p.Roles {
		v.must(slices.Contains(Roles(), r), "Roles", "has %q; roles are %s", r, listed(Roles()))
		v.must(!slices.Contains(p.Roles[:i], r), "Roles", "has %s twice", r)
	}
	react := slices.Contains(p.Roles, React)
	v.must(!react || p.ReactZip != "", "ReactZip", "is missing; the role react needs a binary with reactions of your own")
	v.must(react || p.ReactZip == "", "ReactZip", "is set, and Roles has no react; add it, or leave ReactZip out")
}

// zip finds out early what the cdk command would say in words of its own.
func (v *violations) zip(field, path, architecture string) {
	if path == "" {
		v.add(field, "is missing; make lambda builds dist/annals-lambda-%s.zip", architecture)
		return
	}
	info, err := os.Stat(path)
	if err != nil {
		v.add(field, "can't be read: %w; make lambda builds the stock one", err)
		return
	}
	v.must(!info.IsDir() && filepath.Ext(path) == ".zip", field, "is %s, which is no zip file", path)
}

func (v *violations) projections(path string) {
	if path == "" {
		return
	}
	info, err := os.Stat(path)
	if err != nil {
		v.add("Projections", "can't be read: %w", err)
		return
	}
	v.must(info.IsDir(), "Projections", "is %s, which is no directory", path)
}

func (v *violations) authorizer(a Authorizer) {
	if !a.jwt() {
		return
	}
	v.must(https.MatchString(a.Issuer), "Authorizer.Issuer", "is %q; it must be https://… as the tokens have it in iss", a.Issuer)
	v.must(len(a.Audience) > 0 && !slices.Contains(a.Audience, ""), "Authorizer.Audience", "is missing; it must be what the tokens have in aud")
}

func (a Authorizer) jwt() bool { return a.Issuer != "" || len(a.Audience) > 0 || len(a.Scopes) > 0 }

func numbers(list []int) string { return strings.Trim(fmt.Sprint(list), "[]") }

func listed[T ~string](list []T) string {
	var s []string
	for _, v := range list {
		s = append(s, string(v))
	}
	return strings.Join(s, ", ")
}
