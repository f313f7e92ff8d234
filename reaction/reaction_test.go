package reaction_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/reaction"
	"github.com/eb901187/annals/storetest"
)

var orders = annals.Query{Types: []string{"order-placed"}}

func (w *world) react(handle reaction.Handler, opts *reaction.Options) *reaction.Reaction {
	w.t.Helper()
	r, err := reaction.New(w.store, w.views, "test", orders, handle, opts)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func TestAppendedEventsNameTheirCause(t *testing.T) {
	w := newWorld(t)
	r := w.react(func(ctx context.Context, turn *reaction.Turn) error {
		_, err := turn.Append(ctx, "mail-1", annals.Any, event("mail-sent", `{}`),
			annals.Event{Type: "mail-filed", Correlation: "archive", Causation: "other-1@1", Source: "filer", Time: storetest.Epoch})
		return err
	}, w.options())
	at := storetest.Epoch.AddDate(-1, 0, 0)
	w.append("order-7", annals.Event{Type: "order-placed", Correlation: "req-1", Time: at})
	w.append("order-7", annals.Event{Type: "order-shipped"})
	w.start(r)
	w.settle(r)
	got := w.stream("mail-1")
	if len(got) != 2 || got[0].ID == got[1].ID || got[0].ID == "" {
		t.Fatalf("got %+v", got)
	}
	if e := got[0]; e.Causation != "order-7@1" || e.Correlation != "req-1" || e.Source != "reaction/test" || !e.Time.Equal(at) {
		t.Errorf("what was left out: %+v", e)
	}
	if e := got[1]; e.Causation != "other-1@1" || e.Correlation != "archive" || e.Source != "filer" || !e.Time.Equal(storetest.Epoch) {
		t.Errorf("what was given: %+v", e)
	}
}

// A crash comes at every step of the consumer; in the end each event was acted on
// once.
func TestRedeliveryAppendsNothingTwice(t *testing.T) {
	for _, step := range []consumer.Step{consumer.StepLoaded, consumer.StepRead, consumer.StepHandled, consumer.StepCommitted} {
		t.Run(string(step), func(t *testing.T) {
			w := newWorld(t)
			for i := range 3 {
				w.append(fmt.Sprint("order-", i), event("order-placed", `{}`))
			}
			calls := 0
			handle := func(ctx context.Context, turn *reaction.Turn) error {
				calls++
				for range 2 {
					if _, err := turn.Append(ctx, "log", annals.Any, event("noted", `{}`)); err != nil {
						return err
					}
				}
				_, err := turn.Append(ctx, "mail-"+turn.Stream, annals.NoStream, event("mail-sent", `{}`))
				return err
			}
			crash := errors.New("crash")
			opts := w.options()
			opts.Consumer.At = func(s consumer.Step) error {
				if s == step {
					return crash
				}
				return nil
			}
			if err := w.react(handle, opts).Run(t.Context()); !errors.Is(err, crash) {
				t.Fatalf("got %v", err)
			}
			r := w.react(handle, w.options())
			w.start(r)
			w.settle(r)
			w.wantTypes("log", "noted noted noted noted noted noted")
			w.wantTypes("mail-order-2", "mail-sent")
			if step == consumer.StepHandled && calls != 6 {
				t.Errorf("the handler was called %d times, want each event twice", calls)
			}
		})
	}
}

// What a handling appended stands, although the next handling of the same event
// decides otherwise.
func TestFirstAppendStands(t *testing.T) {
	w := newWorld(t)
	w.append("order-7", event("order-placed", `{}`))
	call := 0
	var second []annals.Commit
	r := w.react(func(ctx context.Context, turn *reaction.Turn) error {
		if call++; call == 1 {
			_, err := turn.Append(ctx, "mail", annals.Any, event("mail-sent", `{"to":"a"}`), event("mail-filed", `{}`))
			return errors.Join(err, errors.New("what comes next fails"))
		}
		if turn.Attempt != 2 {
			t.Errorf("the handler is called again in attempt %d, without a pause", turn.Attempt)
		}
		for _, e := range []annals.Event{event("mail-sent", `{"to":"b"}`), event("mail-sent", `{"to":"c"}`)} {
			c, err := turn.Append(ctx, "mail", annals.Any, e)
			if err != nil {
				return err
			}
			second = append(second, c)
		}
		return nil
	}, w.options())
	w.start(r)
	w.settle(r)
	if got := w.stream("mail"); len(got) != 3 || string(got[0].Data) != `{"to":"a"}` || string(got[2].Data) != `{"to":"c"}` {
		t.Fatalf("got %+v", got)
	}
	if c := second[0]; !c.Replayed || c.Version != 2 || c.Count != 2 || c.Stream != "mail" {
		t.Errorf("the first append of the second handling returned %+v", c)
	}
	if c := second[1]; c.Replayed || c.Version != 3 {
		t.Errorf("the second one returned %+v", c)
	}
}

// A handler that appends to another stream when it is called again still appends
// to each stream once.
func TestIdsDoNotDependOnAppendsToOtherStreams(t *testing.T) {
	w := newWorld(t)
	w.append("order-7", event("order-placed", `{}`))
	call := 0
	r := w.react(func(ctx context.Context, turn *reaction.Turn) error {
		call++
		for _, stream := range [][]string{{"a", "b"}, {"b"}}[call-1] {
			if _, err := turn.Append(ctx, stream, annals.Any, event("noted", `{}`)); err != nil {
				return err
			}
		}
		if call == 1 {
			return errors.New("what comes next fails")
		}
		return nil
	}, w.options())
	w.start(r)
	w.settle(r)
	w.wantTypes("a", "noted")
	w.wantTypes("b", "noted")
}

func TestConflictHasTheHandlerDecideAnew(t *testing.T) {
	w := newWorld(t)
	w.append("order-7", event("order-placed", `{}`))
	calls := 0
	r := w.react(func(ctx context.Context, turn *reaction.Turn) error {
		calls++
		version := int64(len(w.stream("stock")))
		if calls < 5 {
			w.append("stock", event("stocked", `{}`)) // another writer is faster
		}
		_, err := turn.Append(ctx, "stock", version, event("reserved", `{}`))
		return err
	}, w.options())
	w.start(r)
	w.settle(r)
	w.wantTypes("stock", "stocked stocked stocked stocked reserved")
	if len(w.parked(r)) > 0 {
		t.Error("the event was parked")
	}
}

func TestLostReplyAppendsOnce(t *testing.T) {
	w := newWorld(t)
	w.append("order-7", event("order-placed", `{}`))
	w.faulty.FailAppends(storetest.LostReply, storetest.LostRequest, storetest.LostRequest)
	w.faulty.FailReads(storetest.None, storetest.Refused)
	r := w.react(func(ctx context.Context, turn *reaction.Turn) error {
		_, err := turn.Append(ctx, "mail", annals.Any, event("mail-sent", `{}`))
		return err
	}, w.options())
	w.start(r)
	w.settle(r)
	w.wantTypes("mail", "mail-sent")
}

func TestWhereAReactionStarts(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*reaction.Options)
		want   string
	}{
		"from the first event": {func(*reaction.Options) {}, "order-0 order-1 order-2 order-3"},
		"behind a position":    {func(o *reaction.Options) { o.From = 2 }, "order-2 order-3"},
		"behind the end":       {func(o *reaction.Options) { o.FromEnd = true }, "order-3"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var seen []string
			opts := w.options()
			c.change(opts)
			begin := func() *reaction.Reaction {
				return w.react(func(_ context.Context, turn *reaction.Turn) error {
					seen = append(seen, turn.Stream)
					return nil
				}, opts)
			}
			for i := range 3 {
				w.append(fmt.Sprint("order-", i), event("order-placed", `{}`))
			}
			r := begin()
			stop := w.start(r)
			w.settle(r)
			if err := stop(); !errors.Is(err, context.Canceled) {
				t.Fatalf("Run returned %v", err)
			}
			// What arrives while nobody runs is not new to the next process.
			w.append("order-3", event("order-placed", `{}`))
			r = begin()
			stop = w.start(r)
			w.settle(r)
			if s, err := r.Status(t.Context()); err != nil || s.Lag != 0 || s.Name != "test" {
				t.Errorf("status %+v, %v", s, err)
			}
			_ = stop()
			if got := strings.Join(seen, " "); got != c.want {
				t.Fatalf("saw %s, want %s", got, c.want)
			}
		})
	}
}

