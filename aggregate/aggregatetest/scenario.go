package aggregatetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/aggregate"
)

// A Start is a test of aggregates of a Type. Scenario makes it.
type Start[S, E any] struct{ typ *aggregate.Type[S, E] }

// Scenario starts a test.
func Scenario[S, E any](t *aggregate.Type[S, E]) Start[S, E] { return Start[S, E]{t} }

// Given says which events the aggregate has.
func (s Start[S, E]) Given(events ...E) History[S, E] { return History[S, E]{s.typ, events} }

// When lets decide, a command, decide on a new aggregate.
func (s Start[S, E]) When(decide func(S) ([]E, error)) Decision[S, E] { return s.Given().When(decide) }

// A History is an aggregate with events, before a command.
type History[S, E any] struct {
	typ    *aggregate.Type[S, E]
	events []E
}

// When lets decide, a command, decide on the state that the events make.
func (h History[S, E]) When(decide func(S) ([]E, error)) Decision[S, E] {
	d := Decision[S, E]{typ: h.typ, state: h.typ.Initial()}
	if _, d.broken = d.record("given", h.events); d.broken != nil {
		return d
	}
	var decided []E
	if decided, d.err = decide(d.state); d.err != nil {
		return d
	}
	d.lines, d.broken = d.record("decided", decided)
	return d
}

// A Decision is what a command decided. One of its methods says what it should
// have been.
type Decision[S, E any] struct {
	typ    *aggregate.Type[S, E]
	state  S // with the events of the decision
	lines  []string
	err    error // of the command
	broken error // of an event or a state that can't be stored
}

// record passes events through their encoding and folds them into the state.
func (d *Decision[S, E]) record(which string, events []E) (lines []string, err error) {
	for i, e := range events {
		stored, err := d.typ.Encode(e)
		if err != nil {
			return nil, fmt.Errorf("event %d of those %s: %w", i+1, which, err)
		}
		read, err := d.typ.Decode(&stored)
		if err != nil {
			return nil, fmt.Errorf("event %d of those %s: %w", i+1, which, err)
		}
		d.state = d.typ.Evolve(d.state, read...)
		lines = append(lines, line(&stored))
	}
	if err := d.typ.CheckState(d.state); err != nil {
		return nil, fmt.Errorf("a snapshot of the state after the events %s: %w", which, err)
	}
	return lines, nil
}

// line shows an event as it is stored.
func line(e *annals.Event) string {
	version := ""
	if v := e.Attributes[aggregate.VersionAttribute]; v != "" {
		version = " v" + v
	}
	if e.IsJSON() {
		return e.Type + version + " " + string(e.Data)
	}
	return fmt.Sprintf("%s%s %q", e.Type, version, e.Data)
}

// Then says that the command decided on exactly these events, in this order.
// They are compared as they are stored.
func (d Decision[S, E]) Then(t testing.TB, events ...E) Outcome[S] {
	t.Helper()
	var want []string
	for i, e := range events {
		stored, err := d.typ.Encode(e)
		if err != nil {
			t.Fatalf("event %d of those expected: %v", i+1, err)
		}
		want = append(want, line(&stored))
	}
	d.decided(t, want)
	return Outcome[S]{d.state}
}

// ThenNothing says that the command succeeded and decided on no event.
func (d Decision[S, E]) ThenNothing(t testing.TB) Outcome[S] {
	t.Helper()
	d.decided(t, nil)
	return Outcome[S]{d.state}
}

func (d Decision[S, E]) decided(t testing.TB, want []string) {
	t.Helper()
	switch {
	case d.broken != nil:
		t.Fatal(d.broken)
	case d.err != nil:
		t.Fatalf("the command failed: %v\nit should have decided:\n%s", d.err, indent(want))
	}
	if diff := diffLines(want, d.lines); diff != "" {
		t.Fatalf("the command decided otherwise (- expected, + decided):\n%s", diff)
	}
}

// ThenError says that the command failed with an error that matches target, by
// errors.Is.
func (d Decision[S, E]) ThenError(t testing.TB, target error) {
	t.Helper()
	switch {
	case d.broken != nil:
		t.Fatal(d.broken)
	case target == nil:
		t.Fatal("ThenError needs an error; Then and ThenNothing say that there is none")
	case d.err == nil:
		t.Fatalf("the command should have failed with: %v\nit decided:\n%s", target, indent(d.lines))
	case !errors.Is(d.err, target):
		t.Fatalf("the command failed otherwise:\n- %v\n+ %v", target, d.err)
	}
}

// ThenState checks the state after the command's events, whatever they are.
func (d Decision[S, E]) ThenState(t testing.TB, check func(S) error) {
	t.Helper()
	switch {
	case d.broken != nil:
		t.Fatal(d.broken)
	case d.err != nil:
		t.Fatalf("the command failed: %v", d.err)
	}
	Outcome[S]{d.state}.ThenState(t, check)
}

// An Outcome is the state after a command's events were found to be right.
type Outcome[S any] struct{ state S }

// ThenState checks the state after the command's events.
func (o Outcome[S]) ThenState(t testing.TB, check func(S) error) {
	t.Helper()
	if err := check(o.state); err != nil {
		t.Fatalf("the state is not as it should be: %v\nit is %s", err, show(o.state))
	}
}

func show(v any) string {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil || bytes.Equal(text, []byte("{}")) {
		return fmt.Sprintf("%+v", v)
	}
	return string(text)
}

func indent(lines []string) string {
	if len(lines) == 0 {
		return "  (nothing)"
	}
	return "  " + strings.Join(lines, "\n  ")
}
