package aws_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"
	kinesistypes "github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/awstest/local"
)

var (
	messages = flag.Int("messages", 3_000, "how many messages TestKilledRoles sends, half by SQS and half by Kinesis")
	seed     = flag.Uint64("seed", 0, "of TestKilledRoles; 0 draws one")
)

// Of the messages sent, one in five is sent twice, and those of SQS in any order.
const (
	perStream = 20
	producers = 8
)

// Messages go in by SQS and by Kinesis while processes of every role are killed,
// tables throttle and the event stream is split and merged. All are stored, each
// once, those of a stream of Kinesis in their order, and the views know them all.
func TestKilledRoles(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-seed %d", *seed)
	var throttled atomic.Int64
	w := deploy(t, func(s *local.Stack, o *local.Options) {
		hurry(s)
		faults := &random{r: rand.New(rand.NewPCG(*seed, 1))}
		o.Fault = func(c local.Call) *local.Fault {
			if !strings.HasPrefix(c.Actions[0], "dynamodb:") || faults.n(100) >= 3 {
				return nil
			}
			throttled.Add(1)
			return &local.Fault{Code: "ProvisionedThroughputExceededException", Message: "planted", Lost: faults.n(2) == 0}
		}
	})
	began := time.Now()
	ctx, stop := context.WithCancel(t.Context())
	var disturbers, senders sync.WaitGroup
	var kills, reshards int
	disturbers.Go(func() { kills = w.killing(ctx) })
	disturbers.Go(func() { reshards = w.reshard(ctx) })
	senders.Go(w.sendByQueue)
	senders.Go(w.sendByAPI)
	senders.Wait()
	stop()
	disturbers.Wait()
	sent := time.Since(began)
	w.settled()
	w.checkStored()
	t.Logf("%d messages: sent in %v, stored after %v; %d processes killed, %d calls throttled, resharded %d times", *messages, sent.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), kills, throttled.Load(), reshards)
	w.tellGrants()
}

// hurry shortens the time after which a message comes again whose receiver, or the
// answer to it, got lost.
func hurry(s *local.Stack) {
	for i := range s.Functions {
		if s.Functions[i].Name == "annals-track" {
			s.Functions[i].Timeout = 10 * time.Second
		}
	}
	for _, q := range s.Queues {
		if q.Name == "annals-event-queue" {
			q.Attributes["VisibilityTimeout"] = "60"
		}
	}
}

// random is a source of chance that several may draw from.
type random struct {
	mu sync.Mutex
	r  *rand.Rand
}

func (r *random) n(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.r.IntN(n)
}

// killing ends a process of some role several times a second.
func (w *world) killing(ctx context.Context) (kills int) {
	chance := rand.New(rand.NewPCG(*seed, 2))
	roles := []string{"load", "track", "pump", "command", "query", "sequence", "write", "react", "playback"}
	pause := time.NewTicker(200 * time.Millisecond)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return kills
		case <-pause.C:
			if w.Kill("annals-"+roles[chance.IntN(len(roles))], chance.IntN) {
				kills++
			}
		}
	}
}

func half() int { return *messages / 2 }

// sendByQueue sends tracking messages of many requests, in any order, some twice.
func (w *world) sendByQueue() {
	chance := rand.New(rand.NewPCG(*seed, 3))
	var bodies []string
	for n := range half() {
		body := fmt.Sprintf(`{"id":"q-%d","requestId":"request-%d","timestamp":"2020-05-01T20:00:00Z","type":"MICROSERVICE_REQUEST","source":"Gateway","data":{"Name":"A"}}`, n, n/perStream)
		bodies = append(bodies, body)
		if chance.IntN(5) == 0 {
			bodies = append(bodies, body)
		}
	}
	chance.Shuffle(len(bodies), func(i, j int) { bodies[i], bodies[j] = bodies[j], bodies[i] })
	queue, url := sqs.NewFromConfig(w.Config()), w.QueueURL("annals-event-queue")
	for chunk := range slices.Chunk(bodies, 10) {
		in := &sqs.SendMessageBatchInput{QueueUrl: &url}
		for i, body := range chunk {
			in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{Id: awssdk.String(fmt.Sprint("m", i)), MessageBody: awssdk.String(body)})
		}
		if out, err := queue.SendMessageBatch(w.t.Context(), in); err != nil || len(out.Failed) > 0 {
			w.t.Errorf("sending: %v", err)
			return
		}
	}
}

// sendByAPI posts the events of accounts, those of each in their order. What is not
// known to have arrived is posted again, and so is some that has.
func (w *world) sendByAPI() {
	accounts := half() / perStream
	var all sync.WaitGroup
	for p := range producers {
		all.Go(func() {
			chance := rand.New(rand.NewPCG(*seed, 4+uint64(p)))
			for from := 0; from < perStream; from += 4 {
				var posted []string
				for account := p; account < accounts; account += producers {
					for n := from; n < from+4; n++ {
						posted = append(posted, command(fmt.Sprint("account-", account), "deposited", 1, fmt.Sprintf("k-%d-%d", account, n)))
					}
				}
				for again := true; again; again = chance.IntN(5) == 0 {
					if !w.post(posted) {
						return
					}
				}
			}
		})
	}
	all.Wait()
}

