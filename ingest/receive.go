package ingest

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/eb901187/annals"
)

// Failed is the Status of a message that could not be stored for a reason that is
// not its own, or because one before it in its stream could not. Deliver it again.
const Failed Status = "failed"

// A Settled is one message of a delivery and what became of it.
type Settled struct {
	Part
	Message Message // with the id that it has in the store; zero where it can't be read
	Status  Status
	Version int64 // of the event in its stream, if it is stored
	// Reason is why the message was refused or failed. It is not the Part's Err,
	// which says why nothing can be made out.
	Reason error
}

// An Outcome is what became of one Delivery.
type Outcome struct {
	ID       string
	Messages []*Settled // in the order of the delivery, at least one
}

// Failed returns why the delivery has to come again; nil if it need not.
func (o *Outcome) Failed() error {
	for _, m := range o.Messages {
		if m.Status == Failed {
			return m.Reason
		}
	}
	return nil
}

// A Receiver stores what a queue or a stream delivers. It may be used by many
// goroutines at once.
type Receiver struct {
	Store *annals.Store
	// Workers is how many streams are appended to at once; 64 by default.
	Workers int
	// PerStream, if it is not 0, is about how many messages of one stream a Receive
	// takes: those of later deliveries fail with ErrNextBatch. A source that goes on
	// from the first failure, as Kinesis does, delivers all behind it again. With
	// annals.MaxCommitEvents that is never more of one stream than a store knows the
	// ids of, so that nothing is stored twice however the batches are cut.
	PerStream int
}

// MaxBatchMessages is about how many messages a Receive takes, all streams together: so
// many short ones take tens of MB of memory.
const MaxBatchMessages = 50_000

// ErrNextBatch is the Reason of messages that were not stored as Receiver.PerStream
// or MaxBatchMessages was reached.
var ErrNextBatch error = &annals.Error{Code: annals.CodeCanceled, Message: "the batch has more messages than are stored at once", Hint: "deliver the rest again"}

// Receive stores the messages of deliveries and returns an Outcome for each.
//
// The messages of one stream become one commit, in their order, or several where
// they pass the limits of a commit. Those that are stored already are left out,
// and those that can never be stored are refused alone. Once one fails, all behind
// it in its stream fail too, and other streams go on. A stream of which an event
// names its cause in another waits for that one, if it began earlier in the batch.
//
// To deliver again what failed, with what was stored or not, is harmless: ids keep
// messages from being stored twice, over at least the last 1,000 events of their
// stream, and a message without an id has its Place for one.
//
// Deliveries behind the first MaxBatchMessages messages fail with ErrNextBatch.
func (r *Receiver) Receive(ctx context.Context, deliveries []Delivery) []Outcome {
	outcomes := make([]Outcome, len(deliveries))
	b := batch{store: r.Store, byStream: map[string]*queue{}}
	taken := 0
	for i, d := range deliveries {
		outcomes[i].ID = d.ID
		if taken >= MaxBatchMessages {
			outcomes[i].Messages = []*Settled{{Part: Part{Place: d.place(1), Text: d.Body}, Status: Failed, Reason: ErrNextBatch}}
			continue
		}
		for part := range d.Parts() {
			outcomes[i].Messages = append(outcomes[i].Messages, &Settled{Part: part})
		}
		taken += len(outcomes[i].Messages)
		b.add(outcomes[i].Messages, r.PerStream)
	}
	workers := r.Workers
	if workers <= 0 {
		workers = 64
	}
	b.run(ctx, workers)
	return outcomes
}

// A batch is one Receive under way.
type batch struct {
	store    *annals.Store
	queues   []*queue // in the order in which streams appear
	byStream map[string]*queue
}

// A queue is what a batch has for one stream.
type queue struct {
	messages []*Settled
	full     bool
	after    []*queue // of streams that hold causes
	done     chan struct{}
}

// add takes in the messages of one delivery. Of a stream it takes all or none of
// them, as they come again together.
func (b *batch) add(messages []*Settled, perStream int) {
	var streams []string
	byStream := map[string][]*Settled{}
	for _, m := range messages {
		if err := m.decode(); err != nil {
			m.refuse(err)
			continue
		}
		stream := m.Message.Stream
		if byStream[stream] == nil {
			streams = append(streams, stream)
		}
		byStream[stream] = append(byStream[stream], m)
	}
	for _, stream := range streams {
		q := b.byStream[stream]
		if q == nil {
			q = &queue{done: make(chan struct{})}
			b.byStream[stream] = q
			b.queues = append(b.queues, q)
		}
		n := len(q.messages) + len(byStream[stream])
		if q.full = q.full || perStream > 0 && n > perStream && len(q.messages) > 0; q.full {
			fail(byStream[stream], ErrNextBatch)
			continue
		}
		q.messages = append(q.messages, byStream[stream]...)
	}
}

