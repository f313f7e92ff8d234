package lambda

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.opentelemetry.io/otel/trace/noop"
	"pgregory.net/rapid"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/ingest"
	"github.com/eb901187/annals/storetest"
)

// kinesisPayload is what Lambda hands over for records of a shard, the first with
// the sequence number 100.
func kinesisPayload(arn, shard string, data ...[]byte) []byte {
	records := make([]string, len(data))
	for i := range data {
		records[i] = kinesisText(arn, shard, 100+i, base64.StdEncoding.EncodeToString(data[i]))
	}
	return recordsText(records)
}

func kinesisText(arn, shard string, sequence int, data string) string {
	return fmt.Sprintf(`{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"key","sequenceNumber":"%d","data":%q,"approximateArrivalTimestamp":1588363200.651},
"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":"shardId-%s:%d","eventName":"aws:kinesis:record","invokeIdentityArn":"arn:aws:iam::123456789012:role/r",
"awsRegion":"us-east-1","eventSourceARN":%q}`, sequence, data, shard, sequence, arn)
}

func recordsText(records []string) []byte {
	return []byte(`{"Records":[` + strings.Join(records, ",") + `]}`)
}

func TestPumpTakesWhatIsGoodOfARecord(t *testing.T) {
	t.Parallel()
	in := newInbound(t)
	f := in.function(Pump)
	large := command("a", "large")
	large = strings.Replace(large, `{"n":1}`, `"`+strings.Repeat("x", 1<<20-len(large))+`"`, 1)
	records := []string{
		kinesisText(streamARN, "0", 100, base64.StdEncoding.EncodeToString([]byte("["+command("a", "1")+","+command("a", "2")+"]"))),
		kinesisText(streamARN, "0", 101, "%%%"),
		kinesisText(streamARN, "0", 102, base64.StdEncoding.EncodeToString([]byte("\x00"))),
		kinesisText(streamARN, "0", 103, base64.StdEncoding.EncodeToString([]byte(`{"aggregateId":"a","eventType":"T","eventData":"`+"\xff"+`"}`))),
		kinesisText(streamARN, "0", 104, base64.StdEncoding.EncodeToString([]byte(large))),
		kinesisText(streamARN, "0", 105, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("y"), 1<<20))),
		kinesisText(streamARN, "0", 106, ""),
		kinesisText(streamARN, "0", 107, base64.StdEncoding.EncodeToString([]byte(command("a", "1")+"\n"+command("a", "3")))),
	}
	if got := in.invoked(f, recordsText(records)); len(got) != 0 {
		t.Fatalf("failed: %q", got)
	}
	if got := in.events("a"); !slices.Equal(got, []string{"1", "2", "large", "3"}) {
		t.Fatalf("a holds %q", got)
	}
	letters := in.letters()
	var places []string
	for _, l := range letters {
		places = append(places, l.Place)
	}
	if want := []string{"shardId-0:101#1", "shardId-0:102#1", "shardId-0:103#1", "shardId-0:105#1", "shardId-0:106#1"}; !slices.Equal(places, want) {
		t.Fatalf("letters of %q, want %q", places, want)
	}
	if l := letters[0]; l.Body != "%%%" || !strings.Contains(l.Reason, "base64") || l.Source != streamARN {
		t.Errorf("%+v", l)
	}
	if l := letters[3]; l.Bytes != 1<<20 || l.Object == "" {
		t.Errorf("%+v", l)
	}
}

// Lambda goes on from the lowest record that failed, and what is refused behind it
// has its turn then.
func TestPumpGoesOnFromTheLowestFailure(t *testing.T) {
	t.Parallel()
	in := newInbound(t)
	f := in.function(Pump)
	payload := kinesisPayload(streamARN, "0", []byte("junk"), []byte(command("up", "1")), []byte(command("down", "1")), []byte("junk too"), []byte(command("up", "2")), []byte(command("down", "2")))
	in.breaks(func(operation, body string) bool { return operation == "PutItem" && strings.Contains(body, `"down"`) })
	if got := in.invoked(f, payload); !slices.Equal(got, []string{"102"}) {
		t.Fatalf("goes on from %q", got)
	}
	if letters := in.letters(); len(letters) != 1 || letters[0].Body != "junk" {
		t.Fatalf("%+v", letters)
	}
	in.breaks(func(operation, _ string) bool { return operation == "SendMessage" })
	if got := in.invoked(f, payload); !slices.Equal(got, []string{"100"}) {
		t.Fatalf("goes on from %q", got)
	}
	in.breaks(nil)
	if got := in.invoked(f, payload); len(got) != 0 {
		t.Fatalf("goes on from %q", got)
	}
	for stream, want := range map[string][]string{"up": {"1", "2"}, "down": {"1", "2"}} {
		if got := in.events(stream); !slices.Equal(got, want) {
			t.Errorf("%s holds %q", stream, got)
		}
	}
}

