package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
)

func TestEveryRouteHasAGroup(t *testing.T) {
	used := map[Group]bool{}
	for _, rt := range routes {
		used[rt.group] = true
		if !slices.Contains(Groups(), rt.group) {
			t.Errorf("%s %s has the group %q", rt.method, rt.path, rt.group)
		}
		if reads := rt.method == http.MethodGet; reads != (rt.group == GroupQuery || rt.group == GroupProcess) {
			t.Errorf("%s %s has the group %s", rt.method, rt.path, rt.group)
		}
	}
	for _, g := range Groups() {
		if !used[g] {
			t.Errorf("no route has the group %s", g)
		}
	}
}

func TestAProcessServesItsGroupsOnly(t *testing.T) {
	plain := strings.NewReplacer("{stream}", "s", "{requestId}", "r", "{projection}", "p", "{key}", "k", "{name}", "p", "{generation}", "1", "{position}", "1", "{id}", "i")
	for _, g := range Groups() {
		s := start(t, Options{Groups: []Group{g}})
		for _, rt := range routes {
			_, _, text := s.do(t, rt.method, plain.Replace(rt.path), "")
			says := strings.Contains(text, "belongs to the group "+string(rt.group)+", and this process serves "+string(g))
			if says == (rt.group == g) {
				t.Errorf("a process of %s answers %s %s of %s: %s", g, rt.method, rt.path, rt.group, text)
			}
		}
	}
	s := start(t, Options{Groups: []Group{GroupQuery}})
	status, _, text := s.do(t, "POST", "/v1/streams/s/events", `{"type":"T"}`, isJSON)
	if end, err := s.store.End(t.Context()); status != 404 || !strings.Contains(text, `"code":"not_found"`) || end != 0 || err != nil {
		t.Errorf("an append is answered %d %s, and the log ends at %d, %v", status, text, end, err)
	}
}

// A follower that is answered as a whole gets what there is, and no more than one
// poll's worth.
func TestLongPoll(t *testing.T) {
	s := start(t, Options{LongPoll: time.Hour})
	events := make([]annals.Event, pollLimit/2+100)
	for i := range events {
		events[i] = annals.Event{Type: "T"}
	}
	answer := make(chan string)
	go func() {
		_, _, text := s.do(t, "GET", "/v1/events?follow=true", "", "Accept: application/x-ndjson")
		answer <- text
	}()
	if _, err := s.store.Append(t.Context(), "a", annals.Any, events...); err != nil {
		t.Fatal(err)
	}
	if text := <-answer; strings.Count(text, "\n") != len(events) {
		t.Errorf("the waiting follower got %d events, want %d", strings.Count(text, "\n"), len(events))
	}
	if _, err := s.store.Append(t.Context(), "b", annals.Any, events...); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]int{
		"": pollLimit, "&limit=1": 1, "&limit=2": 2, fmt.Sprintf("&after=%d", pollLimit): 2*len(events) - pollLimit, "&prefix=b": len(events), "&limit=100000": pollLimit,
	} {
		if _, _, text := s.do(t, "GET", "/v1/events?follow=true"+query, "", "Accept: application/x-ndjson"); strings.Count(text, "\n") != want {
			t.Errorf("a poll with %q got %d events, want %d", query, strings.Count(text, "\n"), want)
		}
	}
	// Large events come in parts that a function can answer with, and one at least.
	large := make([]annals.Event, 5)
	for i := range large {
		large[i] = annals.Event{Type: "T", Data: []byte(`"` + strings.Repeat("x", pollBytes*2/5) + `"`)}
	}
	for i := range large { // a commit holds less than all
		if _, err := s.store.Append(t.Context(), "large", annals.Any, large[i]); err != nil {
			t.Fatal(err)
		}
	}
	for query, want := range map[string]int{"": 3, "&limit=2": 2} {
		if _, _, text := s.do(t, "GET", "/v1/events?follow=true&prefix=large"+query, "", "Accept: application/x-ndjson"); strings.Count(text, "\n") != want {
			t.Errorf("a poll of large events with %q got %d, want %d", query, strings.Count(text, "\n"), want)
		}
	}
	// Nothing comes for as long as a poll may take.
	soon := start(t, Options{LongPoll: time.Millisecond})
	if status, _, text := soon.do(t, "GET", "/v1/events?follow=true", "", "Accept: text/event-stream"); status != 200 || text != "" {
		t.Errorf("a poll of an empty log is answered %d %q", status, text)
	}
	if status, _, text := soon.do(t, "GET", "/v1/position?wait=60", ""); status != 200 || !strings.Contains(text, `"position":"0"`) {
		t.Errorf("a wait for a position is answered %d %q", status, text)
	}
}
