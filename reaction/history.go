package reaction

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/eb901187/annals"
)

// The types of the events in a saga's stream. Their data is JSON with the members
// that apply: step, attempt, undo (true where it is about compensation), at (when
// a time limit passes), retry (true where it is a pause before another attempt),
// error, event (the type of the event that answered), state (what the saga knows
// from then on).
const (
	SagaStarted           = "saga-started"
	StepStarted           = "step-started"         // its command is issued next
	StepCompleted         = "step-completed"       // also before it started, or after it was given up
	StepFailed            = "step-failed"          // one attempt
	TimeoutSet            = "timeout-set"          // a time limit, or a pause before another attempt
	TimeoutElapsed        = "timeout-elapsed"      // and nothing had come before
	CompensationStarted   = "compensation-started" // its command is issued next
	CompensationCompleted = "compensation-completed"
	CompensationFailed    = "compensation-failed" // one attempt
	SagaResumed           = "saga-resumed"        // by Process.Resume
	SagaCompleted         = "saga-completed"      // every step was
	SagaCompensated       = "saga-compensated"    // a step failed, and those completed were compensated; once, or again behind a SagaFailed
	SagaFailed            = "saga-failed"         // a compensation failed for good
)

// A Phase is a saga's condition in one word.
type Phase string

// The phases. Running and Compensating change by themselves. Compensated comes
// back behind Compensating where a step succeeds too late.
const (
	Running      Phase = "running"
	Compensating Phase = "compensating"
	Completed    Phase = "completed"
	Compensated  Phase = "compensated"
	Failed       Phase = "failed" // Process.Resume tries the compensation again
	Erased       Phase = "erased" // the data subject of the event that started it was erased: it goes no further
)

// An entry is one event of a saga's stream.
type entry struct {
	Type    string          `json:"-"`
	Step    string          `json:"step,omitempty"`
	Attempt int             `json:"attempt,omitempty"`
	Undo    bool            `json:"undo,omitempty"`
	At      time.Time       `json:"at,omitzero"`
	Retry   bool            `json:"retry,omitempty"`
	Error   string          `json:"error,omitempty"`
	Event   string          `json:"event,omitempty"`
	State   json.RawMessage `json:"state,omitempty"`
}

// A history is what the events of a saga's stream come to.
type history struct {
	stream, id  string
	version     int64
	correlation string
	subject     string // that its events name, from the first event on that it is about and that names one
	phase       Phase
	ended       bool // the saga has said how it ended
	state       json.RawMessage
	done        map[string]bool // steps that have succeeded, whenever that was
	undone      map[string]bool // steps that were compensated
	seen        map[string]bool // causes of its events
	reached     string          // the last step in order that was completed
	at          at
	timer       timer
}

// at is the action that a saga is at.
type at struct {
	step    string
	undo    bool
	attempt int
	since   int   // attempts before the last resumption
	started int64 // the version that says so
	open    bool  // an answer may come
}

// timer is the time limit or the pause that is set; version 0 means none.
type timer struct {
	version int64
	retry   bool
}

func newHistory(stream, id string) *history {
	return &history{stream: stream, id: id, done: map[string]bool{}, undone: map[string]bool{}, seen: map[string]bool{}}
}

func (h *history) clone() *history {
	c := *h
	c.done, c.undone, c.seen = maps.Clone(h.done), maps.Clone(h.undone), maps.Clone(h.seen)
	return &c
}

// read folds a stored event into h.
func (h *history) read(e *annals.Event) error {
	en := entry{Type: e.Type}
	damaged := func(what string, err error) error {
		return &annals.Error{
			Code: annals.CodeDamaged, Err: err,
			Message: fmt.Sprintf("event %s@%d %s", e.Stream, e.Version, what),
			Hint:    "only sagas write into these streams; a newer program may have written it",
		}
	}
	if e.Version != h.version+1 {
		return damaged(fmt.Sprintf("does not follow version %d", h.version), nil)
	}
	if e.Erased() {
		h.version++
		h.seen[e.Causation] = true
		h.erase()
		return nil
	}
	if len(e.Data) > 0 {
		if err := json.Unmarshal(e.Data, &en); err != nil {
			return damaged("is not what a saga writes", err)
		}
	}
	if (e.Type == SagaStarted) != (h.version == 0) || !h.apply(&en) {
		return damaged("of type "+e.Type+" is not what a saga writes there", nil)
	}
	h.seen[e.Causation] = true
	if h.version == 1 {
		h.correlation = e.Correlation
	}
	if h.subject == "" {
		h.subject = e.Subject()
	}
	return nil
}

// apply is what en means as the next event. It reports whether it knows its type.
func (h *history) apply(en *entry) bool {
	h.version++
	if en.State != nil {
		h.state = en.State
	}
	here := h.at.step == en.Step && h.at.undo == (en.Undo || strings.HasPrefix(en.Type, "compensation-"))
	switch en.Type {
	case SagaStarted:
		h.phase = Running
	case StepStarted, CompensationStarted:
		h.start(en)
	case StepCompleted:
		h.done[en.Step] = true
		if here {
			h.reached = en.Step
			h.close()
		}
	case CompensationCompleted:
		h.undone[en.Step] = true
		if here {
			h.close()
		}
		if h.ended {
			h.phase = Compensated
		}
	case StepFailed, CompensationFailed, TimeoutElapsed:
		h.close()
	case TimeoutSet:
		h.timer = timer{h.version, en.Retry}
	case SagaResumed:
		h.phase, h.at.since = Compensating, h.at.attempt
	case SagaCompleted:
		h.end(Completed)
	case SagaCompensated:
		h.end(Compensated)
	case SagaFailed:
		h.end(Failed)
	default:
		return false
	}
	return true
}

func (h *history) start(en *entry) {
	undo := en.Type == CompensationStarted
	if undo {
		h.phase = Compensating
	}
	since := 0
	if h.at.step == en.Step && h.at.undo == undo {
		since = h.at.since
	}
	h.at = at{en.Step, undo, en.Attempt, since, h.version, true}
	h.timer = timer{}
}

// close ends the attempt at hand.
func (h *history) close() {
	h.at.open = false
	h.timer = timer{}
}

// erase ends a saga of which nothing can be read any more.
func (h *history) erase() {
	h.phase, h.ended, h.state, h.at, h.timer = Erased, true, nil, at{}, timer{}
	clear(h.done)
	clear(h.undone)
}

func (h *history) end(p Phase) {
	h.close()
	h.phase, h.ended = p, p != Failed
}
