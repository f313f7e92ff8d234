package kinesis

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/awstest/local"
	"github.com/eb901187/annals/playback"
)

// A world is a Kinesis, and faults between it and its client.
type world struct {
	t      *testing.T
	client *sdk.Client // with faults
	plain  *sdk.Client
	faults faults
}

// faults are called, if set, before a request is sent; lost says to lose the reply.
type faults struct {
	mu    sync.Mutex
	puts  int
	sizes []int // records of each call
	put   func(in *sdk.PutRecordsInput) (fail map[int]string, lost bool, err error)
	get   func() (lost bool, err error)
}

func newWorld(t *testing.T, stream string, shards int32) *world {
	t.Helper()
	w := &world{t: t}
	opts := sdk.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(local.Kinesis(t)),
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	}
	w.plain = sdk.New(opts)
	opts.APIOptions = append(opts.APIOptions, func(s *middleware.Stack) error {
		return s.Initialize.Add(middleware.InitializeMiddlewareFunc("faults", w.initialize), middleware.After)
	})
	w.client = sdk.New(opts)
	if _, err := w.plain.CreateStream(t.Context(), &sdk.CreateStreamInput{StreamName: &stream, ShardCount: &shards}); err != nil {
		t.Fatal(err)
	}
	w.untilActive(stream)
	return w
}

func (w *world) untilActive(stream string) {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		out, err := w.plain.DescribeStreamSummary(w.t.Context(), &sdk.DescribeStreamSummaryInput{StreamName: &stream})
		if err != nil {
			w.t.Fatal(err)
		}
		if out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s is %s", stream, out.StreamDescriptionSummary.StreamStatus)
		}
	}
}

var errLost = errors.New("planted: the connection was reset")

// answered is an error as the client makes it of an answer.
func answered(status int, err error) error {
	return &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}}, Err: err}
}