func TestReactionRefusesWhatMakesNoSense(t *testing.T) {
	w := newWorld(t)
	nothing := func(context.Context, *reaction.Turn) error { return nil }
	for name, err := range map[string]error{
		"no handler":         second(reaction.New(w.store, w.views, "test", orders, nil, nil)),
		"a name":             second(reaction.New(w.store, w.views, "a/b", orders, nothing, nil)),
		"a query that ends":  second(reaction.New(w.store, w.views, "test", annals.Query{Until: 7}, nothing, nil)),
		"a query that skips": second(reaction.New(w.store, w.views, "test", annals.Query{After: 7}, nothing, nil)),
		"two beginnings":     second(reaction.New(w.store, w.views, "test", orders, nothing, &reaction.Options{From: 1, FromEnd: true})),
		"a negative start":   second(reaction.New(w.store, w.views, "test", orders, nothing, &reaction.Options{From: -1})),
	} {
		if !errors.Is(err, annals.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var errs []error
	r := w.react(func(ctx context.Context, turn *reaction.Turn) error {
		errs = append(errs,
			second(turn.Append(ctx, "a", annals.Any)),
			second(turn.Append(ctx, "a", annals.Any, annals.Event{ID: "mine", Type: "noted"})),
			second(turn.Append(ctx, "a b", annals.Any, annals.Event{Type: "noted"})))
		return nil
	}, w.options())
	w.append("order-7", event("order-placed", `{}`))
	w.start(r)
	w.settle(r)
	for i, err := range errs {
		if !errors.Is(err, annals.ErrInvalid) {
			t.Errorf("append %d: %v", i, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
