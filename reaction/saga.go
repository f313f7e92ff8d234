package reaction

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/eb901187/annals"
)

// A Saga defines a process of Steps that are done one after the other, and undone
// in reverse when one fails. S is what each saga knows: a value that JSON keeps.
//
// A definition may change while sagas are under way: steps may be added and
// reordered, and a saga goes on with the step that follows its last one. A step
// may be removed or renamed only once no saga needs it any more.
type Saga[S any] struct {
	// Name is part of the names of its sagas' streams, "saga-NAME/ID", and of its
	// consumer, "saga-NAME": ASCII letters, digits and - _ . @.
	Name string
	// ID says which saga an event that starts one, or answers a step, belongs to:
	// for example the order's number. It must be fit for the end of a stream's
	// name. Empty means none. It isn't asked about events that Reply made.
	ID func(e *annals.Event) string
	// Starts are the types of events that start a saga. If there is one with that
	// ID already, the event is passed over.
	Starts []string
	// Start takes from the starting event what the saga must know.
	Start func(s *S, e *annals.Event) error
	// Steps are done in this order; at least one.
	Steps []Step[S]
}

// A Step is one part of a Saga.
type Step[S any] struct {
	// Name is unique in the Saga; it is kept in its stream.
	Name string
	// Do is the step itself.
	Do Action[S]
	// Undo compensates the step once it has been completed, because a later one
	// failed or because its success came too late. Without an Issue there is
	// nothing to compensate.
	Undo Action[S]
}

// An Action issues a command and waits for the event that answers it. An event's
// type may stand in one place of a Saga only.
type Action[S any] struct {
	// Issue sends the command, by c.Append. It is called again after a crash and
	// after an error; what it appends is stored once. An error that Fail made
	// means that the action has failed; for any other see Handler.
	Issue func(ctx context.Context, c *Command[S]) error
	// Success and Failure are the types of the events that answer. Without any
	// Success, the action has succeeded once Issue returns nil.
	Success, Failure []string
	// Keep takes from the event that means success what later steps must know. It
	// may be nil.
	Keep func(s *S, e *annals.Event) error
	// Timeout is how long to wait for an answer, from when the command is issued;
	// 0 means for ever.
	Timeout time.Duration
	// Attempts is how often the command is issued, as long as answers are failures
	// or don't come; by default 1 for Do and 5 for Undo.
	Attempts int
	// Backoff is the pause behind so many attempts; by default 1 s doubled for
	// each, up to 1 min.
	Backoff func(attempts int) time.Duration
}

// The attributes of a command, which Reply takes over into the answer. Saga and
// step together make an idempotency key: all attempts of a step have it in common.
const (
	AttributeSaga    = "saga"        // the saga's stream
	AttributeStep    = "sagastep"    // the step, with "/undo" behind it where it is compensated
	AttributeAttempt = "sagaattempt" // from 1
)

// A Command is what an Action's Issue is given.
type Command[S any] struct {
	// State is what the saga knows; changes are not kept.
	State S
	// Saga is the saga's stream and ID its id.
	Saga, ID string
	// Step is the step at hand, Undo whether it is being compensated, and Attempt
	// counts from 1.
	Step    string
	Undo    bool
	Attempt int
	// Time is when the saga decided to issue this; it is the same on each call.
	Time time.Time

	turn *Turn
}

// Append appends events to stream like Turn.Append, each with the attributes that
// say which saga, step and attempt it is of. An expected version that another
// writer was faster at makes Issue be called again.
func (c *Command[S]) Append(ctx context.Context, stream string, expected int64, events ...annals.Event) (annals.Commit, error) {
	if stream == c.Saga {
		return annals.Commit{}, annals.Invalid("stream", "must not be the saga's own")
	}
	marked := make([]annals.Event, len(events))
	for i, e := range events {
		e.Attributes = maps.Clone(e.Attributes)
		if e.Attributes == nil {
			e.Attributes = map[string]string{}
		}
		e.Attributes[AttributeSaga] = c.Saga
		e.Attributes[AttributeStep] = stepAttribute(c.Step, c.Undo)
		e.Attributes[AttributeAttempt] = strconv.Itoa(c.Attempt)
		marked[i] = e
	}
	return c.turn.Append(ctx, stream, expected, marked...)
}

func stepAttribute(step string, undo bool) string {
	if undo {
		return step + "/undo"
	}
	return step
}

// Reply makes the event that answers a command: its saga finds it without asking
// Saga.ID, and knows which attempt it answers. data is JSON or nil.
func Reply(command *annals.Event, typ string, data []byte) annals.Event {
	e := annals.Event{Type: typ, Data: data, Correlation: command.Correlation, Attributes: map[string]string{}}
	if command.Version > 0 {
		e.Causation = command.Stream + "@" + strconv.FormatInt(command.Version, 10)
	}
	for _, name := range []string{AttributeSaga, AttributeStep, AttributeAttempt} {
		if value, ok := command.Attributes[name]; ok {
			e.Attributes[name] = value
		}
	}
	return e
}

// Fail makes the error by which an Issue says that its action has failed for good
// and has had no effect.
func Fail(reason string) error { return &failure{reason} }

type failure struct{ reason string }

func (f *failure) Error() string { return f.reason }

// plan makes s one that knows nothing of S: what a saga knows goes through it as
// JSON.
func (s *Saga[S]) plan() *plan {
	p := &plan{name: s.Name, id: s.ID, starts: s.Starts, start: keep(s.Start)}
	for i := range s.Steps {
		step := &s.Steps[i]
		p.steps = append(p.steps, planStep{step.Name, step.Do.plan(1), step.Undo.plan(5)})
	}
	return p
}

func (a *Action[S]) plan(attempts int) planAction {
	p := planAction{
		success: a.Success, failure: a.Failure, keep: keep(a.Keep),
		timeout: a.Timeout, attempts: a.Attempts, backoff: a.Backoff,
	}
	if a.Issue != nil {
		p.issue = issue(a.Issue)
	}
	if p.attempts == 0 {
		p.attempts = attempts
	}
	if p.backoff == nil {
		p.backoff = backoff
	}
	return p
}

func backoff(attempts int) time.Duration {
	const first, most = time.Second, time.Minute
	return min(first<<min(attempts-1, 10), most)
}

func keep[S any](f func(*S, *annals.Event) error) keepFunc {
	if f == nil {
		return nil
	}
	return func(state json.RawMessage, e *annals.Event) (json.RawMessage, error) {
		s, err := parseState[S](state)
		if err == nil {
			err = f(&s, e)
		}
		if err != nil {
			return nil, err
		}
		return json.Marshal(s)
	}
}

func parseState[S any](state json.RawMessage) (s S, err error) {
	if len(state) > 0 {
		err = json.Unmarshal(state, &s)
	}
	if err != nil {
		err = fmt.Errorf("what the saga knows does not fit %T: %w", s, err)
	}
	return s, err
}

func issue[S any](f func(context.Context, *Command[S]) error) issueFunc {
	return func(ctx context.Context, t *Turn, h *history) error {
		state, err := parseState[S](h.state)
		if err != nil {
			return err
		}
		return f(ctx, &Command[S]{
			State: state, Saga: h.stream, ID: h.id, Step: h.at.step, Undo: h.at.undo, Attempt: h.at.attempt,
			Time: t.Now(), turn: t,
		})
	}
}

// failed is the reason of an error that Fail made.
func failed(err error) (reason string, ok bool) {
	var f *failure
	if !errors.As(err, &f) {
		return "", false
	}
	return err.Error(), true
}
