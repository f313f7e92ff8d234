package dynamo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eb901187/annals"
)

// writer appends to few streams: at the version that it believes in, at a wrong
// one, or at any; now and then the same again.
func (s *simulation) writer(ctx context.Context, a *actor) error {
	store := annals.New(newDriver(s.calls(), nil, time.Second), &annals.Options{
		Clock: func() time.Time { return s.now }, Pause: func(context.Context, int) {},
	})
	versions := map[string]int64{}
	var last []annals.Event
	for range 12 {
		stream := fmt.Sprint("s", s.random.IntN(simStreams))
		var events []annals.Event
		for range 1 + s.random.IntN(3) {
			e := simEvent(s.nextID(), s.ids)
			if len(s.history) > 0 && s.random.IntN(3) == 0 {
				if cause := s.history[s.random.IntN(len(s.history))]; cause.version > 0 {
					e.Causation = fmt.Sprintf("%s@%d", cause.stream, cause.version)
				}
			}
			events = append(events, e)
		}
		expected := []int64{annals.Any, versions[stream], versions[stream] + 1}[s.random.IntN(3)]
		if len(last) > 0 && s.random.IntN(6) == 0 {
			events, stream, expected = last, last[0].Stream, annals.Any
		}
		if s.random.IntN(5) == 0 {
			for _, err := range store.Stream(ctx, stream, nil) {
				if err != nil {
					break
				}
			}
		}
		last = slices.Clone(events)
		for i := range last {
			last[i].Stream = stream
		}
		commit, err := store.Append(ctx, stream, expected, events...)
		if s.record(stream, events, expected, commit, err); ctx.Err() != nil {
			return errCrash
		}
		var conflict *annals.ConflictError
		switch {
		case err == nil:
			versions[stream] = commit.Version
		case errors.As(err, &conflict):
			versions[stream] = conflict.Actual
		case errors.Is(err, annals.ErrUnknownOutcome), errors.Is(err, annals.ErrUnavailable), errors.Is(err, annals.ErrIDReused):
		default:
			return fmt.Errorf("appending to %s: %w", stream, err)
		}
	}
	return nil
}

// record keeps how an append ended.
func (s *simulation) record(stream string, events []annals.Event, expected int64, commit annals.Commit, err error) {
	one := appended{stream: stream, version: commit.Version}
	for _, e := range events {
		one.ids = append(one.ids, e.ID)
	}
	switch {
	case err == nil:
		if expected != annals.Any && !commit.Replayed && commit.Version != expected+int64(len(events)) {
			s.failure = fmt.Errorf("an append to %s at version %d became version %d", stream, expected, commit.Version)
		}
	case errors.Is(err, annals.ErrConflict):
		one.refused = true
	}
	s.history = append(s.history, one)
}

// reader reads the log again and again and checks that what it shows stays.
func (s *simulation) reader(ctx context.Context, a *actor) error {
	store := annals.New(newDriver(s.calls(), nil, time.Second), nil)
	for range 6 {
		position, before := int64(0), len(s.seen)
		for e, err := range store.Log(ctx, annals.Query{}) {
			if err != nil {
				if ctx.Err() != nil {
					return errCrash
				}
				if annals.CodeOf(err) == annals.CodeDamaged {
					return err
				}
				break
			}
			if position++; e.Position != position {
				return fmt.Errorf("position %d follows %d", e.Position, position-1)
			}
			name := fmt.Sprintf("%s@%d=%s", e.Stream, e.Version, e.ID)
			if int(position) > len(s.seen) {
				s.seen = append(s.seen, name)
			}
			if s.seen[position-1] != name {
				return fmt.Errorf("position %d was %s and is %s", position, s.seen[position-1], name)
			}
		}
		_ = before
	}
	return nil
}

