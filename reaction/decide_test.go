package reaction

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
)

var noon = time.Date(2020, 5, 1, 12, 0, 0, 0, time.UTC)

// testPlan has three steps that wait for answers: a can be compensated, b has two
// attempts and a time limit, and c one attempt and a time limit.
func testPlan(t *testing.T) *plan {
	t.Helper()
	nothing := func(context.Context, *Command[string]) error { return nil }
	waits := func(name string, attempts int, timeout time.Duration) Action[string] {
		return Action[string]{
			Issue: nothing, Success: []string{name + "-ok"}, Failure: []string{name + "-bad"},
			Attempts: attempts, Timeout: timeout, Backoff: func(n int) time.Duration { return time.Duration(n) * time.Second },
		}
	}
	saga := Saga[string]{
		Name: "test", ID: func(*annals.Event) string { return "1" }, Starts: []string{"start"},
		Steps: []Step[string]{
			{Name: "a", Do: waits("a", 1, 0), Undo: waits("undo-a", 2, time.Minute)},
			{Name: "b", Do: waits("b", 2, time.Minute), Undo: waits("undo-b", 1, 0)},
			{Name: "c", Do: waits("c", 1, time.Hour), Undo: waits("undo-c", 1, 0)},
		},
	}
	p := saga.plan()
	if err := p.check(); err != nil {
		t.Fatal(err)
	}
	return p
}

// tell has m decide on what in says: "start", "ok STEP", "bad STEP" (both with
// "/undo" behind a step's name, and "#N" for the attempt that they answer),
// "elapsed", "elapsed VERSION", or "resume".
func tell(t *testing.T, m *move, in string) {
	t.Helper()
	verb, object, _ := strings.Cut(in, " ")
	object, number, _ := strings.Cut(object, "#")
	a := &answer{event: "E", state: m.h.state, error: "no"}
	a.attempt, _ = strconv.Atoi(number)
	a.step, a.undo = strings.CutSuffix(object, "/undo")
	switch verb {
	case "start":
		m.begin(nil, "start")
	case "ok":
		m.succeeded(a)
	case "bad":
		m.failed(a)
	case "elapsed":
		version := m.h.timer.version
		if object != "" {
			version, _ = strconv.ParseInt(object, 10, 64)
		}
		m.elapsed(version)
	case "resume":
		if err := m.resume("mended"); err != nil {
			t.Fatal(err)
		}
	default:
		t.Fatalf("unknown input %q", in)
	}
}

// describe is an entry in a few words.
func describe(en *entry) string {
	s := en.Type
	if en.Step != "" {
		s += " " + stepAttribute(en.Step, en.Undo) + "#" + strconv.Itoa(en.Attempt)
	}
	if !en.At.IsZero() {
		s += " " + en.At.Sub(noon).String()
	}
	if en.Retry {
		s += " retry"
	}
	return s
}

// play tells a saga one thing after the other, each time from what its stream
// holds by then, and returns what was decided on each.
func play(t *testing.T, p *plan, inputs []string) (*history, []string) {
	t.Helper()
	h := newHistory("saga-test/1", "1")
	var log []string
	for i, in := range inputs {
		m := p.move(h, noon)
		tell(t, m, in)
		line := in + ":"
		for k := range m.out {
			line += " " + describe(&m.out[k]) + ";"
			data, err := json.Marshal(&m.out[k])
			if err != nil {
				t.Fatal(err)
			}
			e := annals.Event{Stream: "saga-test/1", Version: h.version + 1, Type: m.out[k].Type, Causation: fmt.Sprint("x@", i+1), Data: data}
			if err := h.read(&e); err != nil {
				t.Fatal(err)
			}
		}
		h.seen, m.h.seen = nil, nil
		if !reflect.DeepEqual(h, m.h) {
			t.Fatalf("after %q the stream comes to\n%+v, what was decided to\n%+v", in, h, m.h)
		}
		h.seen = map[string]bool{}
		log = append(log, strings.TrimSuffix(line, ";"))
	}
	return h, log
}

// Lines of stories that come again and again.
const (
	started  = "start: saga-started; step-started a#1"
	aDone    = "ok a: step-completed a#1; step-started b#1; timeout-set b#1 1m0s"
	bDone    = "ok b: step-completed b#1; step-started c#1; timeout-set c#1 1h0m0s"
	cDone    = "ok c: step-completed c#1; saga-completed"
	cFailed  = "bad c: step-failed c#1; compensation-started b#1"
	bUndone  = "ok b/undo: compensation-completed b#1; compensation-started a#1; timeout-set a/undo#1 1m0s"
	aUndone  = "ok a/undo: compensation-completed a#1; saga-compensated"
	cElapsed = "elapsed: timeout-elapsed c#1; compensation-started b#1"
)