func (w *world) post(messages []string) bool {
	body := "[" + strings.Join(messages, ",") + "]"
	for {
		status, answer, err := w.http(w.t.Context(), "POST", "/v1/ingest", body)
		if status == http.StatusAccepted {
			return true
		}
		if err != nil || status < 500 {
			w.t.Errorf("POST /v1/ingest: %d %s %v", status, answer, err)
			return false
		}
	}
}

// reshard splits the shards of the event stream and merges them again, until ctx
// ends.
func (w *world) reshard(ctx context.Context) (times int) {
	c, stream := sdk.NewFromConfig(w.Config()), awssdk.String("annals-ingest")
	open := func() (all []kinesistypes.Shard) {
		out, err := c.ListShards(w.t.Context(), &sdk.ListShardsInput{StreamName: stream})
		if err != nil {
			w.t.Error(err)
			return nil
		}
		for _, s := range out.Shards {
			if s.SequenceNumberRange.EndingSequenceNumber == nil {
				all = append(all, s)
			}
		}
		return all
	}
	middle := "170141183460469231731687303715884105728"
	pause := time.NewTicker(2 * time.Second)
	defer pause.Stop()
	for ; ; times++ {
		select {
		case <-ctx.Done():
			return times
		case <-pause.C:
		}
		if s := open(); len(s) == 1 {
			if _, err := c.SplitShard(w.t.Context(), &sdk.SplitShardInput{StreamName: stream, ShardToSplit: s[0].ShardId, NewStartingHashKey: &middle}); err != nil {
				w.t.Error(err)
			}
		} else if len(s) == 2 {
			if _, err := c.MergeShards(w.t.Context(), &sdk.MergeShardsInput{StreamName: stream, ShardToMerge: s[0].ShardId, AdjacentShardToMerge: s[1].ShardId}); err != nil {
				w.t.Error(err)
			}
		}
	}
}

// settled sends one more message to every place and waits until all that were sent
// are through.
func (w *world) settled() {
	var last []string
	for n := range 32 {
		last = append(last, command(fmt.Sprint("end-", n), "ended", 0, fmt.Sprint("e-", n)))
	}
	if !w.post(last) {
		return
	}
	for n := range last {
		w.reads(fmt.Sprintf("/v1/streams/end-%d/events", n), "ended")
	}
	// What was received five times, each time by a process that was killed, is among
	// the dead letters, as on AWS.
	limit := time.Minute + time.Duration(*messages)*50*time.Millisecond
	until(w.t, "empty queues", limit, func() bool {
		if w.left("annals-dead-letters") > 0 {
			w.t.Log(w.annals("dlq", "retry", "--all"))
			return false
		}
		return w.left("annals-event-queue") == 0
	})
}

// left is how many messages a queue holds, with those that are being handled.
func (w *world) left(queue string) int {
	url := w.QueueURL(queue)
	out, err := sqs.NewFromConfig(w.Config()).GetQueueAttributes(w.t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []types.QueueAttributeName{"All"}})
	if err != nil {
		w.t.Fatal(err)
	}
	total := 0
	for _, name := range []string{"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"} {
		n, err := strconv.Atoi(out.Attributes[name])
		if err != nil {
			w.t.Fatal(err)
		}
		total += n
	}
	return total
}

func (w *world) checkStored() {
	store := w.store()
	var seen map[string]int
	next := map[string]int{}
	want := 2*half() + 32
	until(w.t, fmt.Sprint(want, " events in the log"), 3*time.Minute, func() bool {
		end, err := store.End(w.t.Context())
		return err == nil && end >= int64(want)
	})
	seen = map[string]int{}
	for e, err := range store.Log(w.t.Context(), annals.Query{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		if strings.HasPrefix(e.Stream, annals.OwnPrefix) {
			continue
		}
		seen[e.ID]++
		var n, account int
		if c, _ := fmt.Sscanf(e.ID, "k-%d-%d", &account, &n); c == 2 {
			if n != next[e.Stream] {
				w.t.Errorf("%s: event %d where %d must be", e.Stream, n, next[e.Stream])
			}
			next[e.Stream] = n + 1
		}
	}
	if len(seen) != want {
		w.t.Errorf("%d different events, want %d", len(seen), want)
	}
	for id, n := range seen {
		if n != 1 {
			w.t.Errorf("%s is there %d times", id, n)
		}
	}
	for account := range half() / perStream {
		w.reads(fmt.Sprint("/v1/views/accounts/account-", account), fmt.Sprintf(`"balance":%d`, perStream))
	}
}