// worker sequences until it crashes; errors that pass are tried again.
func (s *simulation) worker(ctx context.Context, a *actor) error {
	w := newWorker(s.calls(), shuffled{s.world, s}, time.Second)
	for {
		if _, err := w.Step(ctx); err != nil && annals.CodeOf(err) == annals.CodeDamaged {
			return err
		}
		if ctx.Err() != nil {
			return errCrash
		}
		_ = s.park()
	}
}

// check holds the end of a schedule against what its callers were told.
func (s *simulation) check(d *Driver) error {
	ctx := context.Background()
	store := annals.New(d, nil)
	at := map[string]int64{} // stream/id → version
	total := int64(0)
	for i := range simStreams {
		stream, next := fmt.Sprint("s", i), int64(1)
		for e, err := range store.Stream(ctx, stream, nil) {
			if err != nil {
				return err
			}
			if e.Version != next {
				return fmt.Errorf("version %d of %s follows %d", e.Version, stream, next-1)
			}
			if at[stream+"/"+e.ID] != 0 {
				return fmt.Errorf("%s holds %s twice", stream, e.ID)
			}
			at[stream+"/"+e.ID] = e.Version
			next++
			total++
		}
	}
	for _, one := range s.history {
		for i, id := range one.ids {
			version := at[one.stream+"/"+id]
			want := one.version - int64(len(one.ids)-1-i)
			if one.version > 0 && version != want {
				return fmt.Errorf("%s of %s was acknowledged at version %d and is at %d", id, one.stream, want, version)
			}
		}
	}
	report, err := d.Verify(ctx, nil)
	if err != nil {
		return err
	}
	if len(report.Problems) > 0 || report.Waiting > 0 || report.Events != total {
		return fmt.Errorf("%d events, verify: %+v", total, report)
	}
	if err := s.checkChain(ctx, store, total); err != nil {
		return err
	}
	return s.checkLog(ctx, store)
}

// checkChain wants the chain to have every event, and each commit to name the hash
// of the one before it in its stream.
func (s *simulation) checkChain(ctx context.Context, store *annals.Store, total int64) error {
	heads := map[string]annals.Hash{}
	for c, err := range store.Chain(ctx, 0, 0) {
		if err != nil {
			return err
		}
		e := &c.Events[0]
		if c.Unchained || c.Previous != heads[e.Stream] {
			return fmt.Errorf("%s@%d names the hash %s, unchained %t, and before it is %s", e.Stream, e.Version, c.Previous, c.Unchained, heads[e.Stream])
		}
		heads[e.Stream] = c.Hash()
		total -= int64(len(c.Events))
	}
	if total != 0 {
		return fmt.Errorf("the chain leaves %d events out", total)
	}
	return nil
}

// checkLog compares what readers saw, and what queries find, with the log.
func (s *simulation) checkLog(ctx context.Context, store *annals.Store) error {
	var all []annals.Event
	before := map[string]bool{"": true}
	for e, err := range store.Log(ctx, annals.Query{}) {
		if err != nil {
			return err
		}
		all = append(all, e)
		if !before[e.Causation] {
			return fmt.Errorf("position %d comes before its cause %s", e.Position, e.Causation)
		}
		before[fmt.Sprintf("%s@%d", e.Stream, e.Version)] = true
	}
	for i, name := range s.seen {
		if e := &all[i]; fmt.Sprintf("%s@%d=%s", e.Stream, e.Version, e.ID) != name {
			return fmt.Errorf("position %d was seen as %s and is %s@%d", i+1, name, e.Stream, e.Version)
		}
	}
	for _, q := range []annals.Query{{Types: []string{"type-1"}}, {Correlation: "request-2", Backward: true}, {Types: []string{"type-0", "type-2"}, After: 5}} {
		want := []int64{}
		for i := range all {
			if q.Match(&all[i]) {
				want = append(want, all[i].Position)
			}
		}
		if q.Backward {
			slices.Reverse(want)
		}
		got := []int64{}
		for e, err := range store.Log(ctx, q) {
			if err != nil {
				return err
			}
			got = append(got, e.Position)
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("query %+v found %v, want %v", q, got, want)
		}
	}
	return nil
}