func TestDecisions(t *testing.T) {
	for name, c := range map[string]struct {
		phase Phase
		story []string // "input: what is decided"
	}{
		"all steps succeed": {Completed, []string{started, aDone, bDone, cDone}},
		"the first step fails: nothing to compensate": {Compensated, []string{
			started, "bad a: step-failed a#1; saga-compensated"}},
		"the last step fails: the others are compensated in reverse": {Compensated, []string{
			started, aDone, bDone, cFailed, bUndone, aUndone}},
		"a failed attempt is followed by another behind a pause": {Running, []string{
			started, aDone, "bad b: step-failed b#1; timeout-set b#1 1s retry", "elapsed: timeout-elapsed b#1 retry; step-started b#2; timeout-set b#2 1m0s"}},
		"an attempt without an answer is followed by another": {Compensating, []string{
			started, aDone, "elapsed: timeout-elapsed b#1; timeout-set b#1 1s retry", "elapsed: timeout-elapsed b#1 retry; step-started b#2; timeout-set b#2 1m0s",
			"elapsed: timeout-elapsed b#2; compensation-started a#1; timeout-set a/undo#1 1m0s"}},
		"a success during the pause before another attempt counts, and the pause ends": {Running, []string{
			started, aDone, "bad b: step-failed b#1; timeout-set b#1 1s retry", bDone, "elapsed 7:"}},
		"a success of an earlier attempt is a success": {Running, []string{
			started, aDone, "bad b: step-failed b#1; timeout-set b#1 1s retry", "elapsed: timeout-elapsed b#1 retry; step-started b#2; timeout-set b#2 1m0s",
			"ok b#1: step-completed b#1; step-started c#1; timeout-set c#1 1h0m0s", "ok b#2:"}},
		"a failure of an earlier attempt is passed over": {Running, []string{
			started, aDone, "elapsed: timeout-elapsed b#1; timeout-set b#1 1s retry", "bad b#1:", "elapsed: timeout-elapsed b#1 retry; step-started b#2; timeout-set b#2 1m0s",
			"bad b#1:", "ok b#2: step-completed b#2; step-started c#1; timeout-set c#1 1h0m0s"}},
		"answers that come twice are passed over": {Completed, []string{
			started, aDone, "ok a:", "bad a:", bDone, "ok b:", "ok a:", cDone, "ok c:", "bad c:"}},
		"a success before its step is begun counts once its turn comes, without a command": {Completed, []string{
			started, "ok b: step-completed b#0", "ok a: step-completed a#1; step-started c#1; timeout-set c#1 1h0m0s", cDone}},
		"a success before its step is begun is compensated if the saga never comes to it": {Compensated, []string{
			started, "ok c: step-completed c#0", "bad a: step-failed a#1; compensation-started c#1", "ok c/undo: compensation-completed c#1; saga-compensated"}},
		"a failure before its step is begun is passed over": {Running, []string{
			started, "bad b:", aDone}},
		"a success after the time limit is compensated too, before the others that are left": {Compensated, []string{
			started, aDone, bDone, cElapsed, "ok c: step-completed c#0", "ok b/undo: compensation-completed b#1; compensation-started c#1",
			"ok c/undo: compensation-completed c#1; compensation-started a#1; timeout-set a/undo#1 1m0s", aUndone}},
		"a success after the saga was compensated is compensated, and the end is said once": {Compensated, []string{
			started, aDone, bDone, cElapsed, bUndone, aUndone, "ok c: step-completed c#0; compensation-started c#1",
			"ok c/undo: compensation-completed c#1", "ok c:", "ok c/undo:"}},
		"a success of the only step after its time limit is compensated": {Compensated, []string{
			started, "bad a: step-failed a#1; saga-compensated", "ok a: step-completed a#1; compensation-started a#1; timeout-set a/undo#1 1m0s",
			"ok a/undo: compensation-completed a#1"}},
		"a failure after the time limit changes nothing": {Compensating, []string{
			started, aDone, bDone, cElapsed, "bad c:", "bad c#1:"}},
		"a time limit that passes after the answer changes nothing": {Running, []string{
			started, aDone, bDone, "elapsed 5:"}},
		"a compensation is tried again, and then the saga has failed": {Failed, []string{
			started, "ok a: step-completed a#1; step-started b#1; timeout-set b#1 1m0s",
			"bad b: step-failed b#1; timeout-set b#1 1s retry", "elapsed: timeout-elapsed b#1 retry; step-started b#2; timeout-set b#2 1m0s",
			"bad b: step-failed b#2; compensation-started a#1; timeout-set a/undo#1 1m0s",
			"bad a/undo: compensation-failed a#1; timeout-set a/undo#1 1s retry",
			"elapsed: timeout-elapsed a/undo#1 retry; compensation-started a#2; timeout-set a/undo#2 1m0s",
			"elapsed: timeout-elapsed a/undo#2; saga-failed a#0"}},
		"a failed saga is resumed with all attempts of the compensation": {Compensated, []string{
			started, aDone, bDone, cFailed, "bad b/undo: compensation-failed b#1; saga-failed b#0", "resume: saga-resumed; compensation-started b#2",
			"bad b/undo#1:", "bad b/undo#2: compensation-failed b#2; saga-failed b#0", "resume: saga-resumed; compensation-started b#3",
			"ok b/undo: compensation-completed b#3; compensation-started a#1; timeout-set a/undo#1 1m0s", aUndone}},
		"a resumed compensation is tried as often as the first time": {Compensating, []string{
			started, aDone, bDone, cFailed, bUndone, "bad a/undo: compensation-failed a#1; timeout-set a/undo#1 1s retry",
			"elapsed: timeout-elapsed a/undo#1 retry; compensation-started a#2; timeout-set a/undo#2 1m0s", "bad a/undo: compensation-failed a#2; saga-failed a#0",
			"resume: saga-resumed; compensation-started a#3; timeout-set a/undo#3 1m0s", "bad a/undo: compensation-failed a#3; timeout-set a/undo#3 1s retry",
			"elapsed: timeout-elapsed a/undo#3 retry; compensation-started a#4; timeout-set a/undo#4 1m0s"}},
		"a compensation that succeeds although the saga has failed leads it on": {Compensated, []string{
			started, aDone, bDone, cFailed, "bad b/undo: compensation-failed b#1; saga-failed b#0", bUndone, aUndone}},
		"a step that succeeds although the saga has failed is compensated once it is resumed": {Compensating, []string{
			started, aDone, bDone, cElapsed, "bad b/undo: compensation-failed b#1; saga-failed b#0", "ok c: step-completed c#0",
			"resume: saga-resumed; compensation-started b#2", "ok b/undo: compensation-completed b#2; compensation-started c#1"}},
		"a compensation that is reported before it was asked for is not asked for": {Compensated, []string{
			started, aDone, "ok a/undo: compensation-completed a#0", bDone, cFailed, "ok b/undo: compensation-completed b#1; saga-compensated"}},
		"a compensation of what never happened is passed over": {Running, []string{
			started, "ok b/undo:", "bad a/undo:", aDone}},
	} {
		t.Run(name, func(t *testing.T) {
			inputs := make([]string, len(c.story))
			for i, line := range c.story {
				inputs[i], _, _ = strings.Cut(line, ":")
			}
			h, log := play(t, testPlan(t), inputs)
			if got, want := strings.Join(log, "\n"), strings.Join(c.story, "\n"); got != want {
				t.Fatalf("got\n%s\nwant\n%s", got, want)
			}
			if h.phase != c.phase {
				t.Fatalf("the saga is %s, want %s", h.phase, c.phase)
			}
		})
	}
}

func TestResumeIsRefusedUnlessFailed(t *testing.T) {
	h, _ := play(t, testPlan(t), []string{"start"})
	if err := testPlan(t).move(h, noon).resume("why not"); !errors.Is(err, annals.ErrInvalid) {
		t.Fatalf("got %v", err)
	}
}

func TestForeignEventsInASagasStreamAreRefused(t *testing.T) {
	for _, c := range []struct {
		version   int64
		typ, data string
	}{
		{1, StepStarted, `{}`}, {2, SagaStarted, `{}`}, {3, SagaStarted, `{}`}, {3, StepStarted, `{}`},
		{2, "note", `{}`}, {2, StepStarted, `{"attempt":"x"}`},
	} {
		h := newHistory("saga-test/1", "1")
		if c.version > 1 {
			if err := h.read(&annals.Event{Stream: h.stream, Version: 1, Type: SagaStarted}); err != nil {
				t.Fatal(err)
			}
		}
		err := h.read(&annals.Event{Stream: h.stream, Version: c.version, Type: c.typ, Data: []byte(c.data)})
		if !errors.Is(err, annals.ErrDamaged) || !strings.Contains(err.Error(), fmt.Sprintf("saga-test/1@%d", c.version)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