func (w *world) initialize(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (out middleware.InitializeOutput, m middleware.Metadata, err error) {
	w.faults.mu.Lock()
	defer w.faults.mu.Unlock()
	switch p := in.Parameters.(type) {
	case *sdk.PutRecordsInput:
		return w.putRecords(ctx, p, next)
	case *sdk.GetRecordsInput:
		if w.faults.get != nil {
			lost, err := w.faults.get()
			if lost {
				if _, _, err := next.HandleInitialize(ctx, in); err != nil {
					return out, m, err
				}
			}
			if err != nil {
				return out, m, err
			}
		}
	}
	return next.HandleInitialize(ctx, in)
}

// putRecords checks what holds for every call, and plants the faults.
func (w *world) putRecords(ctx context.Context, in *sdk.PutRecordsInput, next middleware.InitializeHandler) (out middleware.InitializeOutput, m middleware.Metadata, err error) {
	w.faults.puts++
	w.faults.sizes = append(w.faults.sizes, len(in.Records))
	keys, size := map[string]bool{}, 0
	for i := range in.Records {
		key := *in.Records[i].PartitionKey
		if keys[key] {
			w.t.Errorf("the key %s is in one call twice", key)
		}
		keys[key] = true
		size += len(key) + len(in.Records[i].Data)
	}
	if len(in.Records) > 500 || size > 5<<20 {
		w.t.Errorf("a call of %d records and %d bytes", len(in.Records), size)
	}
	if w.faults.put == nil {
		return next.HandleInitialize(ctx, middleware.InitializeInput{Parameters: in})
	}
	fail, lost, err := w.faults.put(in)
	if err != nil && !lost {
		return out, m, err
	}
	sent := *in
	sent.Records = nil
	for i := range in.Records {
		if fail[i] != "ProvisionedThroughputExceededException" {
			sent.Records = append(sent.Records, in.Records[i])
		}
	}
	var answers []types.PutRecordsResultEntry
	if len(sent.Records) > 0 {
		var failed error
		if out, m, failed = next.HandleInitialize(ctx, middleware.InitializeInput{Parameters: &sent}); failed != nil {
			return out, m, failed
		}
		answers = out.Result.(*sdk.PutRecordsOutput).Records
	}
	if lost {
		return middleware.InitializeOutput{}, m, err
	}
	merged := &sdk.PutRecordsOutput{FailedRecordCount: aws.Int32(int32(len(fail)))}
	for i := range in.Records {
		if fail[i] == "" {
			merged.Records = append(merged.Records, answers[0])
		} else {
			merged.Records = append(merged.Records, types.PutRecordsResultEntry{ErrorCode: aws.String(fail[i]), ErrorMessage: aws.String("planted")})
		}
		if fail[i] != "ProvisionedThroughputExceededException" {
			answers = answers[1:]
		}
	}
	out.Result = merged
	return out, m, nil
}

// random plants every fault there is.
func (w *world) random(rnd *rand.Rand) {
	throttle := func() error { return answered(400, &types.ProvisionedThroughputExceededException{}) }
	w.faults.put = func(in *sdk.PutRecordsInput) (map[int]string, bool, error) {
		switch rnd.IntN(8) {
		case 0:
			return nil, false, throttle()
		case 1:
			return nil, false, errLost
		case 2:
			return nil, true, errLost
		case 3:
			return nil, true, answered(500, &types.InternalFailureException{})
		case 4, 5:
			fail := map[int]string{}
			for i := range in.Records {
				fail[i] = []string{"", "ProvisionedThroughputExceededException", "InternalFailure"}[rnd.IntN(3)]
			}
			return fail, false, nil
		}
		return nil, false, nil
	}
	w.faults.get = func() (bool, error) {
		switch rnd.IntN(8) {
		case 0:
			return false, answered(400, &types.ExpiredIteratorException{})
		case 1:
			return false, throttle()
		case 2:
			return true, errLost
		}
		return false, nil
	}
}

var kinesisSeed = flag.Uint64("kinesis-seed", 0, "seed of the tests of faults; 0 takes the clock")

func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *kinesisSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: repeat with -kinesis-seed", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func noSleep(context.Context, time.Duration) {}

func (w *world) writer(stream string, tries int) *Writer {
	return NewWriter(w.client, stream, &WriterOptions{Tries: tries, Sleep: noSleep})
}

func (w *world) reader(stream string) *Reader {
	return NewReader(w.client, stream, &ReaderOptions{Limit: 7, Sleep: noSleep})
}

// reshard splits or merges shards at random.
func (w *world) reshard(stream string, rnd *rand.Rand) {
	w.t.Helper()
	out, err := w.plain.ListShards(w.t.Context(), &sdk.ListShardsInput{StreamName: &stream})
	if err != nil {
		w.t.Fatal(err)
	}
	var open []types.Shard
	for _, s := range out.Shards {
		if s.SequenceNumberRange.EndingSequenceNumber == nil {
			open = append(open, s)
		}
	}
	slices.SortFunc(open, func(a, b types.Shard) int {
		return number(*a.HashKeyRange.StartingHashKey).Cmp(number(*b.HashKeyRange.StartingHashKey))
	})
	i := rnd.IntN(len(open))
	if i+1 < len(open) && rnd.IntN(2) == 0 {
		_, err = w.plain.MergeShards(w.t.Context(), &sdk.MergeShardsInput{StreamName: &stream, ShardToMerge: open[i].ShardId, AdjacentShardToMerge: open[i+1].ShardId})
	} else {
		from, to := number(*open[i].HashKeyRange.StartingHashKey), number(*open[i].HashKeyRange.EndingHashKey)
		middle := from.Add(from, to).Rsh(from, 1).String()
		_, err = w.plain.SplitShard(w.t.Context(), &sdk.SplitShardInput{StreamName: &stream, ShardToSplit: open[i].ShardId, NewStartingHashKey: &middle})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.untilActive(stream)
}

// some makes marked events of a playback, as it sends them.
func some(t *testing.T, id string, rnd *rand.Rand, streams, n int) (events []annals.Event) {
	t.Helper()
	versions := map[string]int64{}
	for i := range n {
		stream := fmt.Sprintf("order-%d", rnd.IntN(streams))
		versions[stream]++
		size := rnd.IntN(200)
		if rnd.IntN(50) == 0 {
			size = rnd.IntN(300 << 10)
		}
		e := annals.Event{
			ID: fmt.Sprintf("e%d", i), Type: "placed", Source: "test", Stream: stream, Version: versions[stream], Position: int64(i + 1),
			ContentType: "text/plain", Data: []byte(strings.Repeat("x", size)),
		}
		e, err := playback.Mark(e, id)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

// inOrder compares, stream by stream.
func inOrder(t *testing.T, got, want []annals.Event) {
	t.Helper()
	byStream := func(events []annals.Event) map[string][]string {
		all := map[string][]string{}
		for i := range events {
			all[events[i].Stream] = append(all[events[i].Stream], string(events[i].AppendJSON(nil, true)))
		}
		return all
	}
	if len(got) != len(want) {
		t.Errorf("%d events, want %d", len(got), len(want))
	}
	have := byStream(got)
	for stream, events := range byStream(want) {
		if !slices.Equal(have[stream], events) {
			t.Errorf("stream %s has %d events, want %d, and these in order", stream, len(have[stream]), len(events))
		}
	}
}
