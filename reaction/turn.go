package reaction

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/view"
)

// A Turn is one call of a Handler: the event at hand, by its Message, and what the
// Handler may do about it. It is for one goroutine, until the Handler returns.
type Turn struct {
	*consumer.Message

	reaction *Reaction
	repair   *effect.RepairTurn // where nothing is to be appended; else nil
	calls    map[string]int     // appends that stand, by stream
	puts     []view.Put         // documents to write with the checkpoint
}

// Append appends events to stream, all or none, like annals.Store.Append. An event
// gets an id derived from the reaction, the event at hand, stream, and the number
// of appends to stream in this turn before; it must not have one of its own. The
// event at hand becomes its Causation and lends it its Time and Correlation, and
// the reaction its Source, where they are not given.
//
// When the event at hand comes again, the Nth append to a stream returns what the
// Nth append to it stored first, with Replayed set, although the Handler may
// decide otherwise by now: what was stored first stands. This holds however late
// the event comes again. It has one limit, on a store that looks for ids only
// among the last 1,000 events of a stream (see annals.Store.Append): if a second
// process handles the same event at that moment, and 500 events reach stream while
// this Append runs, Any may append twice; an exact version may not.
//
// After an error nothing counts as appended, and the Handler returns it, or for
// annals.ErrConflict may decide anew and append again. Errors are those of
// annals.Store.Append.
func (t *Turn) Append(ctx context.Context, stream string, expected int64, events ...annals.Event) (annals.Commit, error) {
	stamped, err := t.stamp(stream, events)
	if err != nil {
		return annals.Commit{}, err
	}
	if t.repair != nil {
		if commit, stands, err := t.compare(ctx, stream, expected, stamped); stands || err != nil {
			return commit, err
		}
	}
	commit, err := t.earlier(ctx, stream, expected)
	if err == nil && !commit.Replayed {
		commit, err = t.reaction.store.Append(ctx, stream, expected, stamped...)
		var duplicate *annals.DuplicateError
		if errors.As(err, &duplicate) {
			commit, err = t.stood(ctx, stream, duplicate.Version)
		}
	}
	if err != nil {
		return commit, err
	}
	if t.repair != nil {
		t.repair.Made(t.appendCall(stream))
	}
	t.calls[stream]++
	return commit, nil
}

// stamp copies events and completes them.
func (t *Turn) stamp(stream string, events []annals.Event) ([]annals.Event, error) {
	if len(events) == 0 {
		return nil, annals.Invalid("events", "must not be empty")
	}
	stamped := make([]annals.Event, len(events))
	for i, e := range events {
		if e.ID != "" {
			return nil, annals.Invalid("id", "must not be given: a reaction derives it from the event at hand")
		}
		e.ID = t.id(stream, i)
		if e.Time.IsZero() {
			e.Time = t.Now()
		}
		if e.Correlation == "" {
			e.Correlation = t.Correlation
		}
		if e.Causation == "" {
			e.Causation = t.Cause()
		}
		if e.Source == "" {
			e.Source = t.reaction.source
		}
		stamped[i] = e
	}
	return stamped, nil
}

// id is that of the i-th event of the next append to stream.
func (t *Turn) id(stream string, i int) string {
	return derive(t.reaction.name, t.Cause(), stream, t.calls[stream], i)
}

// derive makes an id. Ids are unique by stream already; that they differ between
// streams too lets whoever gets one use it as an idempotency key.
func derive(name, cause, stream string, call, i int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%d\x00%d", name, cause, stream, call, i))
	return hex.EncodeToString(sum[:16])
}

// margin is half of the window in which every store finds an id again, so that
// this many events may arrive between earlier and the append behind it.
const margin = 500

// earlier looks for what an earlier handling of the event appended to stream where
// the store's own check of ids may not reach: among events that are older than
// the newest few hundred and yet newer than the event at hand.
func (t *Turn) earlier(ctx context.Context, stream string, expected int64) (annals.Commit, error) {
	head := expected
	if expected == annals.Any {
		var err error
		if head, err = t.head(ctx, stream); err != nil {
			return annals.Commit{}, err
		}
	}
	return t.search(ctx, stream, head-margin)
}

// search looks from version last of stream back to the event at hand.
func (t *Turn) search(ctx context.Context, stream string, last int64) (annals.Commit, error) {
	store, id := t.reaction.store, t.id(stream, 0)
	for ; last > 0; last -= margin {
		if older, err := t.precedes(ctx, stream, last); err != nil || older {
			return annals.Commit{}, err
		}
		window := &annals.StreamOptions{From: max(1, last-margin+1), To: last}
		for e, err := range store.Stream(ctx, stream, window) {
			if err != nil {
				return annals.Commit{}, err
			}
			if e.ID == id {
				return t.stood(ctx, stream, e.Version)
			}
		}
	}
	return annals.Commit{}, nil
}

func (t *Turn) head(ctx context.Context, stream string) (int64, error) {
	for e, err := range t.reaction.store.Stream(ctx, stream, &annals.StreamOptions{Backward: true, Limit: 1}) {
		return e.Version, err
	}
	return 0, nil
}

// precedes reports whether an event of stream came before the event at hand, and
// so before everything that this appends because of it.
func (t *Turn) precedes(ctx context.Context, stream string, version int64) (bool, error) {
	for e, err := range t.reaction.store.Stream(ctx, stream, &annals.StreamOptions{From: version, To: version}) {
		if err != nil {
			return false, err
		}
		// Stores that number their log later may leave it out.
		c, err := t.reaction.store.Wait(ctx, annals.Commit{Stream: stream, Version: version, Count: 1, Position: e.Position})
		return c.Position <= t.Position, err
	}
	return false, nil // expected is past the end, which the store refuses
}

// stood is the commit that the next append to stream made earlier, whose first
// event is at version first.
func (t *Turn) stood(ctx context.Context, stream string, first int64) (annals.Commit, error) {
	c := annals.Commit{Stream: stream, Replayed: true}
	for e, err := range t.reaction.store.Stream(ctx, stream, &annals.StreamOptions{From: first, To: first + annals.MaxCommitEvents - 1}) {
		if err != nil {
			return annals.Commit{}, err
		}
		if e.ID != t.id(stream, c.Count) {
			break
		}
		c.Count++
		c.Version, c.Position = e.Version, e.Position
	}
	if c.Count == 0 {
		return c, &annals.Error{
			Code: annals.CodeDamaged, Message: "stream " + stream + " does not show the event at version " + strconv.FormatInt(first, 10) + " that its store has found",
			Hint: "annals verify says what is damaged",
		}
	}
	return c, nil
}
