package consumer_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/subject"
	"github.com/eb901187/annals/subject/subjecttest"
	"github.com/eb901187/annals/view/pebbleview"
)

// sealedWorld has an event of p1, and behind it one of p2.
func sealedWorld(t *testing.T) (*world, *subject.Keyring) {
	t.Helper()
	keyring := subjecttest.Keyring(t)
	store, err := embedded.Open("store", &embedded.Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler), Store: &annals.Options{Sealer: keyring}})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: store, views: pebbleview.Memory(), name: "test"}
	t.Cleanup(func() {
		if err := errors.Join(w.store.Close(), w.views.Close()); err != nil {
			t.Error(err)
		}
	})
	for _, name := range []string{"p1", "p2"} {
		if _, err := store.Append(t.Context(), "s-"+name, annals.Any, annals.Event{Type: "t", Data: []byte(`"secret of ` + name + `"`), Attributes: map[string]string{annals.SubjectAttribute: name}}); err != nil {
			t.Fatal(err)
		}
	}
	return w, keyring
}

// An event that is erased while it fails is tried again as it reads by then: what was
// erased goes neither to the handler again nor into the views.
func TestAnEventThatIsErasedWhileItFails(t *testing.T) {
	w, keyring := sealedWorld(t)
	opts, erased, seen := w.options(), false, []string{}
	opts.Attempts = 2
	opts.Sleep = func(ctx context.Context, _ time.Duration) {
		if _, err := keyring.Fence(ctx, "p1"); err != nil {
			t.Error(err)
		}
		erased = true
	}
	r, stop := w.start(annals.Query{}, consumer.Each(func(_ context.Context, m *consumer.Message) error {
		if erased {
			seen = append(seen, m.Subject()+": "+string(m.Data))
		}
		return errors.New("failed at " + string(m.Data))
	}), opts)
	wait(t, r, 2)
	_ = stop()
	parked := w.parked()
	if len(parked) != 2 {
		t.Fatalf("parked: %+v", parked)
	}
	for _, text := range append(seen, parked[0].Error) {
		if strings.Contains(text, "secret of p1") {
			t.Errorf("once it is erased: %s", text)
		}
	}
	if err := w.control().Edit(t.Context(), 1, []byte(`"the secret of p1"`), "why"); annals.CodeOf(err) != annals.CodeErased {
		t.Errorf("an edit of what is erased: %v", err)
	}
	if err := w.control().Edit(t.Context(), 2, []byte(`"mended"`), "why"); err != nil {
		t.Error(err)
	}
	if !strings.Contains(parked[1].Error, "secret of p2") || parked[1].Attempts != 2 {
		t.Errorf("the other is parked as %+v", parked[1])
	}
}

// The same where it fails in a retry: what it is parked with again must not outlive it.
func TestAParkedEventThatIsErasedWhileItFailsAgain(t *testing.T) {
	w, keyring := sealedWorld(t)
	opts := w.options()
	opts.Attempts = 1
	r, stop := w.start(annals.Query{}, consumer.Each(func(ctx context.Context, m *consumer.Message) error {
		if !m.Retried {
			return errors.New("failed")
		}
		if m.Subject() == "p1" {
			if _, err := keyring.Fence(ctx, "p1"); err != nil {
				t.Error(err)
			}
		}
		return errors.New("failed again at " + string(m.Data))
	}), opts)
	wait(t, r, 2)
	w.retry()
	until(t, "both failed again", func() bool {
		parked := w.parked()
		return len(parked) == 2 && parked[0].Attempts > 1 && parked[1].Attempts > 1
	})
	_ = stop()
	parked := w.parked()
	if strings.Contains(parked[0].Error, "secret of p1") || !strings.Contains(parked[0].Error, "failed again at") {
		t.Errorf("once it is erased: %s", parked[0].Error)
	}
	if !strings.Contains(parked[1].Error, "secret of p2") {
		t.Errorf("the other is parked as %+v", parked[1])
	}
}
