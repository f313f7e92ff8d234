package ingest

import (
	"context"
	"hash/maphash"
	"iter"
	"sync"

	"github.com/eb901187/annals"
)

// A Status is what became of a message.
type Status string

// The statuses.
const (
	Stored   Status = "stored"
	Replayed Status = "replayed" // it had been stored before
	Refused  Status = "refused"  // it can never be stored as it is
)

// A Result is what became of one message.
type Result struct {
	Number int // as in Item
	Status Status
	ID     string        // as given; empty where the message has none or can't be read
	Commit annals.Commit // of a message that is stored
	Err    error         // of a message that is refused
}

// A Summary counts results.
type Summary struct {
	Stored, Replayed, Refused int64
}

// Total is the number of messages.
func (s Summary) Total() int64 { return s.Stored + s.Replayed + s.Refused }

// A Runner stores messages.
type Runner struct {
	Store *annals.Store
	// Workers is how many appends run at once; 64 by default, so that they share
	// the store's syncs.
	Workers int
	// Each, if set, gets every result. Calls come one at a time, in no order of
	// messages; those of one stream come in order.
	Each func(Result)
}

// queued is how many messages wait for each worker.
const queued = 16

// Run stores the messages of items until they end, one can't be stored for a
// reason that is not its own, such as a full disk, or ctx ends. The summary
// counts what was done by then; Run over the same items again goes on from
// there, as ids keep what is stored from being stored twice.
func (r *Runner) Run(ctx context.Context, items iter.Seq2[Item, error]) (Summary, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	run := &run{store: r.Store, each: r.Each, cancel: cancel}
	workers := make([]chan numbered, max(r.Workers, 1))
	if r.Workers == 0 {
		workers = make([]chan numbered, 64)
	}
	var done sync.WaitGroup
	for i := range workers {
		workers[i] = make(chan numbered, queued)
		done.Go(func() { run.work(ctx, workers[i]) })
	}
	err := run.dispatch(ctx, items, workers)
	for _, w := range workers {
		close(w)
	}
	done.Wait()
	if err == nil {
		err = context.Cause(ctx)
	}
	return run.summary, err
}

type numbered struct {
	number int
	Message
}

type run struct {
	store  *annals.Store
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	each    func(Result)
	summary Summary
}

func (r *run) dispatch(ctx context.Context, items iter.Seq2[Item, error], workers []chan numbered) error {
	seed := maphash.MakeSeed()
	for item, err := range items {
		if err != nil {
			return err
		}
		m, err := Message{}, item.Err
		if err == nil {
			m, err = Decode(item.Text)
		}
		if err != nil {
			r.report(Result{Number: item.Number, Status: Refused, ID: m.Event.ID, Err: err})
			continue
		}
		select {
		case workers[maphash.String(seed, m.Stream)%uint64(len(workers))] <- numbered{item.Number, m}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (r *run) work(ctx context.Context, messages <-chan numbered) {
	for m := range messages {
		if ctx.Err() != nil {
			continue
		}
		result := Result{Number: m.number, ID: m.Event.ID, Status: Stored}
		result.Commit, result.Err = r.store.Append(ctx, m.Stream, annals.Any, m.Event)
		switch {
		case result.Err == nil && result.Commit.Replayed:
			result.Status = Replayed
		case result.Err == nil:
		case annals.IsRefusal(result.Err):
			result.Status = Refused
		default:
			r.cancel(result.Err)
			continue
		}
		r.report(result)
	}
}

func (r *run) report(result Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch result.Status {
	case Stored:
		r.summary.Stored++
	case Replayed:
		r.summary.Replayed++
	case Refused:
		r.summary.Refused++
	}
	if r.each != nil {
		r.each(result)
	}
}
