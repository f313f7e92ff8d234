package lambda

import (
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/dynamo"
	"github.com/eb901187/annals/subject/keys"
)

// Config is what a function is told by its environment. The comments name the
// variables.
type Config struct {
	Role  Role           // ANNALS_ROLE
	Store dynamo.Address // ANNALS_STORE, as dynamodb://NAME?bucket=…; all roles but load
	// Keys are those of data subjects, ANNALS_KEYS, as dynamodb://TABLE?kms=KEY; none by
	// default. The function's role must be given rights for both. All roles but load.
	Keys keys.Address
	// IngestStream is the name of the Kinesis event stream, ANNALS_INGEST_STREAM:
	// what load puts to, and the only stream that pump takes records of.
	IngestStream string
	// PlaybackStream is the name of the Kinesis playback stream,
	// ANNALS_PLAYBACK_STREAM: the default target of playback, and the only Kinesis
	// stream that wakes write. write may do without.
	PlaybackStream string
	// Queue is the name of the SQS queue that track takes messages of, ANNALS_QUEUE. It
	// is a standard one: dead letters belong to no message group.
	Queue string
	// DeadLetters is the URL of the SQS queue for messages that can never be
	// stored, ANNALS_DEAD_LETTERS: track and pump.
	DeadLetters string
	// Projections is the directory of the files that define projections,
	// ANNALS_PROJECTIONS; /opt/projections by default, where a Lambda layer puts
	// them, and which need not exist. write, query, playback.
	Projections string
	// Namespace is that of the metrics, ANNALS_METRICS; Annals by default.
	Namespace string
	// LogLevel is ANNALS_LOG_LEVEL: debug, info, warn or error; info by default.
	LogLevel slog.Level
	// Traces is where spans are sent, by OTLP over HTTP,
	// OTEL_EXPORTER_OTLP_ENDPOINT; nowhere if empty.
	Traces string
}

const (
	defaultProjections = "/opt/projections"
	defaultNamespace   = "Annals"
	variablePrefix     = "ANNALS_"
	variableRole       = "ANNALS_ROLE"
	variableTraces     = "OTEL_EXPORTER_OTLP_ENDPOINT"
)

// A variable is one of the environment that a function reads.
type variable struct {
	name    string
	example string // what to set
	needed  []Role // that can't do without
	set     func(c *Config, value string) error
}

var (
	kinesisName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)
	queueName   = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,80}$`)
	metricsName = regexp.MustCompile(`^[a-zA-Z0-9._/#:-]{1,255}$`)
)

// variables are all that start with ANNALS_.
var variables = []variable{
	{variableRole, "one of " + roleNames(), Roles(), setRole},
	{"ANNALS_STORE", "dynamodb://NAME?bucket=BUCKET", without(Load), setStore},
	{"ANNALS_KEYS", "dynamodb://TABLE?kms=KEY", nil, setKeys},
	{"ANNALS_INGEST_STREAM", "the name of the Kinesis event stream", []Role{Load, Pump}, func(c *Config, s string) error {
		return named(&c.IngestStream, s, kinesisName, "the name of a Kinesis stream, not an ARN")
	}},
	{"ANNALS_PLAYBACK_STREAM", "the name of the Kinesis playback stream", []Role{Playback}, func(c *Config, s string) error {
		return named(&c.PlaybackStream, s, kinesisName, "the name of a Kinesis stream, not an ARN")
	}},
	{"ANNALS_QUEUE", "the name of the SQS queue", []Role{Track}, func(c *Config, s string) error {
		return named(&c.Queue, s, queueName, "the name of a standard SQS queue, not its URL or ARN")
	}},
	{"ANNALS_DEAD_LETTERS", "the URL of the SQS queue of dead letters", []Role{Track, Pump}, setDeadLetters},
	{"ANNALS_PROJECTIONS", "an absolute path, such as " + defaultProjections, nil, setProjections},
	{"ANNALS_METRICS", "a namespace of CloudWatch, such as " + defaultNamespace, nil, func(c *Config, s string) error {
		return named(&c.Namespace, s, metricsName, "a namespace of CloudWatch metrics")
	}},
	{"ANNALS_LOG_LEVEL", "debug, info, warn or error", nil, setLevel},
}

