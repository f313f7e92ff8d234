package lambda

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/eb901187/annals"
)

// made is a handler of a function, for tests of what is common to all.
type made struct {
	work   func(ctx context.Context, in *invocation) (any, error)
	closed bool
}

func (m *made) handle(ctx context.Context, in *invocation) (any, error) { return m.work(ctx, in) }
func (m *made) close() error                                            { m.closed = true; return nil }

// functionOf is a function of role playback that works by w.
func functionOf(t *testing.T, w func(ctx context.Context, in *invocation) (any, error), more ...string) (*stage, *Function) {
	t.Helper()
	s := &stage{t: t, out: &output{}, aws: aws.Config{Region: "eu-central-1"}}
	config, err := ReadConfig(append([]string{"ANNALS_ROLE=playback", "ANNALS_STORE=dynamodb://stage", "ANNALS_PLAYBACK_STREAM=stage-playback", "ANNALS_LOG_LEVEL=debug"}, more...))
	if err != nil {
		t.Fatal(err)
	}
	m := &made{work: w}
	f, err := newFunction(t.Context(), config, nil, &Options{AWS: &s.aws, Output: s.out}, func(context.Context, *environment) (handler, error) { return m, nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil || !m.closed {
			t.Errorf("closing said %v", err)
		}
	})
	return s, f
}

func TestAnInvocationIsReported(t *testing.T) {
	s, f := functionOf(t, func(ctx context.Context, in *invocation) (any, error) {
		in.report.count("Stored", 2)
		in.report.count("Stored", 1)
		in.report.most("LagMilliseconds", 7)
		in.report.most("LagMilliseconds", 5)
		in.report.message(ctx, -4, "stored", "r-1", "stream", "order-1")
		return map[string]string{"kind": string(in.kind), "request": in.request}, nil
	})
	s.mustInvoke(f, `{}`, `{"kind":"caller","request":"request-1"}`)
	lines := s.out.take(t)
	if len(lines) != 2 {
		t.Fatalf("printed %v", lines)
	}
	for name, want := range map[string]any{"level": "DEBUG", "msg": "stored", "role": "playback", "requestId": "request-1", "correlation": "r-1", "stream": "order-1"} {
		if lines[0][name] != want {
			t.Errorf("%s is %v in %v", name, lines[0][name], lines[0])
		}
	}
	m := lines[1]
	for name, want := range map[string]any{"role": "playback", "requestId": "request-1", "correlation": "r-1", "Stored": 3.0, "LagMilliseconds": 7.0, "Invocations": 1.0} {
		if m[name] != want {
			t.Errorf("%s is %v in %v", name, m[name], m)
		}
	}
	described := m["_aws"].(map[string]any)["CloudWatchMetrics"].([]any)[0].(map[string]any)
	units := map[string]string{}
	for _, one := range described["Metrics"].([]any) {
		units[one.(map[string]any)["Name"].(string)] = one.(map[string]any)["Unit"].(string)
	}
	if described["Namespace"] != "Annals" || units["Stored"] != "Count" || units["LagMilliseconds"] != "Milliseconds" || described["Dimensions"].([]any)[0].([]any)[0] != "role" {
		t.Errorf("%v", described)
	}
}

// A refused message says of itself what it likes; a line of the log holds 256 KB.
func TestLinesAreShort(t *testing.T) {
	s, f := functionOf(t, func(ctx context.Context, in *invocation) (any, error) {
		for i := range 2 * maxCorrelations {
			long := strings.Repeat("ä\n\"", 100_000) + string(rune('a'+i))
			in.report.message(ctx, slog.LevelWarn, "message refused", long+"x", "stream", long, "id", "1", "error", errors.New(long))
			in.report.belongs(fmt.Sprint(i) + long)
		}
		return nil, nil
	})
	s.mustInvoke(f, `{}`, `null`)
	for line := range strings.Lines(s.out.text.String()) {
		if len(line) > 256_000 || !utf8.ValidString(line) {
			t.Errorf("a line has %d bytes", len(line))
		}
	}
	if m := s.out.metrics(t); len(m["correlations"].([]any)) != maxCorrelations {
		t.Errorf("%v", m)
	}
}

