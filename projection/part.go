package projection

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
)

// BuildPart begins a generation that folds only the events which part selects, beside
// the live one, and returns its number; if that of this very part is being built, that
// one goes on. Its documents are read by its number and compared by Diff. A Switch to it
// must be forced. part is JSON that Options.Part understands.
//
// Errors: annals.ErrConflict where another generation is being built, or none is live.
func (s *Set) BuildPart(ctx context.Context, name string, part json.RawMessage) (int, error) {
	p, err := s.defined(name)
	if err != nil {
		return 0, err
	}
	if _, err := s.selection(name, part); err != nil {
		return 0, err
	}
	number := 0
	fits := func(g *generations) error {
		number = 0
		switch next := g.next(); {
		case g.find(g.Live) == nil:
			return &annals.Error{Code: annals.CodeConflict, Message: "projection " + name + " has no live view beside which a part could be built", Hint: "annals projection rebuild " + name + " builds it"}
		case next == nil:
			return nil
		case next.Revision == p.revision && bytes.Equal(next.Part, part):
			number = next.Number
			return errUnchanged
		default:
			return &annals.Error{
				Code: annals.CodeConflict, Message: fmt.Sprintf("generation %d of projection %s is being built", next.Number, name),
				Hint: fmt.Sprintf("switch to it, or annals projection delete %s --generation %d", name, next.Number),
			}
		}
	}
	// Before tables are made for it.
	g, err := readGenerations(ctx, s.views, name)
	if err == nil {
		err = fits(g)
	}
	if errors.Is(err, errUnchanged) {
		return number, nil
	}
	if err != nil {
		return 0, err
	}
	g, added, err := s.generate(ctx, p, fits, func(g *generations, of *generation) { of.Part, g.Building = part, of.Number })
	if err != nil || !added {
		return number, err
	}
	return g.Building, nil
}

// notWhole refuses that a part of the log passes for all of it.
func notWhole(name string, g *generation) error {
	return &annals.Error{
		Code: annals.CodeConflict, Message: fmt.Sprintf("generation %d of projection %s was built from a part of the log", g.Number, name),
		Hint: fmt.Sprintf("annals view %s --generation %d reads it; --force switches all the same", name, g.Number),
	}
}

// selection is what a part selects.
func (s *Set) selection(name string, part json.RawMessage) (func(*annals.Event) bool, error) {
	if s.opts.Part == nil {
		return nil, &annals.Error{Code: annals.CodeInvalid, Message: "this program builds no view " + name + " from a part of the log", Hint: "annals serve does"}
	}
	return s.opts.Part(part)
}

// A restricted is a Handler that passes events over.
type restricted interface {
	restrict(only func(*annals.Event) bool)
}

// restrict makes a handler of the generation called name fold the events of part only.
func (s *Set) restrict(name string, h consumer.Handler, part json.RawMessage) error {
	only, err := s.selection(name, part)
	if err == nil {
		h.(restricted).restrict(only)
	}
	return err
}

func (d *documents[D]) restrict(only func(*annals.Event) bool) { d.only = only }

func (h *sqlHandler) restrict(only func(*annals.Event) bool) { h.only = only }

// selected are the events of batch that h applies.
func (h *sqlHandler) selected(batch []consumer.Message) []consumer.Message {
	if h.only == nil {
		return batch
	}
	return slices.DeleteFunc(slices.Clone(batch), func(m consumer.Message) bool { return !h.only(&m.Event) })
}
