package reaction

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eb901187/annals"
)

type (
	keepFunc  = func(state json.RawMessage, e *annals.Event) (json.RawMessage, error)
	issueFunc = func(ctx context.Context, t *Turn, h *history) error
)

// A plan is a Saga with its types gone.
type plan struct {
	name   string
	id     func(*annals.Event) string
	starts []string
	start  keepFunc
	steps  []planStep

	roles map[string]role // by event type
}

type planStep struct {
	name     string
	do, undo planAction
}

type planAction struct {
	issue            issueFunc
	success, failure []string
	keep             keepFunc
	timeout          time.Duration
	attempts         int
	backoff          func(int) time.Duration
}

// A role is what an event of one type means to a saga.
type role struct {
	starts  bool
	step    string
	undo    bool
	success bool
}

func (p *plan) find(step string) int {
	return slices.IndexFunc(p.steps, func(s planStep) bool { return s.name == step })
}

// action is that of a step which the plan has.
func (p *plan) action(step string, undo bool) *planAction {
	s := &p.steps[p.find(step)]
	if undo {
		return &s.undo
	}
	return &s.do
}

// types are those of the events that the saga reads.
func (p *plan) types() []string {
	types := []string{StepStarted, CompensationStarted, TimeoutSet}
	for typ := range p.roles {
		if !slices.Contains(types, typ) {
			types = append(types, typ)
		}
	}
	slices.Sort(types)
	return types
}

// check fills in roles and reports everything that is wrong with the definition.
func (p *plan) check() error {
	v := &violations{}
	v.when(p.id == nil, "ID", "must be given")
	v.when(len(p.starts) == 0, "Starts", "must name a type")
	v.when(len(p.steps) == 0, "Steps", "must not be empty")
	p.roles = map[string]role{}
	assign := func(field string, types []string, r role) {
		for _, typ := range types {
			_, taken := p.roles[typ]
			v.when(taken, field, fmt.Sprintf("names the type %q, which stands elsewhere in the saga too", typ))
			p.roles[typ] = r
		}
	}
	assign("Starts", p.starts, role{starts: true})
	for i := range p.steps {
		s := &p.steps[i]
		field := fmt.Sprintf("Steps[%d]", i)
		v.when(s.name == "" || strings.ContainsRune(s.name, '/'), field+".Name", "must not be empty or hold a slash")
		v.when(p.find(s.name) != i, field+".Name", "repeats that of another step")
		v.when(s.do.issue == nil, field+".Do.Issue", "must be given")
		for _, a := range []struct {
			*planAction
			name string
			undo bool
		}{{&s.do, "Do", false}, {&s.undo, "Undo", true}} {
			f := field + "." + a.name
			v.when(a.issue == nil && len(a.success)+len(a.failure) > 0, f, "names answers to a command that it does not issue")
			v.when(len(a.success) == 0 && len(a.failure) > 0, f+".Success", "must name a type, as Failure does")
			v.when(len(a.success) == 0 && a.timeout != 0, f+".Timeout", "needs a Success to wait for")
			v.when(len(a.success) == 0 && a.keep != nil, f+".Keep", "needs a Success to keep of")
			v.when(a.timeout < 0, f+".Timeout", "must not be negative")
			v.when(a.attempts < 0, f+".Attempts", "must not be negative")
			assign(f+".Success", a.success, role{step: s.name, undo: a.undo, success: true})
			assign(f+".Failure", a.failure, role{step: s.name, undo: a.undo})
		}
	}
	v.when(len(p.types()) > annals.MaxQueryNames, "types", fmt.Sprintf("are more than %d in all", annals.MaxQueryNames-3))
	return v.err()
}

type violations struct{ list []annals.Violation }

func (v *violations) when(bad bool, field, message string) {
	if bad {
		v.list = append(v.list, annals.Violation{Field: field, Message: message})
	}
}

func (v *violations) err() error {
	if len(v.list) == 0 {
		return nil
	}
	return &annals.InvalidError{Violations: v.list}
}
