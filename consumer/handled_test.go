package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
)

// What Handled yields is what the Handler was given: not what is parked, or was
// dropped, and what was edited as it was edited.
func TestHandledIsWhatTheHandlerWasGiven(t *testing.T) {
	w := newWorld(t)
	w.append("a", "x", "x")
	w.append("b", "x", "x")
	w.append("c", "x")
	last := w.append("d", "x")
	var mu sync.Mutex
	broken, retried := true, []string{}
	r, _ := w.start(annals.Query{}, consumer.Each(func(ctx context.Context, m *consumer.Message) error {
		mu.Lock()
		defer mu.Unlock()
		if m.Context() == nil || m.Context().Err() != nil || m.WithContext(t.Context()).Context() != t.Context() {
			return errors.New("the message has no context")
		}
		if m.Retried {
			retried = append(retried, fmt.Sprintf("%s %q", m.Cause(), m.Data))
		}
		if broken && m.Stream != "d" {
			return consumer.Permanent(errors.New("refused"))
		}
		return nil
	}), w.options())
	wait(t, r, last)
	mu.Lock()
	broken = false
	mu.Unlock()
	// a@1 and a@2 wait, b@1 is dropped, b@2 follows, c@1 is edited.
	for _, err := range []error{w.control().Drop(t.Context(), 3, "wrong"), w.control().Edit(t.Context(), 5, []byte(`"mended"`), "wrong")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	until(t, "two are parked", func() bool {
		s, err := w.control().Status(t.Context())
		return err == nil && s.Parked == 2
	})
	var got []string
	for m, err := range w.control().Handled(t.Context(), annals.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %t", m.Cause(), m.Edited))
	}
	if want := []string{"b@2 false", "c@1 true", "d@1 false"}; !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(retried) != 2 || !slices.Contains(retried, `c@1 "\"mended\""`) {
		t.Errorf("retried %q", retried)
	}
	if (&consumer.Message{}).Context() != context.Background() {
		t.Error("a message of nobody has no context")
	}
	parked, err := w.control().ParkedWithin(t.Context(), 1, 4)
	if err != nil || len(parked) != 1 || !parked[2] {
		t.Errorf("%v, %v", parked, err)
	}
}
