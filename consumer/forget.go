package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// forgotten replaces the text of an error that may quote an event's data.
const forgotten = "the data of this event was erased, and this error with it"

// Forget removes from views what is kept of the data of the events at positions beside
// the views themselves: the data that operators gave events in an edit, with the reason,
// and the errors and stacks with which events are parked. They stay parked, and dropped
// events stay dropped. It returns how many entries it changed, and may be repeated.
// Errors: those of the view store; annals.ErrConflict where somebody changes the same
// all the time.
func Forget(ctx context.Context, views view.Store, positions map[int64]bool) (int, error) {
	names, err := Names(ctx, views)
	if err != nil {
		return 0, err
	}
	done := 0
	var decided []string
	for _, name := range names {
		n, err := forgetIn(ctx, views, parkedSpace+name, positions, forgetParked)
		if done += n; err != nil {
			return done, err
		}
		if space := decisionsOf(name); !slices.Contains(decided, space) {
			decided = append(decided, space)
			n, err := forgetIn(ctx, views, space, positions, forgetDecision)
			if done += n; err != nil {
				return done, err
			}
		}
	}
	return done, nil
}

// forgetIn changes the documents of space that are about positions; without gives the
// text without what is to be forgotten, nil where the document has none of it.
func forgetIn(ctx context.Context, views view.Store, space string, positions map[int64]bool, without func(space string, doc view.Document) ([]byte, error)) (done int, err error) {
	const tries = 100
	for try := 1; ; try++ {
		overtaken := false
		for doc, err := range views.Scan(ctx, space, view.Range{}) {
			if err != nil {
				return done, err
			}
			if !positions[doc.Position] {
				continue
			}
			text, err := without(space, doc)
			if err != nil {
				return done, err
			}
			if text == nil {
				continue
			}
			err = views.Commit(ctx, view.Change{
				Expect:  []view.Expectation{{Key: view.Key{Space: space, Key: doc.Key}, Data: doc.Data}},
				Put:     []view.Put{{Space: space, Document: view.Document{Key: doc.Key, Data: text, Position: doc.Position}}},
				Durable: true,
			})
			switch {
			case errors.Is(err, annals.ErrConflict) && try < tries:
				overtaken = true
			case err != nil:
				return done, err
			default:
				done++
			}
		}
		if !overtaken {
			return done, nil
		}
	}
}

func forgetParked(space string, doc view.Document) ([]byte, error) {
	p, err := parseParked(space, doc)
	if err != nil || p.Error == forgotten || p.Error == "" && p.Stack == "" {
		return nil, err
	}
	p.Error, p.Stack = forgotten, ""
	return json.Marshal(&p)
}

func forgetDecision(space string, doc view.Document) ([]byte, error) {
	var d decision
	if err := json.Unmarshal(doc.Data, &d); err != nil {
		return nil, damaged(space, doc.Key, err)
	}
	if d.Drop || len(d.Data) == 0 && len(d.Bytes) == 0 {
		return nil, nil
	}
	d.Data, d.Bytes, d.Reason = nil, nil, forgotten
	return json.Marshal(d)
}