// ReadConfig reads the configuration from an environment, given as by os.Environ.
// Its error is an *annals.InvalidError with everything that is wrong: variables
// that are missing or bad, and those that start with ANNALS_ and are not known,
// which are misspelled ones.
func ReadConfig(environ []string) (Config, error) {
	c := Config{Projections: defaultProjections, Namespace: defaultNamespace}
	given := map[string]string{}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		given[name] = value
	}
	var wrong []annals.Violation
	say := func(name, format string, args ...any) {
		wrong = append(wrong, annals.Violation{Field: name, Message: fmt.Sprintf(format, args...)})
	}
	for i := range variables {
		v := &variables[i]
		value := given[v.name]
		delete(given, v.name)
		switch {
		case value != "":
			if err := v.set(&c, value); err != nil {
				say(v.name, "%v", err)
			}
		case v.name == variableRole:
			say(v.name, "is not set: set it to %s", v.example)
		case slices.Contains(v.needed, c.Role):
			say(v.name, "is not set, and role %s needs it: set it to %s", c.Role, v.example)
		}
	}
	if c.Traces = given[variableTraces]; c.Traces != "" && !isURL(c.Traces) {
		say(variableTraces, "must be http://… or https://…, not %s", c.Traces)
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if strings.HasPrefix(name, variablePrefix) {
			say(name, "is not known: the variables are %s", variableNames())
		}
	}
	if len(wrong) > 0 {
		return Config{}, &annals.InvalidError{Violations: wrong}
	}
	return c, nil
}

func variableNames() string {
	names := make([]string, len(variables))
	for i := range variables {
		names[i] = variables[i].name
	}
	return strings.Join(names, ", ")
}

func roleNames() string {
	var names []string
	for _, r := range Roles() {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}

// without lists the roles but these.
func without(these ...Role) []Role {
	return slices.DeleteFunc(Roles(), func(r Role) bool { return slices.Contains(these, r) })
}

// refusal is what is wrong with a value; the variable's name stands before it.
func refusal(format string, args ...any) error { return fmt.Errorf(format, args...) }

func named(field *string, value string, form *regexp.Regexp, what string) error {
	if !form.MatchString(value) {
		return refusal("must be %s, and is %q", what, value)
	}
	*field = value
	return nil
}

func setRole(c *Config, s string) error {
	if !Role(s).Valid() {
		return refusal("must be one of %s, and is %q", roleNames(), s)
	}
	c.Role = Role(s)
	return nil
}

func setStore(c *Config, s string) error {
	a, err := dynamo.ParseAddress(s)
	c.Store = a
	if err != nil {
		return refusal("can't be read: %s", strings.TrimPrefix(err.Error(), "annals: invalid: store "))
	}
	return nil
}

func setKeys(c *Config, s string) error {
	a, err := keys.ParseAddress(s)
	if c.Keys = a; err != nil || a.Table == "" {
		return refusal("must be dynamodb://TABLE?kms=KEY, and is %q", s)
	}
	return nil
}

func setDeadLetters(c *Config, s string) error {
	if !isURL(s) || strings.Count(s, "/") < 3 || strings.HasSuffix(s, ".fifo") {
		return refusal("must be the URL of a standard SQS queue, and is %q", s)
	}
	c.DeadLetters = s
	return nil
}

func setProjections(c *Config, s string) error {
	if !filepath.IsAbs(s) {
		return refusal("must be an absolute path, and is %q", s)
	}
	c.Projections = s
	return nil
}

func setLevel(c *Config, s string) error {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	level, known := levels[strings.ToLower(s)]
	if !known {
		return refusal("must be debug, info, warn or error, and is %q", s)
	}
	c.LogLevel = level
	return nil
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}
