package fold

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/itchyny/gojq"

	"github.com/eb901187/annals"
)

// limits cut off a program that would not end. Steps are the same on every
// machine; time is for programs whose single steps are long.
type limits struct {
	steps int
	time  time.Duration
	now   func() time.Time
}

var standardLimits = limits{5_000_000, 5 * time.Second, time.Now}

const maxExpressionBytes = 32 << 10

// A program is a compiled expression of a file. It is safe for concurrent use.
type program struct {
	what   string // for messages: "fold of order-placed", "key"
	file   string
	line   int    // of file
	text   string // without comments and formatting
	code   *gojq.Code
	fields fields   // of the event
	now    bool     // whether it asks for the time
	path   []string // of names, if it is a key and just that
	limits limits
}

// compile makes a program of an expression. asKey says that . is the event, more
// are variables beside $event. All that is wrong is returned as complaints.
func compile(what, src string, asKey bool, l limits, more ...string) (*program, []complaint) {
	if len(src) > maxExpressionBytes {
		return nil, []complaint{{offset: -1, message: fmt.Sprintf("is %d bytes long, the limit is %d", len(src), maxExpressionBytes), hint: "split the projection"}}
	}
	q, err := gojq.Parse(src)
	if err != nil {
		return nil, []complaint{parseComplaint(err, src)}
	}
	p := &program{what: what, text: q.String(), limits: l}
	var check syntaxCheck
	if asKey {
		check.keyFields(q)
	}
	check.query(q, nil)
	if len(check.complaints) > 0 {
		return nil, check.complaints
	}
	p.fields, p.now, p.path = check.fields, check.now, check.path
	variables := append([]string{eventVariable}, more...)
	if p.now {
		variables = append(variables, nowVariable)
	}
	p.code, err = gojq.Compile(q, append([]gojq.CompilerOption{gojq.WithVariables(variables)}, guards...)...)
	if err != nil {
		return nil, []complaint{compileComplaint(err, asKey, more)}
	}
	return p, nil
}

// run yields what the program makes of v until yield returns false or trouble.
// more are the values of the variables that compile was given.
func (p *program) run(v any, e *annals.Event, event any, yield func(any) (bool, *trouble), more ...any) (t *trouble) {
	defer func() {
		if r := recover(); r != nil {
			t = &trouble{happened: "failed", hint: "report this with the expression and the event: no expression should do that", cause: fmt.Errorf("gojq panicked: %v", r)}
		}
	}()
	m := &meter{Context: context.Background(), limits: p.limits}
	variables := append([]any{event}, more...)
	if p.now {
		variables = append(variables, float64(e.Time.Unix())+float64(e.Time.Nanosecond())/1e9)
	}
	outputs := p.code.RunWithContext(m, v, variables...)
	for {
		out, more := outputs.Next()
		if !more {
			return nil
		}
		if err, bad := out.(error); bad {
			if m.exceeded != nil {
				return m.exceeded
			}
			// gojq words its errors only when asked, from values that it may change.
			return &trouble{happened: "failed", hint: "mend the expression, or the event", cause: errors.New(err.Error())}
		}
		if more, t := yield(out); t != nil || !more {
			return t
		}
	}
}

// A meter is the context of one run. gojq asks Done before each of its steps,
// which makes counting them cheaper than any timer.
type meter struct {
	context.Context
	limits   limits
	steps    int
	start    time.Time
	exceeded *trouble
}

var closed = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Done counts a step; its channel is closed once a limit is exceeded.
func (m *meter) Done() <-chan struct{} {
	if m.steps++; m.steps%64 != 0 {
		return nil
	}
	now := m.limits.now()
	if m.start.IsZero() {
		m.start = now
	}
	switch {
	case m.steps > m.limits.steps:
		m.exceeded = &trouble{
			kind: endless, code: annals.CodeInvalid, happened: fmt.Sprintf("did not end within %d steps", m.limits.steps),
			hint: "see that each repeat, range and recursion comes to an end",
		}
	case now.Sub(m.start) > m.limits.time:
		m.exceeded = &trouble{
			kind: endless, code: annals.CodeTimeout, happened: fmt.Sprintf("did not end within %v", m.limits.time),
			hint: "see that it does less for one event",
		}
	default:
		return nil
	}
	return closed
}

// Err says that a limit was exceeded; run knows which.
func (m *meter) Err() error { return context.DeadlineExceeded }

// A trouble is why a program could not be used on an event.
type trouble struct {
	kind     troubleKind
	code     annals.Code // CodeInvalid by default
	happened string
	hint     string
	cause    error
	output   any // of the kind wrongOutput
}

type troubleKind int

const (
	failed      troubleKind = iota // an error of the expression itself
	wrongOutput                    // it gave what a document or key can't be
	endless
)

// at is the trouble with e as callers see it.
func (t *trouble) at(p *program, e *annals.Event) error {
	code := t.code
	if code == "" {
		code = annals.CodeInvalid
	}
	return &annals.Error{Code: code, Message: fmt.Sprintf("%s:%d: %s %s, at event %s", p.file, p.line, p.what, t.happened, nameOf(e)), Hint: t.hint, Err: t.cause}
}

// described is v as messages name it.
func described(v any) string {
	switch v.(type) {
	case nil, bool:
		return gojq.Preview(v)
	}
	return gojq.TypeOf(v) + " " + gojq.Preview(v)
}
