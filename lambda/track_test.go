package lambda

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/eb901187/annals/dynamo"
)

// sqsPayload is what Lambda hands over for SQS messages m0, m1 … with these bodies.
func sqsPayload(arn string, bodies ...string) []byte {
	var records []string
	for i, body := range bodies {
		text, err := json.Marshal(body)
		if err != nil {
			panic(err) // a string
		}
		records = append(records, fmt.Sprintf(`{"messageId":"m%d","receiptHandle":"AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a","body":%s,
"attributes":{"ApproximateReceiveCount":"1","SentTimestamp":"1588363200000","SenderId":"AIDAIENQZJOLO23YVJ4VO","ApproximateFirstReceiveTimestamp":"1588363200001"},
"messageAttributes":{"traceparent":{"stringValue":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","stringListValues":[],"binaryListValues":[],"dataType":"String"}},
"md5OfBody":"e4e68fb7bd0e697a0ae8f1bb342846b3","eventSource":"aws:sqs","eventSourceARN":%q,"awsRegion":"us-east-1"}`, i, text, arn))
	}
	return []byte(`{"Records":[` + strings.Join(records, ",") + `]}`)
}

func TestTrack(t *testing.T) {
	t.Parallel()
	in := newInbound(t)
	f := in.function(Track)
	seed := `{"id":"7a3c","requestId":"req-1","timestamp":"2020-05-01T20:00:00Z","type":"MICROSERVICE_REQUEST","source":"Gateway","data":{"Name":"Microservice A"}}`
	bad := `{"id":"8b","requestId":"req-1","timestamp":"yesterday","type":"T","source":"Gateway"}`
	payload := sqsPayload(queueARN, seed, "["+command("a", "1")+","+command("a", "2")+"]", bad, seed, "\x01junk", command("a", "3"))
	if failures := in.invoked(f, payload); len(failures) != 0 {
		t.Fatalf("failed: %q", failures)
	}
	if got := in.events("req-1"); !slices.Equal(got, []string{"7a3c"}) {
		t.Errorf("req-1 holds %q", got)
	}
	if got := in.events("a"); !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("a holds %q", got)
	}
	letters := in.letters()
	if len(letters) != 2 {
		t.Fatalf("letters: %+v", letters)
	}
	if l := letters[0]; l.Body != bad || l.Place != "m2#1" || l.Correlation != "req-1" || !strings.Contains(l.Reason, "timestamp must be") || l.Source != queueARN {
		t.Errorf("%+v", l)
	}
	if l := letters[1]; l.Object == "" || l.Place != "m4#1" || l.Code != "invalid_json" {
		t.Errorf("%+v", l)
	}
	in.mu.Lock()
	log := in.log.String()
	in.mu.Unlock()
	for _, want := range []string{`"Stored":4`, `"Replayed":1`, `"Refused":2`, `"Received":7`, `"correlation":"req-1"`, "00-0af7651916cd43dd8448eb211c80319c", "LagMilliseconds"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %s:\n%s", want, log)
		}
	}
}

// What fails comes again; what is refused with it in one SQS message waits; a refused
// message that can't become a dead letter fails.
func TestTrackFailsInPart(t *testing.T) {
	t.Parallel()
	in := newInbound(t)
	f := in.function(Track)
	payload := sqsPayload(queueARN, command("down", "1"), command("up", "1"), "junk", "["+command("up", "2")+",7,"+command("down", "2")+"]")
	in.breaks(func(operation, body string) bool { return operation == "PutItem" && strings.Contains(body, `"down"`) })
	if got := in.invoked(f, payload); !slices.Equal(got, []string{"m0", "m3"}) {
		t.Fatalf("failed: %q", got)
	}
	if letters := in.letters(); len(letters) != 1 || letters[0].Body != "junk" {
		t.Fatalf("%+v", letters)
	}
	in.breaks(func(operation, _ string) bool { return operation == "SendMessage" })
	if got := in.invoked(f, payload); !slices.Equal(got, []string{"m2", "m3"}) {
		t.Fatalf("failed: %q", got)
	}
	in.breaks(nil)
	if got := in.invoked(f, payload); len(got) != 0 {
		t.Fatalf("failed: %q", got)
	}
	if got := in.events("down"); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("down holds %q", got)
	}
	if got := in.events("up"); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("up holds %q", got)
	}
}