func TestAnErrorAndAPanicFailTheirInvocationOnly(t *testing.T) {
	next := func() (any, error) { return nil, nil }
	s, f := functionOf(t, func(context.Context, *invocation) (any, error) { return next() })
	next = func() (any, error) { return nil, annals.Invalid("x", "is planted") }
	if _, err := s.invoke(f, `{}`); !errors.Is(err, annals.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if m := s.out.metrics(t); m["Errors"] != 1.0 {
		t.Errorf("%v", m)
	}
	next = func() (any, error) { panic("planted") }
	_, err := s.invoke(f, `{}`)
	wantError(t, err, annals.CodeInternal, "panicked: planted")
	found := false
	for _, line := range s.out.take(t) {
		stack, _ := line["stack"].(string)
		found = found || strings.Contains(stack, "TestAnErrorAndAPanic") && line["requestId"] == "request-1"
	}
	if !found {
		t.Error("no line has the stack")
	}
	next = func() (any, error) { return "well", nil }
	s.mustInvoke(f, `{}`, `"well"`)
	_, err = s.invoke(f, payloads[fromSQS])
	wantError(t, err, annals.CodeInvalid, "role playback was invoked by SQS, and takes a direct call, HTTP")
}

func TestWorkEndsBeforeTheDeadline(t *testing.T) {
	var left, all time.Duration
	s, f := functionOf(t, func(ctx context.Context, _ *invocation) (any, error) {
		end, _ := ctx.Deadline()
		left = time.Until(end)
		return nil, nil
	})
	for _, c := range []struct{ timeout, reserve time.Duration }{{10 * time.Minute, Playback.reserve()}, {time.Minute, Playback.reserve()}, {4 * time.Second, time.Second}} {
		all = c.timeout
		if _, err := s.invokeWithin(f, `{}`, c.timeout); err != nil {
			t.Fatal(err)
		}
		if kept := all - left; kept < c.reserve || kept > c.reserve+all/10 {
			t.Errorf("of %v, %v were kept", all, kept)
		}
	}
	// A gateway ends a call 5 s behind the end, and journals it for 10 s.
	if React.reserve() <= 15*time.Second {
		t.Errorf("react keeps %v", React.reserve())
	}
	if ctx, cancel := beforeDeadline(t.Context(), time.Second); ctx.Err() != nil {
		t.Error("without a deadline there is no time at all")
	} else {
		cancel()
	}
}

func TestNewRefuses(t *testing.T) {
	_, err := New(t.Context(), Config{}, nil, nil)
	wantError(t, err, annals.CodeInvalid, "ANNALS_ROLE must be one of load")
	s := newStage(t)
	for _, c := range []struct {
		role    Role
		more    []string
		program *Program
		code    annals.Code
		says    []string
	}{
		{React, nil, nil, annals.CodeInvalid, []string{"role react has nothing to run", "docs/aws.md"}},
		{React, nil, &Program{Reactors: func(context.Context, *Workplace) ([]Reactor, error) { return nil, nil }}, annals.CodeInvalid, []string{"at least one"}},
		{Write, []string{"ANNALS_PROJECTIONS=/nowhere"}, nil, annals.CodeInvalid, []string{"ANNALS_PROJECTIONS", "/nowhere"}},
		{Write, []string{"ANNALS_PROJECTIONS=" + writeProjection(t, "fold: [")}, nil, annals.CodeInvalid, []string{"orders.yaml:1"}},
		{Query, []string{"ANNALS_STORE=" + strings.Replace(s.address.String(), "//stage", "//other", 1)}, nil, annals.CodeNotFound, []string{"there is no other-log", "annals init"}},
	} {
		config, err := ReadConfig(append(s.environ(c.role), c.more...))
		if err != nil {
			t.Fatal(err)
		}
		_, err = New(t.Context(), config, c.program, &Options{AWS: &s.aws, Output: s.out})
		wantError(t, err, c.code, c.says...)
	}
}
