package reaction

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
)

// compare answers an append in a repair by what the event at hand led to then, and
// notes where that differs. stands is false if the append is to be made: nothing
// was appended then, and that very append was approved.
func (t *Turn) compare(ctx context.Context, stream string, expected int64, events []annals.Event) (commit annals.Commit, stands bool, err error) {
	head, err := t.head(ctx, stream)
	if err != nil {
		return commit, false, err
	}
	if commit, err = t.search(ctx, stream, head); err != nil {
		return commit, false, err
	}
	now, err := appended(events)
	if err != nil {
		return commit, false, err
	}
	d := effect.Difference{
		Handler: t.reaction.name, Event: t.Cause(), Position: t.Position, Call: t.appendCall(stream), Append: stream, Now: now,
	}
	switch {
	case commit.Replayed:
		was, err := t.appendedThen(ctx, commit)
		if err != nil {
			return commit, false, err
		}
		if sameEvents(was, now) {
			t.repair.Made(d.Call)
		} else {
			d.Was = &effect.Entry{Handler: d.Handler, Event: d.Event, Call: d.Call, Status: effect.Answered, Request: *was, Time: t.Time}
			t.repair.Differs(d)
		}
	case t.repair.Sends(d.Call, now):
		return commit, false, nil
	default:
		t.repair.Differs(d)
		// The Handler goes on as if it had appended, so that all that follows shows.
		version := max(expected, head) + int64(len(events))
		commit = annals.Commit{Stream: stream, Version: version, Count: len(events)}
	}
	t.calls[stream]++
	return commit, true, nil
}

// appendCall names the next append to stream as repairs do.
func (t *Turn) appendCall(stream string) string {
	name := "append/" + stream
	if n := t.calls[stream]; n > 0 {
		name += "#" + strconv.Itoa(n)
	}
	return name
}

// appendedThen is what commit has stored.
func (t *Turn) appendedThen(ctx context.Context, commit annals.Commit) (*effect.Request, error) {
	var events []annals.Event
	versions := &annals.StreamOptions{From: commit.Version - int64(commit.Count) + 1, To: commit.Version}
	for e, err := range t.reaction.store.Stream(ctx, commit.Stream, versions) {
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return appended(events)
}

// appended is what an append asks for: of each event, as a CloudEvent, what does
// not follow from when and where it is stored.
func appended(events []annals.Event) (*effect.Request, error) {
	list, size := make([]any, len(events)), 0
	for i := range events {
		e := &events[i]
		bare := annals.Event{Type: e.Type, Source: e.Source, ContentType: e.ContentType, Attributes: e.Attributes, Data: e.Data}
		d := json.NewDecoder(bytes.NewReader(bare.AppendJSON(nil, false)))
		d.UseNumber()
		var members map[string]any
		if err := d.Decode(&members); err != nil {
			return nil, err
		}
		for _, name := range []string{"specversion", "id", "time", "stream", "version", "position"} {
			delete(members, name)
		}
		list[i], size = members, size+len(e.Data)
	}
	return &effect.Request{Body: effect.Body{Data: list, Size: int64(size)}}, nil
}

func sameEvents(a, b *effect.Request) bool {
	x, err := json.Marshal(a.Data)
	y, failed := json.Marshal(b.Data)
	return err == nil && failed == nil && bytes.Equal(x, y)
}