// A message that was sent once is stored once, though Lambda and SQS deliver it again.
func TestTrackTwice(t *testing.T) {
	t.Parallel()
	in := newInbound(t)
	payload := sqsPayload(queueARN, `{"aggregateId":"a","eventType":"T"}`, `{"aggregateId":"a","eventType":"T"}`)
	for range 2 {
		if got := in.invoked(in.function(Track), payload); len(got) != 0 {
			t.Fatalf("failed: %q", got)
		}
	}
	if got := in.events("a"); !slices.Equal(got, []string{"m0#1", "m1#1"}) {
		t.Fatalf("a holds %q", got)
	}
}

// trackingMessage is a tracking message of 1,024 bytes, of request r.
func trackingMessage(n, r int) string {
	random := rand.New(rand.NewPCG(uint64(n), 7))
	words := strings.Fields("GET POST /orders /customers /payments /stock accepted refused timeout upstream gateway retry cache miss hit queue worker region eu-central-1 us-east-1")
	var b strings.Builder
	fmt.Fprintf(&b, `{"id":"018f0000-0000-7000-8000-%012d","requestId":"018f0000-0000-7000-9000-%012d","timestamp":"2020-05-01T20:00:00.%06dZ","type":"MICROSERVICE_RESPONSE","source":"Gateway","data":{"Name":"Microservice %c","status":%d,"durationMs":%d,"headers":{`,
		n, r, n%1e6, 'A'+rune(n%26), 200+random.IntN(300), random.IntN(5000))
	for i := 0; b.Len() < 800; i++ {
		fmt.Fprintf(&b, `"x-%s-%d":"%016x",`, strings.Trim(words[random.IntN(len(words))], "/"), i, random.Uint64())
	}
	b.WriteString(`"via":"annals"},"note":"`)
	for b.Len() < 1000 {
		b.WriteString(words[random.IntN(len(words))] + " ")
	}
	text := b.String() + strings.Repeat(".", max(0, 1024-3-b.Len())) + `"}}`
	if len(text) != 1024 {
		panic(fmt.Sprint("made a message of ", len(text), " bytes"))
	}
	return text
}

// The bill of inbound messages: a batch of n messages of 1 KB, each number of events
// a stream.
func TestBillOfMessages(t *testing.T) {
	t.Parallel()
	in := newInbound(t)
	for _, role := range []Role{Track, Pump} {
		f := in.function(role)
		for _, n := range []int{10, 1000} {
			for _, perStream := range []int{1, 10} {
				var texts []string
				for i := range n {
					// Streams that no other batch has.
					texts = append(texts, trackingMessage(i, int(role[0])*1e7+n*1e3+perStream*1e6+i/perStream))
				}
				payload := sqsPayload(queueARN, texts...)
				if role == Pump {
					records := make([][]byte, len(texts))
					for i := range texts {
						records[i] = []byte(texts[i])
					}
					payload = kinesisPayload(streamARN, "0", records...)
				}
				ctx, meter := dynamo.Metered(t.Context())
				answer, err := f.Invoke(ctx, payload)
				if err != nil || len(failuresOf(t, answer)) > 0 {
					t.Fatalf("%s, %v", answer, err)
				}
				c := meter.Cost()
				events := float64(n)
				t.Logf("%-5s %4d messages of 1 KB, %2d a stream: an event takes %.2f WRU, %.2f RRU, %.2f requests, %.2f S3 puts", role, n, perStream, c.Writes/events, c.Reads/events, float64(c.Requests)/events, float64(c.Puts)/events)
				most := 1.1
				if perStream > 1 {
					most = 0.7
				}
				if c.Writes/events > most || c.Writes == 0 || float64(c.Requests) > 2*events/float64(perStream) || c.Puts > 0 {
					t.Errorf("%s, %d messages, %d a stream: %+v", role, n, perStream, c)
				}
			}
		}
	}
}
