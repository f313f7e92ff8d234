package lambda

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/awstest/local"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/kinesis"
)

// withKinesis gives a stage a Kinesis with the two streams of a deployment.
func (s *stage) withKinesis() *sdk.Client {
	s.t.Helper()
	s.t.Setenv("AWS_ENDPOINT_URL_KINESIS", local.Kinesis(s.t))
	s.readEndpoints()
	client := sdk.NewFromConfig(s.aws)
	for _, name := range []string{"stage-ingest", "stage-playback"} {
		if _, err := client.CreateStream(s.t.Context(), &sdk.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(2)}); err != nil {
			s.t.Fatal(err)
		}
		for active := false; !active; {
			out, err := client.DescribeStreamSummary(s.t.Context(), &sdk.DescribeStreamSummaryInput{StreamName: &name})
			if err != nil {
				s.t.Fatal(err)
			}
			active = out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive
		}
	}
	return client
}

// readEndpoints takes the stand-ins from the environment, as functions do.
func (s *stage) readEndpoints() {
	s.t.Helper()
	env, err := config.NewEnvConfig()
	if err != nil {
		s.t.Fatal(err)
	}
	s.aws.ConfigSources = []any{env}
}

func (s *stage) records(client *sdk.Client, stream string) (all []kinesis.Record) {
	s.t.Helper()
	for record, err := range kinesis.NewReader(client, stream, nil).Records(s.t.Context()) {
		if err != nil || record.Err != nil {
			s.t.Fatal(err, record.Err)
		}
		all = append(all, record)
	}
	return all
}

// What load accepts comes through the stream into the store, in order.
func TestLoadPutsMessagesOnTheStream(t *testing.T) {
	s := newStage(t)
	client := s.withKinesis()
	load, pump := s.function(Load, nil, "ANNALS_STORE="), s.function(Pump, nil)
	s.mustAsk(load, "POST", "/v1/ingest", `{"id":"7a3c","requestId":"req-1","timestamp":"2020-05-01T20:00:00Z","type":"T","source":"Gateway","data":{"a":null,"n":0}}`, 202, `{"messages":1,"ids":["7a3c"]}`)
	if accepted := s.out.metrics(t)["Accepted"]; accepted != 1.0 {
		t.Errorf("the metric Accepted is %v", accepted)
	}
	a := s.mustAsk(load, "POST", "/v1/ingest", `[{"aggregateId":"order-1","eventType":"placed"},{"aggregateId":"order-1","eventType":"paid"}]`, 202, `{"messages":2,"ids":["`)
	var said struct{ IDs []string }
	if err := json.Unmarshal([]byte(a.Body), &said); err != nil {
		t.Fatal(err)
	}
	var batch []map[string]any
	for _, record := range s.records(client, "stage-ingest") {
		batch = append(batch, map[string]any{
			"eventSource": "aws:kinesis", "eventSourceARN": "arn:aws:kinesis:eu-central-1:123456789012:stream/stage-ingest", "eventID": record.Shard + ":" + record.Sequence,
			"kinesis": map[string]any{"partitionKey": record.Key, "sequenceNumber": record.Sequence, "data": base64.StdEncoding.EncodeToString(record.Data)},
		})
	}
	payload, err := json.Marshal(map[string]any{"Records": batch})
	if err != nil {
		t.Fatal(err)
	}
	s.mustInvoke(pump, string(payload), allDone)
	s.mustInvoke(pump, string(payload), allDone)
	var got []string
	for _, stream := range []string{"req-1", "order-1"} {
		for e, err := range s.store().Stream(t.Context(), stream, nil) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.ID+" "+e.Type+" "+e.Source+" "+string(e.Data))
		}
	}
	if want := `7a3c T Gateway {"n":0}, ` + said.IDs[0] + " placed annals , " + said.IDs[1] + " paid annals "; strings.Join(got, ", ") != want {
		t.Errorf("stored are %s, want %s", strings.Join(got, ", "), want)
	}
}

// A lost reply is told as one, and the ids let the client send the same again.
func TestLoadSaysWhatIsUnknown(t *testing.T) {
	s := newStage(t)
	client := s.withKinesis()
	plain, puts := s.aws.APIOptions, 0
	s.aws.APIOptions = append(slices.Clone(plain), func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("lose", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			given, is := in.Parameters.(*sdk.PutRecordsInput)
			if !is {
				return next.HandleInitialize(ctx, in)
			}
			if puts++; puts > 1 {
				given.StreamName = aws.String("gone") // so that the second call is refused
			}
			out, m, err := next.HandleInitialize(ctx, in)
			if err == nil {
				err = errors.New("the reply was lost")
			}
			return out, m, err
		}), middleware.After)
	})
	load := s.function(Load, nil, "ANNALS_STORE=")
	s.aws.APIOptions = plain
	s.mustAsk(load, "POST", "/v1/ingest", `{"aggregateId":"a","eventType":"T","id":"1"}`, 504, `"results":[{"number":1,"status":"unknown","id":"1"}]`)
	if put := s.records(client, "stage-ingest"); len(put) != 1 {
		t.Errorf("%d records were put", len(put))
	}
}

func TestLoadRefuses(t *testing.T) {
	s := newStage(t)
	client := s.withKinesis()
	load := s.function(Load, nil, "ANNALS_STORE=")
	good := `{"aggregateId":"a","eventType":"T","id":"1"}`
	for body, want := range map[string]struct {
		status int
		text   string
	}{
		`{"a":1}`:           {400, "no known shape"},
		`[` + good + `,{}]`: {400, "because of message 2"},
		``:                  {400, "holds no message"},
		`[{"aggregateId":"a","eventType":"T","id":"big","eventData":"` + strings.Repeat("x", 1<<20-10) + `"}]`: {413, "as a Kinesis record: the limit is 1048576"},
	} {
		s.mustAsk(load, "POST", "/v1/ingest", body, want.status, want.text)
	}
	if put := s.records(client, "stage-ingest"); len(put) > 0 {
		t.Errorf("%d records were put", len(put))
	}
	s.mustAsk(load, "POST", "/v1/commands", good, 404, "this process serves ingest")
	missing := s.function(Load, nil, "ANNALS_STORE=", "ANNALS_INGEST_STREAM=missing")
	a := s.mustAsk(missing, "POST", "/v1/ingest", good, 503, "there is no Kinesis stream missing")
	var p httpapi.Problem
	if err := json.Unmarshal([]byte(a.Body), &p); err != nil || p.Code != annals.CodeUnavailable || !strings.Contains(a.Body, `"results":[{"number":1,"status":"not_accepted","id":"1"}]`) {
		t.Errorf("%s, %v", a.Body, err)
	}
}
