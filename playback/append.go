package playback

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/eb901187/annals"
)

// ToStore is a Target that appends events to the streams of another store, with their
// ids and times. Where a stream holds other events already, they come behind these, so
// that versions may differ; AttributeOf has the version in the source. address names
// the store in the record and in messages; it must not hold secrets. The store stays the
// caller's to close.
//
// It reads the end of each stream that it appends to once, keeps what it found of up to
// 100,000 streams, and appends at exact versions, so that nothing is there twice however
// often a Run is interrupted. An event that is in its stream already under the same id, but
// not from this playback, ends the Run with annals.ErrIDReused.
func ToStore(to *annals.Store, address string) Target {
	return &appender{
		target: to, destination: Destination{KindStore, address},
		stream: func(e *annals.Event) string { return e.Stream },
		rank:   func(e *annals.Event) int64 { return e.Version },
		id:     func(e *annals.Event, _ string) string { return e.ID },
		found:  replayedBy,
	}
}

// ToStream is a Target that appends events to the one stream StreamPrefix+name of the
// source store, in the order of the log. Their ids become PLAYBACK:POSITION, as those of
// different streams may be equal. Subscribers read the stream, or the log with its name as
// Query.Prefix, from the start whenever they come. Several playbacks may share a stream.
func ToStream(name string) Target {
	return &appender{
		destination: Destination{KindStream, name},
		stream:      func(*annals.Event) string { return StreamPrefix + name },
		rank:        func(e *annals.Event) int64 { return e.Position },
		id: func(e *annals.Event, playback string) string {
			return playback + ":" + strconv.FormatInt(e.Position, 10)
		},
		found: func(e *annals.Event, playback string) (int64, bool) {
			s, ours := strings.CutPrefix(e.ID, playback+":")
			position, err := strconv.ParseInt(s, 10, 64)
			return position, ours && err == nil
		},
	}
}

// An appender appends events to streams, each once: in every stream, those of one
// playback stand in order of their rank, and all up to the last one are there.
type appender struct {
	target      *annals.Store // nil for the source
	destination Destination
	stream      func(e *annals.Event) string
	rank        func(e *annals.Event) int64
	id          func(e *annals.Event, playback string) string
	found       func(e *annals.Event, playback string) (rank int64, ours bool)

	store    *annals.Store
	playback string
	heads    map[string]head
	search   bool // streams that heads does not have may hold events of this playback
}

// A head is the end of a stream of the target.
type head struct {
	version int64
	rank    int64 // of the last event of this playback
}

const (
	maxHeads     = 100_000
	looksAtOnce  = 16
	maxAppendTry = 100 // without any progress
)

// Destination implements Target.
func (t *appender) Destination() Destination { return t.destination }

// Check implements Target.
func (t *appender) Check(_ context.Context, source *annals.Store) error {
	if t.target == source {
		return t.same()
	}
	if t.target == nil {
		if err := annals.CheckStream(StreamPrefix + t.destination.Name); err != nil {
			return annals.Invalid("target", "stream %.80q: %s is no stream's name", t.destination.Name, StreamPrefix+t.destination.Name)
		}
	}
	return nil
}

func (t *appender) same() error {
	return &annals.Error{
		Code: annals.CodeInvalid, Message: "the target " + t.destination.Name + " is the store that is played back",
		Hint: "name another store, or a stream of this one",
	}
}

// Open implements Target.
func (t *appender) Open(ctx context.Context, source *annals.Store, p *Playback, resumed bool) error {
	t.store, t.playback, t.heads, t.search = t.target, p.ID, map[string]head{}, resumed
	if t.target == nil {
		t.store = source
		return nil
	}
	if resumed {
		return nil
	}
	// Whatever the address was, a store that has the record which was just made is
	// the source.
	for _, err := range t.store.Stream(ctx, RecordPrefix+p.ID, &annals.StreamOptions{Limit: 1}) {
		if err != nil {
			return err
		}
		return t.same()
	}
	return nil
}

