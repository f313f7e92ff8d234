package aws_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/eb901187/annals/kinesis"
)

// The walk-throughs of the seeds, as they are written: by the AWS command line and
// by HTTP, one behind the other on one stack.
func TestSeeds(t *testing.T) {
	w := deploy(t, nil)
	for _, walk := range []struct {
		name string
		do   func(*world)
	}{
		{"a message of the queue becomes a trace", (*world).sent},
		{"commands become the events of an aggregate", (*world).commanded},
		{"what is posted goes through Kinesis into the views", (*world).posted},
		{"a playback reaches a subscriber", (*world).played},
		{"a playback is asked for by HTTP", (*world).playedByHTTP},
		{"names with marks in them", (*world).marked},
		{"what is large goes through the bucket", (*world).enlarged},
		{"an order starts a saga", (*world).ordered},
		{"the commands of the docs", (*world).documented},
		{"a bad message is put aside", (*world).poisoned},
		{"a generation is built, switched to and removed", (*world).replaced},
		{"the views are wiped and come back", (*world).wiped},
		{"from the queue to a trace", (*world).timed},
	} {
		if !t.Run(walk.name, func(t *testing.T) { walk.do(&world{w.Deployment, t}) }) {
			return
		}
	}
	w.tellGrants()
}

// tellGrants reports what the roles grant and nothing here needed.
func (w *world) tellGrants() {
	for _, role := range []string{"load", "track", "pump", "command", "query", "sequence", "write", "react", "playback"} {
		stats := w.Stats("annals-" + role)
		w.t.Logf("%-8s %4d invocations, started in %v at most, %d MB at most; granted and not used: %s", role, stats.Invocations,
			stats.Init.Round(time.Millisecond), stats.Resident>>20, strings.Join(w.Unused("annals-"+role), " "))
	}
}

func (w *world) sent() {
	file := filepath.Join(w.t.TempDir(), "message.json")
	message := `{"id":"7a3c","requestId":"seed-7","timestamp":"2020-05-01T20:00:00Z","type":"MICROSERVICE_REQUEST","source":"Gateway","data":{"Name":"Microservice A"}}`
	if err := os.WriteFile(file, []byte(message), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.aws("sqs", "send-message", "--queue-url", w.QueueURL("annals-event-queue"), "--message-body", "file://"+file)
	w.reads("/v1/traces/seed-7", `"id":"7a3c"`, `"faulty":"Microservice A"`)
}

func command(stream, kind string, amount int, id string) string {
	return fmt.Sprintf(`{"aggregateId":%q,"eventType":%q,"eventData":{"amount":%d},"id":%q}`, stream, kind, amount, id)
}

func (w *world) commanded() {
	w.call("POST", "/v1/commands", command("account-11", "deposited", 10, "c-1"), http.StatusCreated)
	w.call("POST", "/v1/commands", command("account-11", "withdrawn", 4, "c-2"), http.StatusCreated)
	// Sent again, it is the same event.
	if status, answer, err := w.http(w.t.Context(), "POST", "/v1/commands", command("account-11", "deposited", 10, "c-1")); err != nil || status >= 300 {
		w.t.Errorf("a repetition: %d %s %v", status, answer, err)
	}
	if got := strings.Join(typesOf(w.t, w.call("GET", "/v1/streams/account-11/events", "", http.StatusOK)), " "); got != "deposited withdrawn" {
		w.t.Errorf("events: %s", got)
	}
	w.reads("/v1/views/accounts/account-11", `"balance":6`)
}

func (w *world) posted() {
	w.call("POST", "/v1/ingest", "["+command("account-12", "deposited", 10, "p-1")+","+command("account-12", "withdrawn", 3, "p-2")+"]", http.StatusAccepted)
	w.reads("/v1/views/accounts/account-12", `"balance":7`)
}

func (w *world) played() {
	dir := w.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "part.json"), []byte(`{"id":"part","selection":{"streams":["account-12"]}}`), 0o600); err != nil {
		w.t.Fatal(err)
	}
	answer := filepath.Join(dir, "answer.json")
	told := w.aws("lambda", "invoke", "--function-name", "annals-playback", "--payload", "file://"+filepath.Join(dir, "part.json"), answer)
	if strings.Contains(told, "FunctionError") {
		text, _ := os.ReadFile(answer) // what it says is all there is
		w.t.Fatalf("%s\n%s", told, text)
	}
	var got []string
	for e, err := range kinesis.NewReader(sdk.NewFromConfig(w.Config()), "annals-playback", nil).Playback(w.t.Context(), "part") {
		if err != nil {
			w.t.Fatal(err)
		}
		got = append(got, e.Stream+" "+e.Type)
	}
	if strings.Join(got, ", ") != "account-12 deposited, account-12 withdrawn" {
		w.t.Errorf("the subscriber sees %v", got)
	}
	if seen := w.recordsByCommandLine("annals-playback"); !strings.Contains(seen, `"playback":"part"`) || strings.Contains(seen, "account-11") {
		w.t.Errorf("the command line sees %s", seen)
	}
}

// playedByHTTP starts a playback by a request. The function answers, and goes on in
// an invocation of its own.
func (w *world) playedByHTTP() {
	w.call("POST", "/v1/playbacks", `{"id":"asked","selection":{"streams":["account-11"]},"target":{"kind":"kinesis"}}`, http.StatusCreated)
	w.reads("/v1/playbacks/asked", `"state":"finished"`, `"events":2`)
}