// The pump never gets further ahead of its place in the shard than the store knows
// the ids of one stream.
func TestPumpTakesNoMoreOfAStreamThanTheStoreRemembers(t *testing.T) {
	t.Parallel()
	in := newInbound(t)
	var records [2][]byte
	for i := range records {
		var lines []string
		for k := range 600 {
			lines = append(lines, command("a", fmt.Sprint(i*600+k)))
		}
		records[i] = []byte(strings.Join(lines, "\n"))
	}
	if got := in.invoked(in.function(Pump), kinesisPayload(streamARN, "0", records[0], records[1])); !slices.Equal(got, []string{"101"}) {
		t.Fatalf("goes on from %q", got)
	}
	if got := len(in.events("a")); got != 600 {
		t.Fatalf("%d events", got)
	}
}

// A shard is what the property plays of Kinesis: its records come in order, those of
// a child once its parent is done.
type shard struct {
	name    string
	records []string // the texts of messages
}

// Batches of any size that are bisected, time out after they were worked on, and
// come again, from shards that are split: every message is stored once, in the order
// of its stream, and each bad one becomes a dead letter.
func TestPumpStoresOnceInOrder(t *testing.T) {
	t.Parallel()
	in := newInbound(t)
	rapid.Check(t, func(t *rapid.T) {
		driver, err := embedded.OpenDriver("store", &embedded.Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		faulty := &storetest.Faulty{Driver: driver}
		store := annals.New(faulty, &annals.Options{Attempts: 2, Pause: func(context.Context, int) {}})
		defer func() { _ = store.Close() }()
		p := &pump{&receiving{place: place{store: store}, receiver: ingest.Receiver{Store: store, PerStream: 3}, box: in.box}, "annals-ingest"}
		want := map[string][]string{}
		for _, s := range drawShards(t, want) {
			for at, round := 0, 0; at < len(s.records); round++ {
				if round < 30 {
					faulty.FailAppends(drawFaults(t, "append faults")...)
					faulty.FailReads(drawFaults(t, "read faults")...)
				} else {
					faulty.FailAppends()
					faulty.FailReads()
				}
				n := rapid.IntRange(1, len(s.records)-at).Draw(t, "batch")
				next := pumped(t, in, p, &s, at, at+n)
				if rapid.IntRange(0, 4).Draw(t, "killed") > 0 || round > 30 {
					at = next
				}
			}
		}
		faulty.FailReads()
		for stream, ids := range want {
			var got []string
			for e, err := range store.Stream(context.Background(), stream, nil) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, e.ID)
			}
			if !slices.Equal(got, ids) {
				t.Fatalf("stream %s holds %q, want %q", stream, got, ids)
			}
		}
	})
}

// drawShards draws a shard that is split in two, with messages of streams that each
// keep to one of them.
func drawShards(t *rapid.T, want map[string][]string) []shard {
	shards := []shard{{name: "0"}, {name: "1"}, {name: "2"}}
	for i := range rapid.IntRange(1, 40).Draw(t, "messages") {
		stream := rapid.IntRange(0, 3).Draw(t, "stream")
		name := string(rune('a' + stream))
		text, id := command(name, fmt.Sprint(rapid.IntRange(0, 20).Draw(t, "id"))), ""
		s := &shards[0]
		if i > 15 {
			s = &shards[1+stream%2]
		}
		if rapid.IntRange(0, 5).Draw(t, "no id") == 0 {
			text, id = `{"aggregateId":"`+name+`","eventType":"T"}`, fmt.Sprintf("shardId-%s:%d#1", s.name, 100+len(s.records))
		} else {
			id = textID(text)
		}
		s.records = append(s.records, text)
		if !slices.Contains(want[name], id) {
			want[name] = append(want[name], id)
		}
	}
	return shards
}

func textID(text string) string {
	var m struct{ ID string }
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		panic(err) // command made it
	}
	return m.ID
}

// pumped invokes the pump with the records from one to another, and returns from
// which it goes on.
func pumped(t *rapid.T, in *inbound, p *pump, s *shard, from, to int) int {
	var records []string
	for i := from; i < to; i++ {
		records = append(records, kinesisText(streamARN, s.name, 100+i, base64.StdEncoding.EncodeToString([]byte(s.records[i]))))
	}
	answer, err := p.handle(context.Background(), &invocation{kind: fromKinesis, payload: recordsText(records), report: quiet(in)})
	if err != nil {
		t.Fatal(err)
	}
	failures := answer.(batchAnswer).Failures
	if len(failures) == 0 {
		return to
	}
	var sequence int
	if _, err := fmt.Sscan(failures[0].ID, &sequence); err != nil || len(failures) > 1 || sequence-100 < from || sequence-100 >= to {
		t.Fatalf("%+v", failures)
	}
	return sequence - 100
}

func drawFaults(t *rapid.T, label string) []storetest.Fault {
	return rapid.SliceOfN(rapid.SampledFrom([]storetest.Fault{storetest.None, storetest.None, storetest.LostReply, storetest.LostRequest, storetest.Refused}), 0, 4).Draw(t, label)
}

// quiet is a report that nobody reads.
func quiet(in *inbound) *report {
	return newReport(slog.New(slog.DiscardHandler), noop.NewTracerProvider().Tracer(""), func() time.Time { return storetest.Epoch })
}
