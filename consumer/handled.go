package consumer

import (
	"context"
	"iter"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// Handled yields the events that match q, which bounds positions, as the Handler
// was given them: edited ones with the data of the edit, and without those that
// were dropped, that are parked, and that are Annals' own. A q behind the
// checkpoint yields what the Handler would be given. The messages have no Attempt.
func (c *Control) Handled(ctx context.Context, q annals.Query) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		if err := c.handled(ctx, q, func(m *Message) bool { return yield(m, nil) }); err != nil {
			yield(nil, err)
		}
	}
}

func (c *Control) handled(ctx context.Context, q annals.Query, yield func(*Message) bool) error {
	decisions, err := readDecisions(ctx, c.views, c.name)
	if err != nil {
		return err
	}
	parked := map[int64]bool{}
	for p, err := range c.ParkedAfter(ctx, q.After) {
		if err != nil {
			return err
		}
		parked[p.Position] = true
	}
	own := strings.HasPrefix(q.Prefix, annals.OwnPrefix)
	for e, err := range c.store.Log(ctx, q) {
		if err != nil {
			return err
		}
		d, decided := decisions[e.Position]
		if parked[e.Position] || d.Drop || !own && strings.HasPrefix(e.Stream, annals.OwnPrefix) {
			continue
		}
		m := &Message{Event: e, ctx: ctx}
		if decided && !e.Erased() {
			m.Data, m.Edited = d.data(), true
		}
		if !yield(m) {
			return nil
		}
	}
	return nil
}

// ParkedWithin reports which positions after < position ≤ until are parked.
func (c *Control) ParkedWithin(ctx context.Context, after, until int64) (map[int64]bool, error) {
	space, found := parkedSpace+c.name, map[int64]bool(nil)
	for doc, err := range c.views.Scan(ctx, space, view.Range{After: positionKey(after)}) {
		if err != nil {
			return nil, err
		}
		p, err := parseParked(space, doc)
		if err != nil {
			return nil, err
		}
		if p.Position > until {
			break
		}
		if found == nil {
			found = map[int64]bool{}
		}
		found[p.Position] = true
	}
	return found, nil
}
