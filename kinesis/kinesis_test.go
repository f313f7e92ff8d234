package kinesis

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/eb901187/annals"
)

func number(s string) *big.Int {
	n, _ := new(big.Int).SetString(s, 10)
	return n
}

// Whatever fails, and however the stream is resharded meanwhile: nothing is lost, and
// each stream is in order.
func TestOrderThroughFaults(t *testing.T) {
	rnd := newRand(t)
	w := newWorld(t, "s", 3)
	w.random(rnd)
	events := some(t, "p", rnd, 20, 1500)
	writer := w.writer("s", 1000)
	for from := 0; from < len(events); {
		to := min(len(events), from+1+rnd.IntN(300))
		if err := writer.Put(t.Context(), events[from:to]); err != nil {
			t.Fatal(err)
		}
		if from = to; rnd.IntN(3) == 0 {
			w.reshard("s", rnd)
		}
	}
	var got, first []annals.Event
	for e, err := range w.reader("s").Playback(t.Context(), "p") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	inOrder(t, got, events)
	seen, all := map[string]bool{}, 0
	for record, err := range w.reader("s").Records(t.Context()) {
		if err != nil || record.Err != nil {
			t.Fatal(err, record.Err)
		}
		for _, e := range record.Events {
			if e.Stream != record.Key {
				t.Errorf("an event of %s under the key %s", e.Stream, record.Key)
			}
			if all++; !seen[e.ID] {
				first = append(first, e)
			}
			seen[e.ID] = true
		}
	}
	inOrder(t, first, events)
	t.Logf("%d events, read %d times, in %d calls", len(events), all, w.faults.puts)
}

func TestPutFillsCalls(t *testing.T) {
	w := newWorld(t, "s", 1)
	var small, large []annals.Event
	for i := range 1200 {
		small = append(small, annals.Event{ID: fmt.Sprint(i), Type: "t", Source: "s", Stream: fmt.Sprint("a", i)})
	}
	for i := range 9 {
		large = append(large, annals.Event{ID: fmt.Sprint(i), Type: "t", Source: "s", Stream: fmt.Sprint("b", i), ContentType: "text/plain", Data: make([]byte, 700<<10)})
	}
	for _, c := range []struct {
		events []annals.Event
		sizes  []int
	}{{small, []int{500, 500, 200}}, {large, []int{4, 4, 1}}} {
		w.faults.sizes = nil
		if err := w.writer("s", 1).Put(t.Context(), c.events); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(w.faults.sizes, c.sizes) {
			t.Errorf("calls of %v records, want %v", w.faults.sizes, c.sizes)
		}
	}
}

