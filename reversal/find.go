package reversal

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/eb901187/annals"
)

// A selection is what a Target names in one stream.
type selection struct {
	stream   string
	versions []int64
}

// check says what is wrong with t.
func (t Target) check() error {
	forms := 0
	for _, given := range []bool{t.Stream != "", t.Stream == "" && t.EventID != "", t.Query != nil, t.Reversal != ""} {
		if given {
			forms++
		}
	}
	switch {
	case forms != 1:
		return annals.Invalid("target", "must be one of: a stream with a version or an event id, an event id, a query, a reversal")
	case t.Stream == "" && t.Version != 0:
		return annals.Invalid("target.version", "needs the stream")
	case t.Stream == "":
		return nil
	case (t.Version != 0) == (t.EventID != ""):
		return annals.Invalid("target", "needs either a version or an event id beside the stream")
	case t.Version < 0:
		return annals.Invalid("target.version", "must be a number from 1")
	}
	if err := annals.CheckStream(t.Stream); err != nil {
		return err
	}
	if strings.HasPrefix(t.Stream, annals.OwnPrefix) {
		return &annals.Error{
			Code: annals.CodeInvalid, Message: t.Stream + " is one of Annals' own streams, whose events can't be reversed",
			Hint: "name a stream of yours",
		}
	}
	return nil
}

// find returns the events that t names, by stream.
func (p *planner) find(ctx context.Context, t Target) ([]selection, error) {
	switch {
	case t.Stream != "" && t.EventID == "":
		return []selection{{t.Stream, []int64{t.Version}}}, nil
	case t.Stream != "":
		return p.findIn(ctx, t.Stream, t.EventID)
	case t.EventID != "":
		return p.findByID(ctx, t.EventID)
	case t.Reversal != "":
		found, err := p.scan(ctx, annals.Query{}, func(e *annals.Event) bool {
			_, _, id := marked(e)
			return id == t.Reversal
		})
		if err == nil && len(found) == 0 {
			err = &annals.Error{
				Code: annals.CodeNotFound, Message: "the log holds no event of a reversal " + t.Reversal,
				Hint: "events carry the id of their reversal in the attribute " + AttributeReversal,
			}
		}
		return found, err
	}
	found, err := p.scan(ctx, *t.Query, func(*annals.Event) bool { return true })
	if err == nil && len(found) == 0 {
		err = &annals.Error{Code: annals.CodeNotFound, Message: "no event matches the query: there is nothing to reverse", Hint: "annals log takes the same query and shows what matches"}
	}
	return found, err
}

// scan reads the log and gathers by stream what is wanted.
func (p *planner) scan(ctx context.Context, q annals.Query, wanted func(*annals.Event) bool) (found []selection, err error) {
	at := map[string]int{}
	for e, err := range p.store.Log(ctx, q) {
		if err != nil {
			return nil, err
		}
		if !wanted(&e) {
			continue
		}
		if strings.HasPrefix(e.Stream, annals.OwnPrefix) {
			p.pass(e.Stream, e.Version, "it stands in one of Annals' own streams")
			continue
		}
		i, known := at[e.Stream]
		if !known {
			i = len(found)
			at[e.Stream] = i
			found = append(found, selection{stream: e.Stream})
		}
		found[i].versions = append(found[i].versions, e.Version)
	}
	if len(found) == 0 && len(p.plan.Passed) > 0 {
		return nil, &annals.Error{
			Code: annals.CodeInvalid, Message: "all that was found stands in Annals' own streams, whose events can't be reversed",
			Hint: "name events of your streams",
		}
	}
	return found, nil
}

func (p *planner) findIn(ctx context.Context, stream, id string) ([]selection, error) {
	for e, err := range p.store.Stream(ctx, stream, nil) {
		if err != nil {
			return nil, err
		}
		if e.ID == id {
			return []selection{{stream, []int64{e.Version}}}, nil
		}
	}
	return nil, &annals.Error{
		Code: annals.CodeNotFound, Message: fmt.Sprintf("stream %s has no event with the id %q", stream, id),
		Hint: "annals read " + stream + " shows the ids of its events",
	}
}

func (p *planner) findByID(ctx context.Context, id string) ([]selection, error) {
	found, err := p.scan(ctx, annals.Query{}, func(e *annals.Event) bool { return e.ID == id })
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, &annals.Error{
			Code: annals.CodeNotFound, Message: fmt.Sprintf("the log holds no event with the id %q", id),
			Hint: "name the stream too if the event has only just been appended: a store on DynamoDB numbers its log later",
		}
	case len(found) == 1:
		return found, nil
	}
	names := make([]string, len(found))
	for i, s := range found {
		names[i] = nameOf(s.stream, s.versions[0])
	}
	slices.Sort(names)
	const enough = 10
	more := ""
	if len(names) > enough {
		more = fmt.Sprintf(" and %d more", len(names)-enough)
		names = names[:enough]
	}
	return nil, &annals.Error{
		Code: annals.CodeInvalid, Message: fmt.Sprintf("the id %q is that of %d events: %s%s", id, len(found), strings.Join(names, ", "), more),
		Hint: "name the stream too: ids are unique within a stream only",
	}
}
