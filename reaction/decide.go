package reaction

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/eb901187/annals"
)

// A move is what a saga decides because of one thing that happened: the entries
// that go to its stream in one commit.
type move struct {
	plan *plan
	h    *history // with out
	now  time.Time
	out  []entry
}

func (p *plan) move(h *history, now time.Time) *move {
	return &move{plan: p, h: h.clone(), now: now}
}

func (m *move) add(en entry) {
	m.h.apply(&en)
	m.out = append(m.out, en)
}

// begin starts a saga.
func (m *move) begin(state json.RawMessage, event string) {
	m.add(entry{Type: SagaStarted, State: state, Event: event})
	m.forward()
}

// forward starts the step behind the last one, or completes the saga. A step
// whose success came before its turn has nothing left to do.
func (m *move) forward() {
	for i := m.plan.find(m.h.reached) + 1; i < len(m.plan.steps); i++ {
		if name := m.plan.steps[i].name; !m.h.done[name] {
			m.start(name, false, 1)
			return
		}
	}
	m.add(entry{Type: SagaCompleted})
}

// start issues a command: whoever reads the entry does that.
func (m *move) start(step string, undo bool, attempt int) {
	typ := StepStarted
	if undo {
		typ = CompensationStarted
	}
	m.add(entry{Type: typ, Step: step, Attempt: attempt})
	if timeout := m.plan.action(step, undo).timeout; timeout > 0 {
		m.add(entry{Type: TimeoutSet, Step: step, Undo: undo, Attempt: attempt, At: m.now.Add(timeout)})
	}
}

// back compensates the last step that is completed and not compensated yet, or
// ends the saga, which it says once however many steps succeed too late.
func (m *move) back() {
	for i := len(m.plan.steps) - 1; i >= 0; i-- {
		s := &m.plan.steps[i]
		if m.h.done[s.name] && !m.h.undone[s.name] && s.undo.issue != nil {
			m.start(s.name, true, 1)
			return
		}
	}
	if !m.h.ended {
		m.add(entry{Type: SagaCompensated})
	}
}

// An answer is an event that answers an action's command, or what its Issue said.
type answer struct {
	step    string
	undo    bool
	attempt int    // which one it answers; 0 if it doesn't say
	event   string // its type; empty for what Issue said
	state   json.RawMessage
	error   string
}

// here reports whether a is about the action that the saga is at.
func (m *move) here(a *answer) bool { return m.h.at.step == a.step && m.h.at.undo == a.undo }

// succeeded takes note of a success whenever it comes: what it says has happened.
func (m *move) succeeded(a *answer) {
	if !m.news(a) {
		return
	}
	if a.undo {
		m.compensated(a)
		return
	}
	waiting := m.here(a) && m.h.phase == Running
	m.add(entry{Type: StepCompleted, Step: a.step, Attempt: m.attemptOf(a), Event: a.event, State: m.changed(a.state)})
	switch {
	case waiting:
		m.forward()
	case m.h.phase == Compensated:
		m.back()
	}
}

// news reports whether the success of a is not known yet, and makes sense.
func (m *move) news(a *answer) bool {
	if a.undo {
		return m.h.done[a.step] && !m.h.undone[a.step]
	}
	return !m.h.done[a.step]
}

func (m *move) compensated(a *answer) {
	waiting := m.here(a)
	m.add(entry{Type: CompensationCompleted, Step: a.step, Attempt: m.attemptOf(a), Event: a.event, State: m.changed(a.state)})
	if waiting {
		m.back()
	}
}

// attemptOf is the attempt that a answers, as well as can be known.
func (m *move) attemptOf(a *answer) int {
	if a.attempt == 0 && m.here(a) {
		return m.h.at.attempt
	}
	return a.attempt
}

// changed is state if it differs from what the saga knows.
func (m *move) changed(state json.RawMessage) json.RawMessage {
	if bytes.Equal(state, m.h.state) {
		return nil
	}
	return state
}

// failed counts only for the attempt that the saga waits for: an older one is
// done with, and a step that was not asked for will be asked for.
func (m *move) failed(a *answer) {
	at := m.h.at
	if !m.here(a) || !at.open || a.attempt != 0 && a.attempt != at.attempt {
		return
	}
	typ := StepFailed
	if at.undo {
		typ = CompensationFailed
	}
	m.add(entry{Type: typ, Step: at.step, Attempt: at.attempt, Error: a.error, Event: a.event})
	m.again(a.error)
}

// elapsed is the end of the timer that the stream's version set.
func (m *move) elapsed(version int64) {
	if m.h.timer.version != version {
		return
	}
	at, retry := m.h.at, m.h.timer.retry
	m.add(entry{Type: TimeoutElapsed, Step: at.step, Undo: at.undo, Attempt: at.attempt, Retry: retry})
	if retry {
		m.start(at.step, at.undo, at.attempt+1)
		return
	}
	m.again(fmt.Sprintf("no answer within %v", m.plan.action(at.step, at.undo).timeout))
}

// again tries the action once more, behind a pause, if it has attempts left.
func (m *move) again(reason string) {
	at := m.h.at
	action := m.plan.action(at.step, at.undo)
	tried := at.attempt - at.since
	switch {
	case tried < action.attempts:
		pause := action.backoff(tried)
		if pause <= 0 {
			m.start(at.step, at.undo, at.attempt+1)
			return
		}
		m.add(entry{Type: TimeoutSet, Step: at.step, Undo: at.undo, Attempt: at.attempt, At: m.now.Add(pause), Retry: true})
	case at.undo:
		m.add(entry{Type: SagaFailed, Step: at.step, Error: reason})
	default:
		m.back()
	}
}

// resume tries a compensation again that had failed for good.
func (m *move) resume(reason string) error {
	if m.h.phase != Failed {
		return annals.Invalid("saga", "is %s: only one that has failed can be resumed", m.h.phase)
	}
	m.add(entry{Type: SagaResumed, Error: reason})
	m.start(m.h.at.step, true, m.h.at.attempt+1)
	return nil
}