// fail marks those of the messages that are not settled.
func fail(messages []*Settled, err error) {
	for _, m := range messages {
		if m.Status == "" {
			m.Status, m.Reason = Failed, err
		}
	}
}

func (m *Settled) decode() (err error) {
	defer caught(&err)
	if m.Err != nil {
		return m.Err
	}
	if m.Message, err = Decode(m.Text); err == nil && m.Message.Event.ID == "" {
		m.Message.Event.ID = m.Place
	}
	return err
}

func (m *Settled) refuse(err error) { m.Status, m.Reason = Refused, err }

func (m *Settled) store(version int64, replayed bool) {
	m.Status, m.Version = Stored, version
	if replayed {
		m.Status = Replayed
	}
}

func (b *batch) run(ctx context.Context, workers int) {
	b.findCauses()
	slots := make(chan struct{}, workers)
	var all sync.WaitGroup
	for _, q := range b.queues {
		slots <- struct{}{} // those that it waits for have theirs
		all.Go(func() {
			defer func() { close(q.done); <-slots }()
			for _, before := range q.after {
				<-before.done
			}
			b.settle(ctx, q.messages)
		})
	}
	all.Wait()
}

func (b *batch) findCauses() {
	place := map[*queue]int{}
	for i, q := range b.queues {
		place[q] = i
		for _, m := range q.messages {
			if m.Message.Event.Causation == "" {
				continue
			}
			cause, _, err := annals.ParseCausation(m.Message.Event.Causation)
			// Looking at earlier ones only leaves no circle.
			before := b.byStream[cause]
			if at, earlier := place[before]; err == nil && earlier && at < i && !slices.Contains(q.after, before) {
				q.after = append(q.after, before)
			}
		}
	}
}

// settle gives each of the messages, which are of one stream, its status.
func (b *batch) settle(ctx context.Context, messages []*Settled) {
	rest, err := messages, error(nil)
	if len(messages) > annals.MaxCommitEvents {
		rest, err = b.findStored(ctx, messages)
	}
	for err == nil && len(rest) > 0 {
		commit, n := nextCommit(rest)
		err = b.commit(ctx, commit.messages)
		for m, first := range commit.twins {
			if m.Status, m.Version, m.Reason = first.Status, first.Version, first.Reason; m.Status == Stored {
				m.Status = Replayed
			}
		}
		rest = rest[n:]
	}
	fail(messages, err)
}

// findStored settles those of the messages that the end of their stream holds, where
// they are more than a store remembers the ids of, and returns the others.
func (b *batch) findStored(ctx context.Context, messages []*Settled) (rest []*Settled, err error) {
	stored := map[string]annals.Event{}
	limit := len(messages) + annals.MaxCommitEvents
	for e, err := range b.store.Stream(ctx, messages[0].Message.Stream, &annals.StreamOptions{Backward: true, Limit: limit}) {
		if err != nil {
			return nil, err
		}
		stored[e.ID] = e
	}
	for _, m := range messages {
		e, known := stored[m.Message.Event.ID]
		switch {
		case !known:
			rest = append(rest, m)
		case sameEvent(&m.Message.Event, &e):
			m.store(e.Version, true)
		default:
			m.refuse(&annals.DuplicateError{Stream: e.Stream, ID: e.ID, Version: e.Version})
		}
	}
	return rest, nil
}

// A commit is a number of messages that one append may take.
type commit struct {
	messages []*Settled
	twins    map[*Settled]*Settled // repetitions of messages
}

