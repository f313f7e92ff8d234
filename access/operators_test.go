package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func open(t *testing.T) *annals.Store {
	t.Helper()
	store, err := embedded.Open(t.TempDir(), &embedded.Options{Store: &annals.Options{Clock: func() time.Time { return noon }}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func TestRecordedActionsAreReadNewestFirst(t *testing.T) {
	store := open(t)
	for n := range 5 {
		a := Action{Who: "ann", At: noon.Add(time.Duration(n) * time.Minute), What: "projection.switch", Target: fmt.Sprint("p", n)}
		if n == 3 {
			a.Who, a.What, a.Error = "bob", "projectionist", "no"
		}
		if err := Record(t.Context(), store, a); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		opts *ActionsOptions
		want string
		next int64
	}{
		"all":               {nil, "p4 p3 p2 p1 p0", 0},
		"a page":            {&ActionsOptions{Limit: 2}, "p4 p3", 4},
		"the page behind":   {&ActionsOptions{Limit: 2, Before: 4}, "p2 p1", 2},
		"the last page":     {&ActionsOptions{Limit: 2, Before: 2}, "p0", 0},
		"before the first":  {&ActionsOptions{Before: 1}, "", 0},
		"of somebody":       {&ActionsOptions{Who: "bob"}, "p3", 0},
		"of a kind":         {&ActionsOptions{What: "projection"}, "p4 p2 p1 p0", 0},
		"an action":         {&ActionsOptions{What: "projectionist"}, "p3", 0},
		"of nobody":         {&ActionsOptions{Who: "eve"}, "", 0},
		"a page of a kind":  {&ActionsOptions{What: "projection", Limit: 2}, "p4 p2", 3},
		"behind everything": {&ActionsOptions{Before: 100}, "p4 p3 p2 p1 p0", 0},
	} {
		page, next, err := Actions(t.Context(), store, c.opts)
		var got []string
		for _, a := range page {
			got = append(got, a.Target)
		}
		if err != nil || strings.Join(got, " ") != c.want || next != c.next {
			t.Errorf("%s: %v, next %d, %v", name, got, next, err)
		}
	}
	if _, _, err := Actions(t.Context(), store, &ActionsOptions{Before: -1}); !errors.Is(err, annals.ErrInvalid) {
		t.Errorf("before -1: %v", err)
	}
	page, _, err := Actions(t.Context(), store, &ActionsOptions{Who: "bob"})
	want := Action{Who: "bob", At: noon.Add(3 * time.Minute), What: "projectionist", Target: "p3", Error: "no", Version: 4}
	if err != nil || page[0] != want {
		t.Errorf("got %+v, %v", page, err)
	}
}

func TestAFilterReadsAtMostAThousandActions(t *testing.T) {
	store := open(t)
	events := make([]annals.Event, 600)
	for i := range events {
		events[i] = annals.Event{Type: ActionType, Data: []byte(`{"who":"ann","what":"w"}`)}
	}
	for range 2 {
		if _, err := store.Append(t.Context(), Stream, annals.Any, events...); err != nil {
			t.Fatal(err)
		}
	}
	page, next, err := Actions(t.Context(), store, &ActionsOptions{Who: "bob"})
	if err != nil || len(page) != 0 || next != 201 {
		t.Fatalf("%v, next %d, %v", page, next, err)
	}
	if page, next, err = Actions(t.Context(), store, &ActionsOptions{Who: "bob", Before: next}); err != nil || len(page) != 0 || next != 0 {
		t.Fatalf("%v, next %d, %v", page, next, err)
	}
}

// A browser that went away does not keep the note from being written, and neither do
// texts that are too long or broken.
func TestRecordKeepsWhatWasDone(t *testing.T) {
	store := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	long := strings.Repeat("ä", maxText)
	if err := Record(ctx, store, Action{Who: "a\xffb<script>", What: "w", Detail: long, Error: "x" + long}); err != nil {
		t.Fatal(err)
	}
	page, _, err := Actions(t.Context(), store, nil)
	if err != nil || len(page) != 1 {
		t.Fatal(page, err)
	}
	a := page[0]
	if a.Who != "a\ufffdb<script>" || a.Detail != strings.Repeat("ä", maxText/2)+"…" || !strings.HasSuffix(a.Error, "ä…") || len(a.Error) > maxText+3 || !a.At.Equal(noon) {
		t.Errorf("%q, %d and %d bytes, at %v", a.Who, len(a.Detail), len(a.Error), a.At)
	}
	if err := Record(t.Context(), store, Action{At: time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)}); !errors.Is(err, annals.ErrInvalid) {
		t.Errorf("a time that JSON does not know: %v", err)
	}
}

func TestConcurrentRecords(t *testing.T) {
	store := open(t)
	var work sync.WaitGroup
	for n := range 50 {
		work.Go(func() {
			if err := Record(t.Context(), store, Action{Who: "ann", What: "w", Target: fmt.Sprint(n)}); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	page, _, err := Actions(t.Context(), store, nil)
	if err != nil || len(page) != 50 {
		t.Fatal(len(page), err)
	}
}

func TestForeignEventsAreShownAsSuch(t *testing.T) {
	store := open(t)
	if _, err := store.Append(t.Context(), Stream, annals.Any, annals.Event{Type: "T", Data: []byte(`{"who":"ann"}`)}, annals.Event{Type: ActionType, Data: []byte(`[1]`)}); err != nil {
		t.Fatal(err)
	}
	page, _, err := Actions(t.Context(), store, nil)
	if err != nil || len(page) != 2 || page[1].Who != "" || page[1].What != "T" || page[0].Error == "" || page[1].Error == "" || !page[0].At.Equal(noon) {
		t.Fatalf("%+v, %v", page, err)
	}
}

func TestActionsOfAStoreThatFails(t *testing.T) {
	store, err := embedded.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Actions(t.Context(), store, nil); !errors.Is(err, annals.ErrClosed) {
		t.Errorf("reading: %v", err)
	}
	if err := Record(t.Context(), store, Action{What: "w"}); !errors.Is(err, annals.ErrClosed) {
		t.Errorf("recording: %v", err)
	}
}
