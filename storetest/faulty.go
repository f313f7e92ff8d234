package storetest

import (
	"context"
	"iter"
	"sync"

	"github.com/eb901187/annals"
)

// A Fault is what a Faulty driver does to one call.
type Fault int

// The faults.
const (
	// None passes the call on.
	None Fault = iota
	// LostRequest fails an append before it has an effect, without saying so:
	// the error matches annals.ErrUnknownOutcome.
	LostRequest
	// LostReply lets an append take effect and then fails it like LostRequest.
	LostReply
	// Refused fails the call with annals.ErrUnavailable before it has an effect.
	Refused
)

// A Faulty driver fails on demand. It is safe for concurrent use.
type Faulty struct {
	annals.Driver

	mu      sync.Mutex
	appends []Fault
	reads   []Fault
}

// FailAppends plants faults for the next appends, one each.
func (f *Faulty) FailAppends(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.appends = faults
}

// FailReads plants faults for the next reads of a stream, one each; every fault
// but None refuses.
func (f *Faulty) FailReads(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads = faults
}

func (f *Faulty) next(list *[]Fault) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(*list) == 0 {
		return None
	}
	fault := (*list)[0]
	*list = (*list)[1:]
	return fault
}

// Append implements annals.Driver.
func (f *Faulty) Append(ctx context.Context, stream string, expected int64, events []annals.Event) (annals.Commit, error) {
	switch f.next(&f.appends) {
	case LostRequest:
		return annals.Commit{}, annals.ErrUnknownOutcome
	case Refused:
		return annals.Commit{}, annals.ErrUnavailable
	case LostReply:
		if c, err := f.Driver.Append(ctx, stream, expected, events); err != nil {
			return c, err
		}
		return annals.Commit{}, annals.ErrUnknownOutcome
	}
	return f.Driver.Append(ctx, stream, expected, events)
}

// AppendBatch implements annals.BatchAppender, also for a driver that does not: a
// fault is that of the whole batch.
func (f *Faulty) AppendBatch(ctx context.Context, batch []annals.Append) ([]annals.Commit, error) {
	fault := f.next(&f.appends)
	switch fault {
	case LostRequest:
		return nil, annals.ErrUnknownOutcome
	case Refused:
		return nil, annals.ErrUnavailable
	}
	commits, err := f.appendBatch(ctx, batch)
	if fault == LostReply && err == nil {
		return nil, annals.ErrUnknownOutcome
	}
	return commits, err
}

func (f *Faulty) appendBatch(ctx context.Context, batch []annals.Append) (commits []annals.Commit, err error) {
	if b, ok := f.Driver.(annals.BatchAppender); ok {
		return b.AppendBatch(ctx, batch)
	}
	for _, a := range batch {
		c, err := f.Driver.Append(ctx, a.Stream, a.Expected, a.Events)
		if err != nil {
			return commits, err
		}
		commits = append(commits, c)
	}
	return commits, nil
}

// Stream implements annals.Driver.
func (f *Faulty) Stream(ctx context.Context, stream string, from, to int64, backward bool) iter.Seq2[annals.Event, error] {
	if f.next(&f.reads) != None {
		return func(yield func(annals.Event, error) bool) { yield(annals.Event{}, annals.ErrUnavailable) }
	}
	return f.Driver.Stream(ctx, stream, from, to, backward)
}

// Streams implements annals.StreamLister for a driver that does; a fault planted for
// reads is that of a listing too.
func (f *Faulty) Streams(ctx context.Context, q annals.StreamsQuery) iter.Seq2[annals.StreamInfo, error] {
	lister, ok := f.Driver.(annals.StreamLister)
	err := error(annals.ErrNotFound)
	if f.next(&f.reads) != None {
		ok, err = false, annals.ErrUnavailable
	}
	if !ok {
		return func(yield func(annals.StreamInfo, error) bool) { yield(annals.StreamInfo{}, err) }
	}
	return lister.Streams(ctx, q)
}

// Wait implements annals.Sequencer for a driver that does.
func (f *Faulty) Wait(ctx context.Context, commit annals.Commit) (annals.Commit, error) {
	if s, ok := f.Driver.(annals.Sequencer); ok {
		return s.Wait(ctx, commit)
	}
	return commit, nil
}
