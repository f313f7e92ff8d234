package erase_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/subject"
	"github.com/eb901187/annals/subject/erase"
	"github.com/eb901187/annals/view/pebbleview"
)

// No projection asks for the subject's event, and an operator has edited it for a reaction
// that parked it: what an erasure has deleted of that is scrubbed, by the next one if it died.
func TestErasureOfWhatOnlyAReactionParked(t *testing.T) {
	was := files
	files = map[string]string{"others": was["others"]}
	t.Cleanup(func() { files = was })
	p := inDirectory(t, pebbleViews)
	p.stateless = true
	w := p.open(t)
	c := w.append(t, "person-p1", about("p1", "named", "person-named", secretOfP1))
	opts := &consumer.Options{Attempts: 1, Poll: 5 * time.Millisecond, Logger: quiet}
	reaction, err := consumer.New(w.store, w.views, "mail", annals.Query{Types: []string{"person-named"}}, consumer.Each(func(_ context.Context, m *consumer.Message) error {
		return errors.New("no mail for " + string(m.Data))
	}), opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- reaction.Run(ctx) }()
	if err := reaction.WaitFor(t.Context(), c.Position); err != nil {
		t.Fatal(err)
	}
	stop()
	<-ended
	if err := consumer.NewControl(w.store, w.views, "mail", opts).Edit(t.Context(), c.Position, []byte(`"for `+secretOfP1+`"`), "why"); err != nil {
		t.Fatal(err)
	}
	_, err = w.erase(t, "p1", func(s erase.Step) error {
		if s == erase.StepScrubbing {
			return errCrash
		}
		return nil
	})
	w.end()
	if !errors.Is(err, errCrash) {
		t.Fatalf("it does not scrub: %v", err)
	}
	w = p.open(t)
	if r, err := w.erase(t, "p1", nil); err != nil || !r.Complete || !r.Scrubbed {
		t.Fatalf("%+v, %v", r, err)
	}
	w.end()
	p.wantNowhere(t, secretOfP1)
}

// A projection that an operator has paused is named, and not waited for.
func TestErasureDoesNotWaitForWhatIsPaused(t *testing.T) {
	p := inDirectory(t, pebbleViews)
	p.stateless = true
	w := p.open(t)
	w.append(t, "person-p1", about("p1", "named", "person-named", secretOfP1))
	definition, err := projection.Parse("later.yaml", []byte(files["people"]))
	if err != nil {
		t.Fatal(err)
	}
	views := pebbleview.Memory()
	t.Cleanup(func() { _ = views.Close() }) // it is in memory
	set, err := projection.Open(t.Context(), w.store, views, []*projection.Projection{definition}, &projection.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Pause(t.Context(), "later"); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	do, err := erase.New(erase.Options{Store: w.store, Keys: w.keyring, Views: set, Pause: func(context.Context) { stop() }})
	if err != nil {
		t.Fatal(err)
	}
	r, err := do(ctx, subject.Request{Subject: "p1"})
	if err != nil || r.Complete || len(r.Views) != 1 || r.Views[0].Outcome != subject.Left || !strings.Contains(r.Views[0].Note, "paused") {
		t.Fatalf("%+v, %v", r.Views, err)
	}
}

// A rebuilt generation that has parked another event than the live one, and as many, can't go
// live: it is named, and not waited for.
func TestErasureDoesNotWaitForWhatStaysParked(t *testing.T) {
	was := files
	files = map[string]string{"careful": "query: {types: [person-named, deposited]}\nfold:\n  person-named: 'if $event.data.name == \"" + secretOfP2 + "\" then error(\"refused\") else {name: $event.data.name} end'\n" +
		"  deposited: 'if .name then . else error(\"nobody\") end'\n"}
	t.Cleanup(func() { files = was })
	p := inDirectory(t, pebbleViews)
	p.stateless = true
	w := p.open(t)
	for name, text := range map[string]string{"p1": secretOfP1, "p2": secretOfP2} {
		w.append(t, "person-"+name, about(name, "named", "person-named", text))
	}
	// Folded where there is a name, and parked where that was erased.
	w.append(t, "person-p1", annals.Event{ID: "d", Type: "deposited", Data: []byte(`{}`)})
	w.settle(t)
	if err := w.set.Pause(t.Context(), "careful"); err != nil {
		t.Fatal(err)
	}
	control := w.set.Control("careful@1")
	for parked, err := range control.Parked(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		// The paused generation keeps it parked, and the next one handles it.
		if err := control.Edit(t.Context(), parked.Position, []byte(`{"name":"mended"}`), "why"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	do, err := erase.New(erase.Options{Store: w.store, Keys: w.keyring, Views: w.set})
	if err != nil {
		t.Fatal(err)
	}
	r, err := do(ctx, subject.Request{Subject: "p1"})
	if err != nil || r.Complete || len(r.Views) != 1 || r.Views[0].Outcome != subject.Left || !strings.Contains(r.Views[0].Note, "can't go live") {
		t.Fatalf("%+v, %v", r.Views, err)
	}
}
