package reaction

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/view"
)

// A Process runs the sagas of one definition. Its methods are safe for concurrent
// use; Run is called once, in as many processes as you like.
//
// Every decision is an append to the saga's stream at its exact version, with ids
// made of what it was decided on; a command is issued when that append is read
// from the log. So a crash at any point loses and repeats nothing, and two
// processes can't both move a saga.
type Process struct {
	reaction *Reaction
	plan     *plan
	prefix   string // of the streams
}

// NewProcess makes a Process of saga over store. Its checkpoint, and the timers
// that are set, are kept in views; both can be made again from the log. Errors
// name everything that is wrong with the definition.
func NewProcess[S any](store *annals.Store, views view.Store, saga Saga[S], opts *Options) (*Process, error) {
	p := &Process{plan: saga.plan(), prefix: "saga-" + saga.Name + "/"}
	if err := p.plan.check(); err != nil {
		return nil, err
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Source == "" {
		o.Source = "saga/" + saga.Name
	}
	var err error
	p.reaction, err = New(store, views, "saga-"+saga.Name, annals.Query{Types: p.plan.types()}, p.handle, &o)
	if err == nil {
		p.reaction.single = false // what it does follows from how far sagas are
	}
	return p, err
}

// Run moves sagas until ctx ends, and then returns ctx's error; any other error
// says that it can't go on. Timers are looked for every consumer.Options.Poll; one
// fires once everything is handled that the log held when it was due.
func (p *Process) Run(ctx context.Context) error {
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	var timers sync.WaitGroup
	var broken error
	timers.Go(func() {
		defer cancel()
		broken = p.runTimers(running)
	})
	err := p.reaction.Run(running)
	cancel()
	timers.Wait()
	if broken != nil && ctx.Err() == nil && errors.Is(err, context.Canceled) {
		return broken
	}
	return err
}

// CatchUp moves sagas and returns nil once nothing is left to do: what the log held
// when it last looked is handled, and the timers that are due by then have fired;
// or the process is paused, or another one works on it. What sagas append meanwhile
// comes behind where a store numbers its log later. It is for processes that are
// woken: when it returns nothing goes on. It is called by one goroutine at a time,
// any number of times, and not beside Run.
func (p *Process) CatchUp(ctx context.Context) error {
	for last := int64(-1); ; {
		if err := p.reaction.CatchUp(ctx); err != nil {
			return err
		}
		at, behind := p.reaction.runner.Position(), false
		wait, err := p.fireDue(ctx, func(_ context.Context, position int64) (bool, error) {
			behind = at < position
			return !behind, nil
		})
		if err != nil || wait > 0 || behind && at == last {
			return err
		}
		last = at
	}
}

// waitedFor waits until everything up to position is handled.
func (p *Process) waitedFor(ctx context.Context, position int64) (bool, error) {
	err := p.reaction.WaitFor(ctx, position)
	return err == nil, err
}

// Name is that of the consumer: "saga-" and the saga's name. What could not be
// handled is parked there, each saga for itself; see consumer.NewControl.
func (p *Process) Name() string { return p.reaction.Name() }

// WaitFor waits until every event up to position has been handled or parked. What
// sagas append because of them comes behind.
func (p *Process) WaitFor(ctx context.Context, position int64) error {
	return p.reaction.WaitFor(ctx, position)
}

// Status says where the process stands in the log.
func (p *Process) Status(ctx context.Context) (consumer.Status, error) {
	return p.reaction.Status(ctx)
}

// Progress says how far a saga is.
type Progress struct {
	Stream      string
	Version     int64
	Phase       Phase
	Step        string   // that it is at, or was at last
	Undo        bool     // whether Step is being compensated
	Attempt     int      // of Step, from 1
	Completed   []string // steps, in the order of the definition
	Compensated []string
	// State is what the saga knows, as JSON.
	State json.RawMessage
}

// Progress reads how far the saga with this id is; annals.ErrNotFound if there is
// none.
func (p *Process) Progress(ctx context.Context, id string) (Progress, error) {
	h, err := p.existing(ctx, id)
	if err != nil {
		return Progress{}, err
	}
	pr := Progress{
		Stream: h.stream, Version: h.version, Phase: h.phase,
		Step: h.at.step, Undo: h.at.undo, Attempt: h.at.attempt, State: h.state,
	}
	for i := range p.plan.steps {
		if name := p.plan.steps[i].name; h.done[name] {
			pr.Completed = append(pr.Completed, name)
			if h.undone[name] {
				pr.Compensated = append(pr.Compensated, name)
			}
		}
	}
	return pr, nil
}

// Resume tries the compensation again that a saga in the phase Failed has failed
// on, with all its attempts. reason says what was done about it and is kept. A saga
// in any other phase is annals.ErrInvalid, one that does not exist ErrNotFound.
func (p *Process) Resume(ctx context.Context, id, reason string) error {
	h, err := p.existing(ctx, id)
	if err != nil {
		return err
	}
	m := p.plan.move(h, p.reaction.opts.Clock())
	if err := m.resume(reason); err != nil {
		return err
	}
	return p.append(ctx, h, m, h.stream+"@"+strconv.FormatInt(h.version, 10))
}

func (p *Process) existing(ctx context.Context, id string) (*history, error) {
	h, err := p.load(ctx, p.prefix+id)
	if err == nil && h.version == 0 {
		err = &annals.Error{Code: annals.CodeNotFound, Message: "there is no saga with the stream " + h.stream}
	}
	return h, err
}

// load folds the stream of a saga.
func (p *Process) load(ctx context.Context, stream string) (*history, error) {
	h := newHistory(stream, strings.TrimPrefix(stream, p.prefix))
	for e, err := range p.reaction.store.Stream(ctx, stream, nil) {
		if err != nil {
			return nil, err
		}
		if err := h.read(&e); err != nil {
			return nil, err
		}
	}
	if h.phase == Completed || h.phase == Compensated || h.phase == Erased {
		return h, nil
	}
	for step := range h.done {
		if err := p.known(h, step); err != nil {
			return nil, err
		}
	}
	if h.at.step == "" {
		return h, nil
	}
	return h, p.known(h, h.at.step)
}

func (p *Process) known(h *history, step string) error {
	if p.plan.find(step) >= 0 {
		return nil
	}
	return &annals.Error{
		Code:    annals.CodeInvalid,
		Message: fmt.Sprintf("saga %s is under way and has been at step %q, which the definition does not have", h.stream, step),
		Hint:    "keep a step in the definition until no saga needs it any more, and then retry what is parked",
	}
}

// handle acts on an event of the log: one of a saga's own, one that starts a saga,
// or one that answers a step.
func (p *Process) handle(ctx context.Context, t *Turn) error {
	if strings.HasPrefix(t.Stream, p.prefix) {
		return p.own(ctx, t)
	}
	r, ok := p.plan.roles[t.Type]
	if !ok {
		return nil
	}
	stream, err := p.streamOf(&t.Event, r)
	if err != nil || stream == "" {
		return err
	}
	h, err := p.load(ctx, stream)
	if err != nil || h.phase == Erased || h.seen[t.Cause()] || r.starts != (h.version == 0) {
		return err
	}
	if r.starts {
		if past, err := p.reaction.past(ctx, &t.Event); past || err != nil {
			return err
		}
	}
	if h.subject == "" {
		h.subject = t.Subject()
	}
	m := p.plan.move(h, p.reaction.opts.Clock())
	switch {
	case r.starts:
		err = p.begin(t, h, m)
	case r.success:
		err = p.success(t, m, r)
	default:
		m.failed(&answer{step: r.step, undo: r.undo, attempt: attempt(&t.Event), event: t.Type, error: reason(&t.Event)})
	}
	if err != nil {
		return err
	}
	return p.append(ctx, h, m, t.Cause())
}

// streamOf names the saga that an event belongs to; empty means none of these.
func (p *Process) streamOf(e *annals.Event, r role) (string, error) {
	stream := e.Attributes[AttributeSaga]
	if r.starts || !strings.HasPrefix(stream, p.prefix) {
		id := p.plan.id(e)
		if id == "" {
			return "", nil
		}
		stream = p.prefix + id
	}
	if err := annals.CheckStream(stream); err != nil {
		return "", consumer.Permanent(fmt.Errorf("the saga's id is not fit for the end of a stream's name: %w", err))
	}
	return stream, nil
}

func (p *Process) begin(t *Turn, h *history, m *move) error {
	h.correlation = t.Correlation
	if h.correlation == "" {
		h.correlation = h.stream
	}
	state := json.RawMessage(nil)
	if p.plan.start != nil {
		var err error
		if state, err = p.plan.start(nil, &t.Event); err != nil {
			return err
		}
	}
	m.begin(state, t.Type)
	return nil
}

func (p *Process) success(t *Turn, m *move, r role) error {
	a := &answer{step: r.step, undo: r.undo, attempt: attempt(&t.Event), event: t.Type, state: m.h.state}
	if keep := p.plan.action(r.step, r.undo).keep; keep != nil && m.news(a) {
		var err error
		if a.state, err = keep(m.h.state, &t.Event); err != nil {
			return err
		}
	}
	m.succeeded(a)
	return nil
}

// attempt is the attempt that an event answers, or 0 if it does not say.
func attempt(e *annals.Event) int {
	n, err := strconv.Atoi(e.Attributes[AttributeAttempt])
	if err != nil {
		return 0
	}
	return n
}

// reason is what an event that means failure says about it.
func reason(e *annals.Event) string {
	if e.IsJSON() && len(e.Data) > 0 && e.Data[0] == '{' {
		for name, raw := range annals.JSONMembers(e.Data) {
			if s, ok := annals.JSONString(raw); ok && slices.Contains([]string{"error", "reason"}, name) {
				return s
			}
		}
	}
	return e.Type
}

// own acts on an event of a saga's own: it issues commands and notes timers.
func (p *Process) own(ctx context.Context, t *Turn) error {
	switch t.Type {
	case TimeoutSet:
		return p.note(t)
	case StepStarted, CompensationStarted:
		return p.issue(ctx, t)
	}
	return nil
}

// issue issues the command of an action, unless the saga has gone on since.
func (p *Process) issue(ctx context.Context, t *Turn) error {
	h, err := p.load(ctx, t.Stream)
	if err != nil || h.at.started != t.Version || !h.at.open {
		return err
	}
	action := p.plan.action(h.at.step, h.at.undo)
	if action.issue == nil {
		return &annals.Error{
			Code:    annals.CodeInvalid,
			Message: fmt.Sprintf("saga %s compensates step %q, for which the definition has no Undo.Issue any more", h.stream, h.at.step),
			Hint:    "define it again, and then retry what is parked",
		}
	}
	a := &answer{step: h.at.step, undo: h.at.undo, attempt: h.at.attempt, state: h.state}
	m := p.plan.move(h, p.reaction.opts.Clock())
	err = action.issue(ctx, t, h)
	if why, ok := failed(err); ok {
		a.error = why
		m.failed(a)
	} else if err != nil {
		return err
	} else if len(action.success) == 0 {
		m.succeeded(a)
	}
	return p.append(ctx, h, m, t.Cause())
}

// append stores what was decided because of cause.
func (p *Process) append(ctx context.Context, h *history, m *move, cause string) error {
	if len(m.out) == 0 {
		return nil
	}
	events := make([]annals.Event, len(m.out))
	for i := range m.out {
		data, err := json.Marshal(&m.out[i])
		if err != nil {
			return err
		}
		events[i] = annals.Event{
			ID: derive(p.reaction.name, cause, h.stream, 0, i), Type: m.out[i].Type, Source: p.reaction.source,
			Time: m.now, Correlation: h.correlation, Causation: cause, Data: data,
		}
		if h.subject != "" {
			events[i].Attributes = map[string]string{annals.SubjectAttribute: h.subject}
		}
	}
	_, err := p.reaction.store.Append(ctx, h.stream, h.version, events...)
	if errors.Is(err, annals.ErrIDReused) {
		return nil // another process has decided on the same cause since h was read
	}
	return err
}
