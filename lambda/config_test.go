package lambda

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/eb901187/annals"
)

var fullEnvironment = []string{
	"PATH=/bin", "ANNALS_STORE=dynamodb://orders?bucket=orders-bucket", "ANNALS_INGEST_STREAM=orders-ingest", "ANNALS_PLAYBACK_STREAM=orders-playback",
	"ANNALS_QUEUE=orders-queue", "ANNALS_DEAD_LETTERS=https://sqs.eu-central-1.amazonaws.com/1/orders-dead-letters",
}

func TestReadConfig(t *testing.T) {
	for _, r := range Roles() {
		c, err := ReadConfig(append(slices.Clone(fullEnvironment), "ANNALS_ROLE="+string(r)))
		if err != nil || c.Role != r || c.Store.Bucket != "orders-bucket" || c.Namespace != "Annals" || c.Projections != "/opt/projections" || c.LogLevel != slog.LevelInfo {
			t.Errorf("%s: %+v, %v", r, c, err)
		}
	}
	c, err := ReadConfig(append(slices.Clone(fullEnvironment), "ANNALS_ROLE=write", "ANNALS_METRICS=Orders/Annals", "ANNALS_LOG_LEVEL=WARN", "ANNALS_PROJECTIONS=/var/p", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318"))
	if err != nil || c.Namespace != "Orders/Annals" || c.LogLevel != slog.LevelWarn || c.Projections != "/var/p" || c.Traces != "http://127.0.0.1:4318" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestReadConfigNamesEverythingThatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name    string
		environ []string
		want    []string // fields, in order, each with a part of what is said
	}{
		{"nothing", nil, []string{"ANNALS_ROLE is not set: set it to one of load, track"}},
		{"load", []string{"ANNALS_ROLE=load"}, []string{"ANNALS_INGEST_STREAM is not set, and role load needs it: set it to the name"}},
		{"track", []string{"ANNALS_ROLE=track", "ANNALS_STORE="}, []string{"ANNALS_STORE is not set", "ANNALS_QUEUE is not set", "ANNALS_DEAD_LETTERS is not set"}},
		{"pump", []string{"ANNALS_ROLE=pump"}, []string{"ANNALS_STORE", "ANNALS_INGEST_STREAM", "ANNALS_DEAD_LETTERS"}},
		{"playback", []string{"ANNALS_ROLE=playback"}, []string{"ANNALS_STORE", "ANNALS_PLAYBACK_STREAM"}},
		{"write", []string{"ANNALS_ROLE=write"}, []string{"ANNALS_STORE"}},
		{"misspelled", []string{"ANNALS_ROLE=query", "ANNALS_STORE=dynamodb://orders", "ANNALS_PROJECTION=/p", "ANNALS_BUCKET=b"}, []string{"ANNALS_BUCKET is not known: the variables are ANNALS_ROLE, ANNALS_STORE", "ANNALS_PROJECTION is not known"}},
		{"no role of ours", []string{"ANNALS_ROLE=Load"}, []string{`ANNALS_ROLE must be one of load, track, pump, command, query, sequence, write, react, playback, and is "Load"`}},
		{"queues in order", []string{"ANNALS_ROLE=track", "ANNALS_STORE=dynamodb://orders?bucket=orders-bucket", "ANNALS_QUEUE=q.fifo", "ANNALS_DEAD_LETTERS=https://sqs.eu-central-1.amazonaws.com/1/d.fifo"}, []string{
			"ANNALS_QUEUE must be the name of a standard SQS queue", "ANNALS_DEAD_LETTERS must be the URL of a standard SQS queue",
		}},
		{"all bad", []string{
			"ANNALS_ROLE=track", "ANNALS_STORE=dynamodb://x?bukket=1", "ANNALS_KEYS=./keys", "ANNALS_INGEST_STREAM=arn:aws:kinesis:x:1:stream/s", "ANNALS_PLAYBACK_STREAM=a b",
			"ANNALS_QUEUE=https://sqs/1/q", "ANNALS_DEAD_LETTERS=q", "ANNALS_PROJECTIONS=p", "ANNALS_METRICS=a b", "ANNALS_LOG_LEVEL=loud", "OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318",
		}, []string{
			"ANNALS_STORE can't be read", "ANNALS_KEYS must be dynamodb://TABLE?kms=KEY", "ANNALS_INGEST_STREAM must be the name of a Kinesis stream, not an ARN", "ANNALS_PLAYBACK_STREAM", "ANNALS_QUEUE must be the name",
			"ANNALS_DEAD_LETTERS must be the URL", "ANNALS_PROJECTIONS must be an absolute path", "ANNALS_METRICS", "ANNALS_LOG_LEVEL must be debug, info, warn or error", "OTEL_EXPORTER_OTLP_ENDPOINT must be http",
		}},
	} {
		_, err := ReadConfig(c.environ)
		var invalid *annals.InvalidError
		if !errors.As(err, &invalid) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if len(invalid.Violations) != len(c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
			continue
		}
		for i, v := range invalid.Violations {
			if says := v.Field + " " + v.Message; !strings.HasPrefix(says, c.want[i]) {
				t.Errorf("%s: %q, want %q", c.name, says, c.want[i])
			}
		}
	}
}
