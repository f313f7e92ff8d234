package effect_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/effect"
)

type receipt struct {
	ID     string         `json:"id"`
	Amount float64        `json:"amount"`
	Token  int            `json:"token"`
	More   map[string]any `json:"more,omitempty"`
}

func TestDoGivesTheAnswerAgain(t *testing.T) {
	store := openStore(t)
	g, e := newGateway(t, store, nil), place(t, store, "order-7")
	calls, keys := 0, map[string]bool{}
	var answers []any
	run := func(mode effect.Mode) error {
		answers = nil
		return g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e, Mode: mode}, func(ctx context.Context) error {
			for _, to := range []string{"a", "b"} {
				r, err := effect.Do(ctx, "mail", to, func(_ context.Context, key string) (receipt, error) {
					calls++
					keys[key] = true
					return receipt{ID: to, Amount: 1.25, Token: 7, More: map[string]any{"x": "y"}}, nil
				})
				if err != nil {
					return err
				}
				answers = append(answers, r)
			}
			p, err := effect.Do(ctx, "nothing", nil, func(context.Context, string) (*receipt, error) { calls++; return nil, nil })
			answers = append(answers, p)
			if err != nil {
				return err
			}
			_, err = effect.Do(ctx, "declined", 1, func(context.Context, string) (receipt, error) {
				calls++
				return receipt{}, effect.Final(errors.New("card declined"))
			})
			var final *effect.FinalError
			if !errors.As(err, &final) {
				return fmt.Errorf("not final: %w", err)
			}
			answers = append(answers, err.Error())
			return nil
		})
	}
	if err := run(effect.Live); err != nil {
		t.Fatal(err)
	}
	live := answers
	for _, mode := range []effect.Mode{effect.Live, effect.Replay} {
		if err := run(mode); err != nil {
			t.Fatal(err)
		}
		live[0] = receipt{ID: "a", Amount: 1.25, More: map[string]any{"x": "y"}} // without what is secret
		live[1] = receipt{ID: "b", Amount: 1.25, More: map[string]any{"x": "y"}}
		if !reflect.DeepEqual(live, answers) {
			t.Errorf("%+v, want %+v", answers, live)
		}
	}
	if calls != 4 || len(keys) != 2 {
		t.Errorf("%d calls, keys %v", calls, keys)
	}
	if entries := journal(t, store, "h", e); len(entries) != 4 || entries[1].Call != "mail#1" || entries[3].Call != "declined" {
		t.Errorf("%+v", entries)
	}
}

func TestDoFailures(t *testing.T) {
	boom := errors.New("boom")
	for _, test := range []struct {
		err    error
		status effect.Status
		calls  int
		parked bool
	}{
		{effect.NotSent(boom), effect.Failed, 2, false},
		{boom, effect.Unknown, 1, true},
		{effect.Final(boom), effect.Answered, 1, false},
	} {
		store := openStore(t)
		g, e := newGateway(t, store, nil), place(t, store, "order-7")
		calls := 0
		run := func() error {
			return g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
				_, err := effect.Do(ctx, "mail", 1, func(context.Context, string) (int, error) { calls++; return 0, test.err })
				return err
			})
		}
		if err := run(); !errors.Is(err, boom) {
			t.Errorf("%v: %v", test.err, err)
		}
		if entry := journal(t, store, "h", e)[0]; entry.Status != test.status {
			t.Errorf("%+v", entry)
		}
		var unknown *effect.UnknownError
		if err := run(); errors.As(err, &unknown) != test.parked || !strings.Contains(err.Error(), "boom") {
			t.Errorf("again: %v", err)
		}
		if calls != test.calls {
			t.Errorf("%v: %d calls", test.err, calls)
		}
	}
}

func TestDoRefuses(t *testing.T) {
	store := openStore(t)
	g, e := newGateway(t, store, &effect.Options{MaxBody: 10}), place(t, store, "order-7")
	call := func(context.Context, string) (func(), error) { return func() {}, nil }
	err := g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
		if _, err := effect.Do(ctx, "BAD", 1, call); err == nil || !strings.Contains(err.Error(), "name") {
			t.Error(err)
		}
		if _, err := effect.Do(ctx, "f", func() {}, call); err == nil || !strings.Contains(err.Error(), "can't be written as JSON") {
			t.Error(err)
		}
		if n := len(journal(t, store, "h", e)); n != 0 {
			t.Errorf("%d calls in the journal", n)
		}
		_, err := effect.Do(ctx, "f", 1, call)
		if err == nil || !strings.Contains(err.Error(), "can't be kept as JSON") {
			t.Error(err)
		}
		if s := journal(t, store, "h", e)[0].Status; s != effect.Unknown {
			t.Error(s)
		}
		long := func(context.Context, string) (string, error) { return strings.Repeat("x", 20), nil }
		_, err = effect.Do(ctx, "long", 1, long)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e, Mode: effect.Replay}, func(ctx context.Context) error {
		_, err := effect.Do(ctx, "long", 1, func(context.Context, string) (string, error) { return "", nil })
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "MaxBody") || consumer.Waits(err) {
		t.Error(err)
	}
	e = place(t, store, "order-8")
	err = g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
		_, err := effect.Do(ctx, "n", 1, func(context.Context, string) (int, error) { return 7, nil })
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e, Mode: effect.Replay}, func(ctx context.Context) error {
		_, err := effect.Do(ctx, "n", 1, func(context.Context, string) (string, error) { return "", nil })
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "is not what its code expects") {
		t.Error(err)
	}
}

// What the code of a call sends is part of that call.
func TestCallsWithinDo(t *testing.T) {
	store, o := openStore(t), newOutside(t, nil)
	g, e := newGateway(t, store, nil), place(t, store, "order-7")
	inner := ""
	for range 2 {
		err := g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
			_, err := effect.Do(ctx, "upload", 1, func(ctx context.Context, key string) (int, error) {
				status, _, err := ask(ctx, once(), http.MethodPut, o.URL, "")
				if err != nil {
					return 0, err
				}
				_, err = effect.Do(ctx, "log", 1, func(_ context.Context, k string) (int, error) { inner = k; return 0, nil })
				if err != nil {
					return 0, err
				}
				first := inner
				_, err = effect.Do(ctx, "log", 2, func(_ context.Context, k string) (int, error) { inner = k; return 0, nil })
				if key == inner || first == inner || key == first {
					t.Error("one key for two calls")
				}
				return status, err
			})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := len(journal(t, store, "h", e)); n != 1 || len(o.sent()) != 1 || inner == "" {
		t.Errorf("%d calls in the journal, sent %v", n, o.sent())
	}
}