func TestEventsShareRecords(t *testing.T) {
	w := newWorld(t, "s", 1)
	var events []annals.Event
	for i := range 1000 {
		events = append(events, annals.Event{ID: fmt.Sprint(i), Type: "t", Source: "s", Stream: "a", ContentType: "text/plain", Data: make([]byte, 900)})
	}
	if err := w.writer("s", 1).Put(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	records, got := 0, []annals.Event{}
	for record, err := range w.reader("s").Records(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if len(record.Data) > sharedBytes {
			t.Errorf("a record of %d bytes", len(record.Data))
		}
		records++
		got = append(got, record.Events...)
	}
	for i := range events {
		if got[i].ID != events[i].ID {
			t.Fatalf("event %d is %s", i, got[i].ID)
		}
	}
	t.Logf("%d events in %d records and %d calls", len(events), records, w.faults.puts)
	if want := (1000*1300)/sharedBytes + 2; records > want {
		t.Errorf("%d records, want at most %d", records, want)
	}
}

func TestPutErrors(t *testing.T) {
	w := newWorld(t, "s", 1)
	events := []annals.Event{{ID: "1", Type: "t", Source: "s", Stream: "a"}, {ID: "2", Type: "t", Source: "s", Stream: "b"}}
	always := func(fail map[int]string, lost bool, err error) func(*sdk.PutRecordsInput) (map[int]string, bool, error) {
		return func(*sdk.PutRecordsInput) (map[int]string, bool, error) { return fail, lost, err }
	}
	const full = "ProvisionedThroughputExceededException"
	for name, c := range map[string]struct {
		put      func(*sdk.PutRecordsInput) (map[int]string, bool, error)
		code     annals.Code
		outcomes []Outcome
	}{
		"throttled":       {always(nil, false, answered(400, &types.ProvisionedThroughputExceededException{})), annals.CodeUnavailable, []Outcome{NotAccepted, NotAccepted}},
		"a full shard":    {always(map[int]string{0: full, 1: full}, false, nil), annals.CodeUnavailable, []Outcome{NotAccepted, NotAccepted}},
		"lost replies":    {always(nil, true, errLost), annals.CodeUnknownOutcome, []Outcome{Unknown, Unknown}},
		"internal":        {always(map[int]string{0: "InternalFailure", 1: full}, false, nil), annals.CodeUnknownOutcome, []Outcome{Unknown, NotAccepted}},
		"refused":         {always(nil, false, answered(400, &types.InvalidArgumentException{})), annals.CodeInvalid, []Outcome{NotAccepted, NotAccepted}},
		"denied":          {always(nil, false, answered(400, &types.AccessDeniedException{})), annals.CodeForbidden, []Outcome{NotAccepted, NotAccepted}},
		"no such stream":  {always(nil, false, answered(400, &types.ResourceNotFoundException{})), annals.CodeNotFound, []Outcome{NotAccepted, NotAccepted}},
		"lost, then full": {lostOnce(), annals.CodeUnknownOutcome, []Outcome{Unknown, Unknown}},
		"half of it": {func(in *sdk.PutRecordsInput) (map[int]string, bool, error) {
			return map[int]string{slices.IndexFunc(in.Records, func(r types.PutRecordsRequestEntry) bool { return *r.PartitionKey == "b" }): full}, false, nil
		}, annals.CodeUnavailable, []Outcome{Accepted, NotAccepted}},
	} {
		t.Run(name, func(t *testing.T) {
			w.faults.put = c.put
			err := w.writer("s", 3).Put(t.Context(), events)
			var failed *PutError
			if !errors.As(err, &failed) || annals.CodeOf(err) != c.code || !slices.Equal(failed.Outcomes, c.outcomes) {
				t.Fatalf("error %v of code %s, want outcomes %v and code %s", err, annals.CodeOf(err), c.outcomes, c.code)
			}
			if !strings.Contains(err.Error(), "the Kinesis stream s took") {
				t.Errorf("%v names no stream", err)
			}
			if errors.Is(err, annals.ErrUnavailable) || errors.Is(err, annals.ErrUnknownOutcome) {
				t.Errorf("%v passes for an error of the store", err)
			}
		})
	}
}

func lostOnce() func(*sdk.PutRecordsInput) (map[int]string, bool, error) {
	lost := false
	return func(*sdk.PutRecordsInput) (map[int]string, bool, error) {
		if !lost {
			lost = true
			return nil, true, errLost
		}
		return nil, false, answered(400, &types.ProvisionedThroughputExceededException{})
	}
}

func TestPutEndsWithItsContext(t *testing.T) {
	w := newWorld(t, "s", 1)
	ctx, cancel := context.WithCancel(t.Context())
	w.faults.put = func(*sdk.PutRecordsInput) (map[int]string, bool, error) {
		cancel()
		return nil, false, answered(400, &types.ProvisionedThroughputExceededException{})
	}
	err := w.writer("s", 1000).Put(ctx, []annals.Event{{ID: "1", Type: "t", Source: "s", Stream: "a"}})
	var failed *PutError
	if !errors.As(err, &failed) || !errors.Is(err, context.Canceled) || w.faults.puts != 1 {
		t.Fatalf("%d calls, error %v", w.faults.puts, err)
	}
}

// What does not fit is refused by name before anything is put, and what fits is taken.
func TestLargestEvent(t *testing.T) {
	w := newWorld(t, "s", 1)
	e := annals.Event{ID: "1", Type: "t", Source: "s", Stream: "order-7", Version: 3, ContentType: "application/json"}
	e.Data = []byte(`"` + strings.Repeat("x", 1<<10) + `"`)
	data, err := encode(&e)
	if err != nil {
		t.Fatal(err)
	}
	e.Data = []byte(`"` + strings.Repeat("x", 1<<10+MaxRecordBytes-len(data)-len(e.Stream)) + `"`)
	if err := errors.Join(Check(&e), w.writer("s", 1).Put(t.Context(), []annals.Event{e})); err != nil {
		t.Fatal(err)
	}
	puts := w.faults.puts
	e.ID += "0"
	err = w.writer("s", 1).Put(t.Context(), []annals.Event{{ID: "2", Type: "t", Source: "s", Stream: "a"}, e})
	if !errors.Is(err, annals.ErrTooLarge) || !strings.Contains(err.Error(), "order-7@3") || w.faults.puts != puts {
		t.Errorf("error %v after %d calls", err, w.faults.puts-puts)
	}
	if err := Check(&annals.Event{ID: "1", Type: "t"}); !errors.Is(err, annals.ErrInvalid) {
		t.Errorf("no stream: %v", err)
	}
}
