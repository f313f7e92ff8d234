package consoletest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/reaction"
)

// order is a document of the projections.
type order struct {
	Customer string `json:"customer,omitempty"`
	Total    int    `json:"total"`
	Paid     bool   `json:"paid,omitempty"`
	Shipped  bool   `json:"shipped,omitempty"`
	Parcel   string `json:"parcel,omitempty"`
}

// projections are those of Big; a second revision keeps the parcel too.
func projections(revision string) []*projection.Projection {
	orders := projection.Documents(Orders, revision, annals.Query{Prefix: "order-"}, projection.ByStream, func(o *order, m *consumer.Message) error {
		if err := json.Unmarshal(m.Data, o); err != nil {
			return err
		}
		if revision == "1" {
			o.Parcel = ""
		}
		return nil
	})
	fragile := projection.Documents(Fragile, "1", annals.Query{Prefix: "fragile-"}, projection.ByStream, func(weight *struct{ Weight int }, m *consumer.Message) error {
		if err := json.Unmarshal(m.Data, weight); err != nil {
			return consumer.Permanent(fmt.Errorf("the weight of %s is no number: %w", m.Data, err))
		}
		return nil
	})
	return []*projection.Projection{orders, fragile}
}

// project builds the views, a second generation of one beside its first, and keeps
// them up to date.
func (f *Fixture) project(ctx context.Context) error {
	opts := &projection.Options{Poll: 50 * time.Millisecond, Consumer: consumer.Options{Poll: 50 * time.Millisecond, Attempts: 1, Logger: slog.New(slog.DiscardHandler)}}
	first, err := projection.Open(ctx, f.Store, f.views, projections("1"), opts)
	if err != nil {
		return err
	}
	if err := first.CatchUp(ctx); err != nil {
		return err
	}
	opts.Rebuild = true
	if f.Set, err = projection.Open(ctx, f.Store, f.views, append(projections("1")[:1], projections("2")...), opts); err != nil {
		return err
	}
	f.runs.Go(func() { _ = f.Set.Run(ctx) }) // it ends with ctx
	return nil
}

// react adds consumers that are no projections.
func (f *Fixture) react(ctx context.Context) error {
	ask := func(ctx context.Context, t *reaction.Turn) error {
		_, err := t.Append(ctx, "mail-"+t.Stream, annals.Any, annals.Event{Type: "mail-requested", Data: t.Data})
		return err
	}
	r, err := reaction.New(f.Store, f.views, "confirmations", annals.Query{Types: []string{"thing-made"}}, ask, nil)
	if err != nil {
		return err
	}
	return r.CatchUp(ctx)
}

// bank is what is called: it takes, refuses, or leaves without an answer.
func bank(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/refused"):
		http.Error(w, "no such card", http.StatusPaymentRequired)
	case strings.HasSuffix(r.URL.Path, "/vanished"):
		panic(http.ErrAbortHandler)
	default:
		_, _ = fmt.Fprintf(w, `{"charged":true,"text":%q}`, Script) // a client that went away needs none
	}
}

// callOutside fills the journal of effects: calls that were answered, that failed,
// whose outcome is unknown, and a repair that found other requests than were made.
func (f *Fixture) callOutside(ctx context.Context) error {
	outside := httptest.NewServer(http.HandlerFunc(bank))
	defer outside.Close()
	gateway, err := effect.New(f.Store, &effect.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if _, err := gateway.Began(ctx, Billing, 0); err != nil {
		return err
	}
	client := &http.Client{Transport: &effect.Transport{Base: outside.Client().Transport}}
	amount := 100
	handle := func(ctx context.Context, e *annals.Event, ending string) error {
		body := fmt.Sprintf(`{"order":%q,"amount":%d,"text":%q}`, e.Stream, amount, Script)
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, outside.URL+"/charges/%3Cscript%3E"+ending, strings.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		return response.Body.Close()
	}
	endings := []string{"", "", "/refused", "/vanished", "", ""}
	var past []*annals.Event
	for i, ending := range endings {
		stream := fmt.Sprintf("billing-%d", i)
		if _, err := f.Store.Append(ctx, stream, annals.NoStream, annals.Event{Type: "charge-due", Source: "shop", Data: []byte(`{"due":true}`)}); err != nil {
			return err
		}
		for e, err := range f.Store.Stream(ctx, stream, nil) {
			if err != nil {
				return err
			}
			past = append(past, &e)
		}
		err := gateway.Handle(ctx, effect.Handling{Handler: Billing, Event: past[i]}, func(ctx context.Context) error { return handle(ctx, past[i], ending) })
		if err != nil && ending != "/vanished" {
			return fmt.Errorf("charge %d: %w", i, err)
		}
	}
	amount = 120 // the code was wrong
	if _, err := effect.RequestRepair(ctx, f.Store, Billing, effect.RepairOptions{From: past[0].Position, To: past[2].Position, Reason: "the amount left out the tax " + Script}); err != nil {
		return err
	}
	return gateway.Ledger(Billing).Tend(ctx, pastOf(past, func(ctx context.Context, e *annals.Event) error {
		for i, was := range past {
			if was.Position == e.Position {
				return handle(ctx, e, endings[i])
			}
		}
		return nil
	}))
}

// pastOf is events as a repair reads them.
func pastOf(events []*annals.Event, handle func(context.Context, *annals.Event) error) *effect.Past {
	return &effect.Past{
		Reached: func(context.Context) (int64, error) { return events[len(events)-1].Position, nil },
		Events: func(_ context.Context, from, to int64) iter.Seq2[*consumer.Message, error] {
			return func(yield func(*consumer.Message, error) bool) {
				for _, e := range events {
					if from <= e.Position && e.Position <= to && !yield(&consumer.Message{Event: *e}, nil) {
						return
					}
				}
			}
		},
		Handle: func(_ context.Context, m *consumer.Message, _ *effect.RepairTurn) error {
			return handle(m.Context(), &m.Event)
		},
	}
}

// playBack records a playback that is done and one that was stopped.
func (f *Fixture) playBack(ctx context.Context) error {
	run, err := playback.Start(ctx, f.Store, playback.Selection{Streams: []string{"order-0000*"}}, playback.ToFile(filepath.Join(f.dir, "played.ndjson")), &playback.Options{ID: DonePlayback})
	if err != nil {
		return err
	}
	if _, err := run.Run(ctx); err != nil {
		return err
	}
	if _, err := playback.Start(ctx, f.Store, playback.Selection{Types: []string{"order-shipped"}}, nil, &playback.Options{ID: StoppedPlayback}); err != nil {
		return err
	}
	_, err = playback.Stop(ctx, f.Store, StoppedPlayback, "a mistake "+Script, nil)
	return err
}

// operate notes what operators did.
func (f *Fixture) operate(ctx context.Context) error {
	var all []error
	for i, a := range []access.Action{
		{Who: "ada", What: "projection.rebuild", Target: Orders, Detail: "generation 2 begins"},
		{Who: "bob", What: "parked.drop", Target: Fragile, Detail: "a duplicate"},
		{Who: Script, What: "projection.switch", Target: `"><img src=x onerror=alert(1)>`, Error: "not found " + Script},
	} {
		a.At = f.at(float64(997 + i))
		all = append(all, access.Record(ctx, f.Store, a))
	}
	return errors.Join(all...)
}