// nextCommit takes as many of the messages as fit, and says how many it took. One
// with the id of another and other content has to wait: the store judges it.
func nextCommit(messages []*Settled) (c commit, n int) {
	first := make(map[string]*Settled, len(messages))
	c.twins = map[*Settled]*Settled{}
	total := 0
	for _, m := range messages {
		e := &m.Message.Event
		if twin, known := first[e.ID]; known {
			if !sameEvent(e, &twin.Message.Event) || !sameEvent(&twin.Message.Event, e) {
				return c, n
			}
			c.twins[m] = twin
			n++
			continue
		}
		total += size(e)
		if len(c.messages) > 0 && (len(c.messages) == annals.MaxCommitEvents || total > annals.MaxCommitBytes) {
			return c, n
		}
		first[e.ID] = m
		c.messages = append(c.messages, m)
		n++
	}
	return c, n
}

// size is at least what the store counts for e.
func size(e *annals.Event) int {
	const stamps = 64 // what the store fills in
	n := stamps + len(e.ID) + len(e.Type) + len(e.Source) + len(e.Correlation) + len(e.Causation) + len(e.ContentType) + len(e.Data)
	for name, value := range e.Attributes {
		n += len(name) + len(value)
	}
	return n
}

// sameEvent reports whether given is stored, as far as it says something.
func sameEvent(given, stored *annals.Event) bool {
	said := func(given, stored string) bool { return given == "" || given == stored }
	return given.ID == stored.ID && given.Type == stored.Type && said(given.Source, stored.Source) &&
		given.Correlation == stored.Correlation && given.Causation == stored.Causation &&
		(said(given.ContentType, stored.ContentType) || stored.ContentType == "" && given.ContentType == annals.JSONContentType) &&
		maps.Equal(given.Attributes, stored.Attributes) && bytes.Equal(given.Data, stored.Data) &&
		(given.Time.IsZero() || given.Time.Equal(stored.Time))
}

// commit stores the messages, which have different ids, in as few appends as it
// can. An error is not theirs; those that were settled before it have a status.
func (b *batch) commit(ctx context.Context, messages []*Settled) error {
	if len(messages) == 0 {
		return nil
	}
	done, err := b.append(ctx, messages)
	var duplicate *annals.DuplicateError
	var bug *panicked
	switch {
	case err == nil:
		for i, m := range messages {
			m.store(done.Version-int64(len(messages)-1-i), done.Replayed)
		}
		return nil
	case errors.As(err, &duplicate) && len(messages) > 1:
		return b.leaveOut(ctx, messages, duplicate)
	case !annals.IsRefusal(err) && !errors.As(err, &bug):
		return err
	case len(messages) == 1:
		messages[0].refuse(err)
		return nil
	}
	return b.halves(ctx, messages)
}

// halves isolates the message at fault. What is refused was not sent, so that this
// costs no requests.
func (b *batch) halves(ctx context.Context, messages []*Settled) error {
	half := len(messages) / 2
	if err := b.commit(ctx, messages[:half]); err != nil {
		return err
	}
	return b.commit(ctx, messages[half:])
}

func (b *batch) append(ctx context.Context, messages []*Settled) (done annals.Commit, err error) {
	defer caught(&err)
	events := make([]annals.Event, len(messages))
	for i, m := range messages {
		events[i] = m.Message.Event
	}
	return b.store.Append(ctx, messages[0].Message.Stream, annals.Any, events...)
}

// leaveOut settles the messages of which some are stored already, from the version
// of the first on, and stores the others: what is delivered again is mostly the
// end of a stream, so that one read finds it all.
func (b *batch) leaveOut(ctx context.Context, messages []*Settled, known *annals.DuplicateError) error {
	missing := make(map[string]*Settled, len(messages))
	for _, m := range messages {
		missing[m.Message.Event.ID] = m
	}
	var disputed []*Settled
	const enough = 2 * annals.MaxCommitEvents
	for stored, err := range b.store.Stream(ctx, known.Stream, &annals.StreamOptions{From: known.Version, Limit: enough}) {
		if err != nil {
			return err
		}
		m := missing[stored.ID]
		if m == nil {
			continue
		}
		delete(missing, stored.ID)
		if sameEvent(&m.Message.Event, &stored) {
			m.store(stored.Version, true)
		} else {
			disputed = append(disputed, m)
		}
	}
	if len(missing) == len(messages) {
		return b.halves(ctx, messages)
	}
	for _, m := range disputed {
		if err := b.commit(ctx, []*Settled{m}); err != nil {
			return err
		}
	}
	rest := slices.DeleteFunc(slices.Clone(messages), func(m *Settled) bool { return missing[m.Message.Event.ID] == nil })
	return b.commit(ctx, rest)
}
