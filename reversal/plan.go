package reversal

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/eb901187/annals"
)

// omitted is the type that a fork gives to events which it leaves out.
const omitted = "annals.omitted"

type planner struct {
	store   *annals.Store
	opts    Options
	fold    *Fold
	plan    *Plan
	lenient bool // whether what can't be reversed is passed over
	query   bool // whether a query chose the events
}

// NewPlan plans the reversal of the events that target names. Each of their
// streams is read whole, into memory. Nothing is appended.
//
// Errors, all before anything is done: annals.ErrNotFound where there is no such
// event; annals.ErrInvalid for what can't be reversed: an event that is reversed
// already, one of Annals' own streams, a placeholder of a fork, data that the fold
// can't fold; for bad options and inverses; for an id that several streams have;
// annals.ErrTooLarge where the events would not fit into a commit.
func NewPlan(ctx context.Context, store *annals.Store, target Target, opts *Options) (*Plan, error) {
	p := &planner{store: store, fold: latestState, lenient: target.Query != nil || target.Reversal != "", query: target.Query != nil}
	if opts != nil {
		p.opts = *opts
	}
	if err := p.check(target); err != nil {
		return nil, err
	}
	p.plan = &Plan{ID: p.opts.ID, Reason: p.opts.Reason, Streams: []StreamPlan{}, Passed: []Passed{}}
	found, err := p.find(ctx, target)
	if err != nil {
		return nil, err
	}
	for _, s := range found {
		if err := p.stream(ctx, s); err != nil {
			return nil, err
		}
	}
	return p.plan, nil
}

func (p *planner) check(target Target) error {
	if err := target.check(); err != nil {
		return err
	}
	if f := p.opts.Fold; f != nil {
		if f.Name == "" || f.Apply == nil {
			return annals.Invalid("fold", "must have a name and a function")
		}
		p.fold = f
	}
	if p.opts.ID == "" {
		p.opts.ID = rand.Text()
		if p.opts.NewID != nil {
			p.opts.ID = p.opts.NewID()
		}
	}
	// The store's own rules say what an id and an attribute may be.
	probe := annals.Event{ID: p.opts.ID, Type: EventReversed, Attributes: map[string]string{AttributeReason: p.opts.Reason}}
	_, err := unstored.Append(context.Background(), "probe", annals.Any, probe)
	if err != nil {
		return &annals.Error{Code: annals.CodeOf(err), Message: "the id or the reason of the reversal can't be used", Err: err, Hint: "give an id of 1 to 256 bytes and a reason of at most 1024, without control characters"}
	}
	return nil
}

// unstored checks what is appended to it, and stores nothing.
var unstored = annals.New(sink{}, nil)

type sink struct{ annals.Driver }

// Append implements annals.Driver.
func (sink) Append(context.Context, string, int64, []annals.Event) (annals.Commit, error) {
	return annals.Commit{}, nil
}

// Remote implements annals.RemoteDriver: the store that the events go to seals.
func (sink) Remote() {}

func (p *planner) pass(stream string, version int64, why string) {
	p.plan.Passed = append(p.plan.Passed, Passed{stream, version, why})
}

// stream plans for one stream.
func (p *planner) stream(ctx context.Context, s selection) error {
	h, err := readHistory(ctx, p.store, s.stream)
	if err != nil {
		return err
	}
	targets, err := p.targets(h, s)
	if err != nil || len(targets) == 0 {
		return err
	}
	d := draft{planner: p, h: h, ways: map[int64]Way{}}
	if err := d.fold(targets); err != nil {
		return err
	}
	if err := d.declared(ctx, targets); err != nil {
		return err
	}
	if err := d.rest(); err != nil {
		return err
	}
	if _, err := unstored.Append(ctx, h.stream, h.version(), d.events...); err != nil {
		return &annals.Error{
			Code: annals.CodeOf(err), Message: "the events that would reverse those of " + h.stream + " can't be appended", Err: err,
			Hint: "mend their inverses, or reverse fewer events at once",
		}
	}
	planned, err := d.result()
	if err == nil {
		p.plan.Streams = append(p.plan.Streams, planned)
	}
	return err
}

// targets are the versions to be reversed, in order: those of s without what is
// passed over, each event of a reversal together with the others of that.
func (p *planner) targets(h *history, s selection) ([]int64, error) {
	by, _ := h.standing(nil)
	chosen := map[int64]bool{}
	for _, v := range s.versions {
		why, err := p.obstacle(h, by, v)
		if err != nil {
			return nil, err
		}
		if why != "" {
			p.pass(h.stream, v, why)
			continue
		}
		chosen[v] = true
		if m, has := h.marks[v]; has {
			for _, other := range m.group.versions {
				chosen[other] = true
			}
		}
	}
	if g := h.group(p.opts.ID); g != nil && len(chosen) > 0 {
		first := slices.Min(slices.Collect(maps.Keys(chosen)))
		return nil, &annals.Error{
			Code: annals.CodeInvalid, Message: fmt.Sprintf("the reversal %s has appended %s already, which does not reverse %s", g.id, h.name(g.versions[0]), h.name(first)),
			Hint: "give another reversal another id",
		}
	}
	return slices.Sorted(maps.Keys(chosen)), nil
}

// obstacle says why the event of a version is passed over, or, where it was named,
// the error.
func (p *planner) obstacle(h *history, by map[int64]int64, version int64) (why string, err error) {
	e := h.at(version)
	switch {
	case e == nil && len(h.events) == 0:
		return "", &annals.Error{Code: annals.CodeNotFound, Message: "there is no stream " + h.stream, Hint: "annals log lists events and their streams"}
	case e == nil:
		return "", &annals.Error{
			Code: annals.CodeNotFound, Message: fmt.Sprintf("stream %s is at version %d and has no version %d", h.stream, h.version(), version),
			Hint: "annals read " + h.stream + " shows its events",
		}
	case by[version] > 0:
		reversing := by[version]
		id := h.marks[reversing].group.id
		if id == p.opts.ID {
			return "this reversal has reversed it, by " + h.name(reversing), nil
		}
		if p.lenient {
			return "it is reversed already, by " + h.name(reversing), nil
		}
		return "", &annals.Error{
			Code: annals.CodeInvalid, Message: fmt.Sprintf("%s is reversed already, by %s of the reversal %s", h.name(version), h.name(reversing), id),
			Hint: fmt.Sprintf("annals reverse %s %d takes that back", h.stream, reversing),
		}
	case e.Type == omitted && p.lenient:
		return "it is a placeholder for an event that a fork has left out", nil
	case e.Type == omitted:
		return "", &annals.Error{
			Code: annals.CodeInvalid, Message: h.name(version) + " is a placeholder for an event that a fork has left out: there is nothing to reverse",
			Hint: "reverse the event in the store that the fork was made from",
		}
	case p.query && h.marks[version].group != nil:
		return "it belongs to the reversal " + h.marks[version].group.id, nil
	}
	return "", nil
}

// derive makes the id of the i-th event of a reversal in a stream. That ids differ
// between streams lets whoever gets one use it as an idempotency key.
func derive(reversal, stream string, i int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", reversal, stream, i))
	return hex.EncodeToString(sum[:16])
}