// recordsByCommandLine reads a stream as aws kinesis get-records does, and returns
// the data of its records.
func (w *world) recordsByCommandLine(stream string) string {
	var list struct{ Shards []struct{ ShardID string } }
	if err := json.Unmarshal([]byte(w.aws("kinesis", "list-shards", "--stream-name", stream)), &list); err != nil {
		w.t.Fatal(err)
	}
	var all strings.Builder
	for _, shard := range list.Shards {
		iterator := w.aws("kinesis", "get-shard-iterator", "--stream-name", stream, "--shard-id", shard.ShardID, "--shard-iterator-type", "TRIM_HORIZON", "--query", "ShardIterator", "--output", "text")
		var page struct{ Records []struct{ Data []byte } }
		if err := json.Unmarshal([]byte(w.aws("kinesis", "get-records", "--shard-iterator", strings.TrimSpace(iterator))), &page); err != nil {
			w.t.Fatal(err)
		}
		for _, r := range page.Records {
			all.Write(r.Data)
		}
	}
	return all.String()
}

// API Gateway hands paths over unescaped.
func (w *world) marked() {
	for i, name := range []string{"a/b", "a:b@c", "events/x/events"} {
		id := fmt.Sprint("m-", i)
		escaped := strings.NewReplacer("/", "%2F", ":", "%3A", "@", "%40").Replace(name)
		w.call("POST", "/v1/streams/"+escaped+"/events", fmt.Sprintf(`{"id":%q,"type":"marked","data":{}}`, id), http.StatusCreated)
		if got := w.call("GET", "/v1/streams/"+escaped+"/events", "", http.StatusOK); !strings.Contains(got, id) {
			w.t.Errorf("%s: %s", name, got)
		}
	}
}

// enlarged stores events that no item of a table holds, by each way that takes
// them, and more than a run of the log leaves in the table.
func (w *world) enlarged() {
	chance := rand.New(rand.NewPCG(1, 1))
	var text strings.Builder
	for text.Len() < 600<<10 { // no packing makes much less of it
		fmt.Fprintf(&text, "%016x", chance.Uint64())
	}
	large := text.String()
	for n := range 6 {
		w.call("POST", fmt.Sprintf("/v1/streams/large-%d/events", n), fmt.Sprintf(`{"id":"l-%d","type":"grown","data":{"text":%q}}`, n, large), http.StatusCreated)
	}
	w.call("POST", "/v1/ingest", fmt.Sprintf(`{"id":"l-6","aggregateId":"large-6","eventType":"grown","eventData":{"text":%q}}`, large), http.StatusAccepted)
	w.reads("/v1/streams/large-0/events", large)
	w.reads("/v1/streams/large-6/events", large)
	// From the log, an answer must stay below what Lambda hands over.
	w.reads("/v1/events?prefix=large-&limit=2", `"l-0"`, `"l-1"`)
	until(w.t, "a sealed run", time.Minute, func() bool {
		return !slices.Contains(w.Unused("annals-sequence"), "dynamodb:BatchWriteItem")
	})
}

// ordered has the function react run the saga of examples/awsreact.
func (w *world) ordered() {
	w.call("POST", "/v1/commands", `{"aggregateId":"order-1","eventType":"order-placed","eventData":{},"id":"o-1"}`, http.StatusCreated)
	w.reads("/v1/streams/order-1/events", "order-placed", "payment-requested")
	if err := w.Tick("annals-tick"); err != nil {
		w.t.Error(err)
	}
}

// replaced gives a view a second generation and removes the first.
func (w *world) replaced() {
	w.call("POST", "/v1/projections/accounts/rebuild", `{}`, http.StatusOK)
	until(w.t, "the switch", time.Minute, func() bool {
		status, _, err := w.http(w.t.Context(), "POST", "/v1/projections/accounts/switch", `{}`)
		return err == nil && status == http.StatusOK
	})
	w.call("DELETE", "/v1/projections/accounts/generations/1", "", http.StatusOK)
	if got := w.call("GET", "/v1/projections/accounts", "", http.StatusOK); !strings.Contains(got, `"live":2`) || strings.Contains(got, `"number":1,`) {
		w.t.Errorf("afterwards: %s", got)
	}
	w.reads("/v1/views/accounts/account-12", `"balance":7`)
}

const latencies = 60

// timed reports how long a message takes from the queue to a readable trace, which
// the window of the mapping is a part of.
func (w *world) timed() {
	queue, url := sqs.NewFromConfig(w.Config()), w.QueueURL("annals-event-queue")
	var mu sync.Mutex
	var took []time.Duration
	var all sync.WaitGroup
	for n := range latencies {
		all.Go(func() {
			id := fmt.Sprint("timed-", n)
			body := fmt.Sprintf(`{"id":%q,"requestId":%q,"timestamp":"2020-05-01T20:00:00Z","type":"MICROSERVICE_REQUEST","source":"Gateway","data":{"Name":"A"}}`, id, id)
			pause := time.NewTicker(time.Second / 4)
			defer pause.Stop()
			for range n % 12 { // spread over the time of three windows
				<-pause.C
			}
			began := time.Now()
			if _, err := queue.SendMessage(w.t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: awssdk.String(body)}); err != nil {
				w.t.Error(err)
				return
			}
			tries := time.NewTicker(50 * time.Millisecond)
			defer tries.Stop()
			for {
				status, _, err := w.http(w.t.Context(), "GET", "/v1/traces/"+id, "")
				if err != nil || time.Since(began) > time.Minute {
					w.t.Errorf("the trace of %s after %v: %d %v", id, time.Since(began), status, err)
					return
				}
				if status == http.StatusOK {
					break
				}
				<-tries.C
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(began))
		})
	}
	all.Wait()
	slices.Sort(took)
	if n := len(took); n > 0 {
		w.t.Logf("from the queue to a readable trace, %d messages: p50 %v, p99 %v, with a window of 1s", n, took[n/2].Round(time.Millisecond), took[(n*99)/100].Round(time.Millisecond))
	}
}
