package cdk

import (
	"slices"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
)

// A Role is what one function does.
type Role string

// The roles, in the order in which an event meets them.
const (
	Load     Role = "load"
	Track    Role = "track"
	Pump     Role = "pump"
	Command  Role = "command"
	Query    Role = "query"
	Sequence Role = "sequence"
	Write    Role = "write"
	React    Role = "react"
	Playback Role = "playback"
)

// Roles lists every Role.
func Roles() []Role {
	return []Role{Load, Track, Pump, Command, Query, Sequence, Write, React, Playback}
}

// The architectures that functions run on.
const (
	ARM64 = "arm64"
	X8664 = "x86_64"
)

// Props say what NewAnnals makes. The zero value of every field but Zip is a
// choice that suits a first deployment.
type Props struct {
	// Name is the store's name, and what the names of all resources start with:
	// 3 to 40 letters, digits, hyphens and underscores; "annals" by default.
	Name string
	// Roles are those to deploy; by default all, and React only with a ReactZip.
	// A queue or stream that none of them uses is not made.
	Roles []Role
	// Zip is the file with the functions' binary, which make lambda builds.
	Zip string
	// ReactZip is the file with a binary of one's own for the role React, as the
	// stock one has no reactions.
	ReactZip string
	// Architecture is what the binaries were built for: ARM64 by default, or X8664.
	Architecture string
	// Projections is a directory of files that define projections. They become a
	// layer of the functions that need them.
	Projections string

	// LogRetentionDays is how long the functions' logs are kept, one of the numbers
	// of days that CloudWatch knows; 30 by default.
	LogRetentionDays int
	// StreamRetentionHours is how long the Kinesis streams keep records: 24 to
	// 8,760; 24 by default.
	StreamRetentionHours int
	// Shards is how many shards each Kinesis stream has; by default they are on
	// demand.
	Shards int
	// MaxRecordAge is after how long pump gives a record up that it could not
	// store, and puts where it lies into the queue of dead letters: whole seconds
	// from a minute to a week; 6 hours by default.
	MaxRecordAge time.Duration

	// Authorizer says who may call the HTTP API: by default whom IAM allows to.
	Authorizer Authorizer
	// Throttling limits the calls of the HTTP API.
	Throttling Throttling
	// KeyArn is the ARN of a KMS key for tables, bucket, streams and queues; by
	// default those are encrypted by keys that AWS manages. The functions are
	// allowed to use it; its own policy must leave that to IAM.
	KeyArn string
	// SubjectKeyArn is the ARN of a KMS key that wraps the keys of data subjects, for
	// events whose data can be erased; by default there are none. It makes the table
	// NAME-keys, which is recovered from no earlier state. Losing the key of KMS is losing
	// those data; its own policy must leave its use to IAM.
	SubjectKeyArn string

	// Alarms are made by default.
	Alarms Alarms
	// NoDashboard leaves the dashboard out.
	NoDashboard bool
	// Tracing switches X-Ray's tracing of invocations on.
	Tracing bool
	// TracesEndpoint is where the functions send spans by OTLP over HTTP; nowhere
	// by default.
	TracesEndpoint string
	// LogLevel is debug, info, warn or error; info by default.
	LogLevel string
	// MetricsNamespace is that of the functions' metrics; "Annals" by default. They are
	// told apart by role alone: give each store of an account and region its own.
	MetricsNamespace string

	// RemovalPolicy is what becomes of tables and bucket when the stack is deleted:
	// awscdk.RemovalPolicy_RETAIN by default. DESTROY also takes the tables'
	// deletion protection off; a bucket that holds objects stays in any case.
	RemovalPolicy awscdk.RemovalPolicy
}

// An Authorizer says who may call the HTTP API. The zero value lets IAM decide:
// callers sign their requests, and need execute-api:Invoke.
type Authorizer struct {
	// Issuer, https://…, and Audience are what a JSON Web Token must have. Either
	// both are given or none.
	Issuer   string
	Audience []string
	// Scopes are OAuth scopes of which a token must have one; none by default.
	Scopes []string
}

// Throttling limits the calls of the HTTP API, of all callers together.
type Throttling struct {
	Rate  float64 // calls a second; 1,000 by default
	Burst int     // calls at once; 2,000 by default
}

// Alarms say who is told when something needs a person.
type Alarms struct {
	Disabled bool   // makes none
	TopicArn string // an SNS topic that is told; by default alarms only show
}

// withDefaults fills in what was left out.
func (p Props) withDefaults() Props {
	set(&p.Name, "annals")
	set(&p.Architecture, ARM64)
	set(&p.LogRetentionDays, 30)
	set(&p.StreamRetentionHours, 24)
	set(&p.MaxRecordAge, 6*time.Hour)
	set(&p.Throttling.Rate, 1000)
	set(&p.Throttling.Burst, 2000)
	set(&p.LogLevel, "info")
	set(&p.MetricsNamespace, "Annals")
	set(&p.RemovalPolicy, awscdk.RemovalPolicy_RETAIN)
	if p.Roles == nil {
		p.Roles = Roles()
		if p.ReactZip == "" {
			p.Roles = slices.DeleteFunc(p.Roles, func(r Role) bool { return r == React })
		}
	}
	return p
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