// Write implements Target.
func (t *appender) Write(ctx context.Context, events []annals.Event) error {
	for try := 1; ; try++ {
		if err := t.look(ctx, events); err != nil {
			return err
		}
		appends := t.plan(events)
		if len(appends) == 0 {
			return nil
		}
		done, err := t.store.AppendAll(ctx, appends)
		if err == nil {
			return nil
		}
		if len(done) > 0 {
			try = 0
		}
		// Whatever was done is found there.
		for i := range events {
			delete(t.heads, t.stream(&events[i]))
		}
		t.search = true
		if try == maxAppendTry || !errors.Is(err, annals.ErrConflict) && !t.overtaken(ctx, &appends[len(done)], err) {
			return t.explain(err)
		}
	}
}

// overtaken reports whether an append was refused because another run, which may not know
// yet that it has lost the playback, has appended the same in other commits.
func (t *appender) overtaken(ctx context.Context, a *annals.Append, err error) bool {
	if !errors.Is(err, annals.ErrIDReused) {
		return false
	}
	at, err := t.head(ctx, a.Stream)
	return err == nil && at.rank >= t.rank(&a.Events[0])
}

// Flush implements Target.
func (t *appender) Flush(context.Context) (int64, error) { return 0, nil }

// Close implements Target.
func (t *appender) Close() error { return nil }

func (t *appender) explain(err error) error {
	var taken *annals.DuplicateError
	if !errors.As(err, &taken) {
		return fmt.Errorf("%s: %w", t.destination, err)
	}
	return &annals.Error{
		Code: annals.CodeIDReused, Err: err, Message: fmt.Sprintf("%s holds an event of the playback already, and not from this playback", t.destination),
		Hint: "send it to a store without these events, or leave them out by positions",
	}
}

// plan groups the events that are not there yet into appends, and counts on these.
func (t *appender) plan(events []annals.Event) (appends []annals.Append) {
	size := 0
	for i := range events {
		e := events[i]
		stream, rank := t.stream(&e), t.rank(&e)
		at := t.heads[stream]
		if rank <= at.rank {
			continue
		}
		e.ID = t.id(&e, t.playback)
		last := len(appends) - 1
		if last < 0 || appends[last].Stream != stream || len(appends[last].Events) == annals.MaxCommitEvents || size > groupBytes {
			appends, size = append(appends, annals.Append{Stream: stream, Expected: at.version}), 0
			last++
		}
		appends[last].Events, size = append(appends[last].Events, e), size+sizeOf(&e)
		t.heads[stream] = head{at.version + 1, rank}
	}
	return appends
}

// look learns the heads of the streams that events go to.
func (t *appender) look(ctx context.Context, events []annals.Event) error {
	if len(t.heads) > maxHeads {
		clear(t.heads)
		t.search = true
	}
	var unknown []string
	for i := range events {
		stream := t.stream(&events[i])
		if _, known := t.heads[stream]; !known {
			t.heads[stream] = head{}
			unknown = append(unknown, stream)
		}
	}
	found, errs := make([]head, len(unknown)), make([]error, len(unknown))
	var all sync.WaitGroup
	for worker := range min(looksAtOnce, len(unknown)) {
		all.Go(func() {
			for i := worker; i < len(unknown); i += looksAtOnce {
				found[i], errs[i] = t.head(ctx, unknown[i])
			}
		})
	}
	all.Wait()
	for i, stream := range unknown {
		t.heads[stream] = found[i]
	}
	return errors.Join(errs...)
}

// head reads a stream from its end, as far back as events of this playback may stand.
func (t *appender) head(ctx context.Context, stream string) (h head, err error) {
	opts := &annals.StreamOptions{Backward: true}
	if !t.search {
		opts.Limit = 1
	}
	for e, err := range t.store.Stream(ctx, stream, opts) {
		if err != nil {
			return head{}, err
		}
		h.version = max(h.version, e.Version)
		if rank, ours := t.found(&e, t.playback); ours {
			h.rank = rank
			break
		}
	}
	return h, nil
}
