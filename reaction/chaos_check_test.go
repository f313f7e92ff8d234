package reaction_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/reaction"
)

// A saga is read here without the package's own folding.
type saga struct {
	*chaos
	name     string
	commands map[string]annals.Event // by step and attempt
	phase    reaction.Phase
	finals   int
	open     string // the step and attempt that may be answered
	undoing  string // the step that is being compensated
	done     map[string]bool
	undone   map[string]bool
}

// bad says what is wrong and shows the saga.
func (s *saga) bad(format string, args ...any) {
	s.t.Helper()
	history := ""
	for _, e := range s.stream(s.name) {
		history += fmt.Sprintf("%3d %-22s %s because of %s\n", e.Version, e.Type, e.Data, e.Causation)
	}
	s.t.Errorf("%s: %s\n%s", s.name, fmt.Sprintf(format, args...), history)
}

// readCommands holds that no command was issued twice.
func (s *saga) readCommands(stream string) {
	ids := map[string]bool{}
	for _, e := range s.stream(stream) {
		key := e.Attributes[reaction.AttributeStep] + "#" + e.Attributes[reaction.AttributeAttempt]
		// An attempt number is taken once for all resumptions, so that the pair is unique.
		if _, ok := s.commands[key]; ok || ids[e.ID] || e.Attributes[reaction.AttributeSaga] != s.name {
			s.bad("%s@%d is a second command for %s", stream, e.Version, key)
		}
		s.commands[key], ids[e.ID] = e, true
	}
}

type data struct {
	Step    string
	Attempt int
	Undo    bool
	Event   string
}

func (s *saga) read(e *annals.Event) {
	var d data
	if err := json.Unmarshal(e.Data, &d); err != nil {
		s.bad("%s@%d: %v", e.Stream, e.Version, err)
	}
	switch e.Type {
	case reaction.StepStarted:
		if len(s.undone) > 0 || s.finals > 0 || s.done[d.Step] {
			s.bad("version %d starts a step that it must not", e.Version)
		}
		s.start(e, fmt.Sprintf("%s#%d", d.Step, d.Attempt))
	case reaction.CompensationStarted:
		// What is being compensated is finished before a step that succeeded meanwhile.
		want := s.undoing
		if d.Attempt == 1 {
			want = s.lastDone()
		}
		if d.Step != want {
			s.bad("version %d compensates %s, and %q is next in reverse order", e.Version, d.Step, want)
		}
		s.undoing = d.Step
		s.start(e, fmt.Sprintf("%s/undo#%d", d.Step, d.Attempt))
	case reaction.StepCompleted:
		if s.done[d.Step] {
			s.bad("version %d completes %s a second time", e.Version, d.Step)
		}
		s.done[d.Step] = true
		s.close(d.Step)
	case reaction.CompensationCompleted:
		if s.undone[d.Step] || !s.done[d.Step] {
			s.bad("version %d compensates %s, which was compensated or never completed", e.Version, d.Step)
		}
		s.undone[d.Step] = true
		s.close(d.Step + "/undo")
	case reaction.StepFailed, reaction.CompensationFailed, reaction.TimeoutElapsed:
		s.open = ""
	case reaction.SagaFailed:
		s.open, s.finals = "", 0 // a compensation that came late has failed: it ends anew
	case reaction.SagaCompleted, reaction.SagaCompensated:
		s.finals++
		s.phase = map[string]reaction.Phase{reaction.SagaCompleted: reaction.Completed, reaction.SagaCompensated: reaction.Compensated}[e.Type]
	}
}

// start holds that one command is under way at most.
func (s *saga) start(e *annals.Event, key string) {
	if s.open != "" {
		s.bad("version %d starts %s while %s is under way", e.Version, key, s.open)
	}
	s.open = key
	if c, ok := s.commands[key]; ok {
		if want := fmt.Sprintf("%s@%d", s.name, e.Version); c.Causation != want {
			s.bad("the command for %s was issued because of %s", key, c.Causation)
		}
		delete(s.commands, key)
		return
	}
	// Its Issue failed by fate, or an answer was there before it.
	next := s.stream(s.name)
	if int64(len(next)) > e.Version {
		for _, n := range next[e.Version:] {
			if strings.HasSuffix(n.Type, "-failed") || strings.HasSuffix(n.Type, "-completed") {
				return
			}
			if n.Type != reaction.TimeoutSet {
				break
			}
		}
	}
	s.bad("the command for %s was never issued", key)
}

func (s *saga) close(key string) {
	if step, _, _ := strings.Cut(s.open, "#"); step == key {
		s.open = ""
	}
}

// lastDone is the step to compensate next.
func (s *saga) lastDone() string {
	for _, step := range slices.Backward(chaosSteps) {
		if s.done[step.name] && !s.undone[step.name] {
			return step.name
		}
	}
	return ""
}

// wantEnd holds what must be true of a saga that has ended.
func (s *saga) wantEnd(answers string) {
	if s.finals != 1 || s.open != "" || len(s.commands) > 0 {
		s.bad("it ends %d times, with %q under way and commands of nothing: %v", s.finals, s.open, s.commands)
	}
	switch s.phase {
	case reaction.Completed:
		if len(s.undone) > 0 || len(s.done) != len(chaosSteps) {
			s.bad("it is completed, with %v done and %v undone", s.done, s.undone)
		}
	case reaction.Compensated:
		if len(s.done) != len(s.undone) {
			s.bad("it is compensated, with %v done and %v undone", s.done, s.undone)
		}
	}
	for _, e := range s.stream(answers) {
		if step, ok := strings.CutSuffix(e.Type, "-ok"); ok && !s.done[step] {
			s.bad("%s was done as %s@%d says, and the saga doesn't know", step, e.Stream, e.Version)
		}
	}
}
