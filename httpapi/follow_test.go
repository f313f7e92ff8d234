package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"bufio"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
)

// However many follow, each gets each event once and in order, and ends at the limit.
func TestManyFollowersMissNothing(t *testing.T) {
	store, err := embedded.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	server := httptest.NewServer(New(store, nil))
	defer server.Close()
	const followers, events = 50, 300
	var all sync.WaitGroup
	for range followers {
		all.Go(func() {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("%s/v1/events?follow=true&types=T&limit=%d", server.URL, events), nil)
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Accept", mediaSSE)
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer answer.Body.Close()
			var ids []string
			lines := bufio.NewScanner(answer.Body)
			for lines.Scan() {
				if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
					ids = append(ids, id)
				}
			}
			if len(ids) != events || lines.Err() != nil {
				t.Errorf("%d events, %v", len(ids), lines.Err())
			}
			for i, id := range ids {
				if id != fmt.Sprint(2*i+1) { // every other event is of another type
					t.Errorf("event %d has id %s", i, id)
					return
				}
			}
		})
	}
	for i := range 2 * events {
		if _, err := store.Append(context.Background(), "s", annals.Any, annals.Event{Type: string("TU"[i%2])}); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
}

// A query that the store refuses is answered with a problem, not with a stream that
// breaks off.
func TestFollowingWithABadQueryIsRefused(t *testing.T) {
	store, err := embedded.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	answer := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/v1/events?follow=true&types=bad%00type", nil)
	r.Header.Set("Accept", mediaSSE)
	New(store, nil).ServeHTTP(answer, r)
	if answer.Code != http.StatusBadRequest {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
}
