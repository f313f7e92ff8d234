package tracking_test

import (
	"fmt"
	"net/http/httptest"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/storetest/stores"
	"github.com/eb901187/annals/tracking"
)

// overHTTP is a store behind the HTTP API.
func overHTTP(t *testing.T) *annals.Store {
	t.Helper()
	server := httptest.NewServer(httpapi.New(stores.Memory(t, nil), nil))
	t.Cleanup(server.Close)
	store, err := client.Open(server.URL, nil)
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

// A Board that has read all of a log knows from its earliest event on, wherever in the
// log that stands.
func TestBoardKnowsSinceTheEarliest(t *testing.T) {
	store, began := stores.Memory(t, nil), time.Now().Add(-30*time.Minute).UTC()
	for i, after := range []time.Duration{10 * time.Minute, 0, 20 * time.Minute} {
		e := annals.Event{Type: tracking.RequestType, Correlation: fmt.Sprint("r", i), Time: began.Add(after), Data: []byte(`{"Name":"a"}`)}
		if _, err := store.Append(t.Context(), fmt.Sprint("request/r", i), annals.NoStream, e); err != nil {
			t.Fatal(err)
		}
	}
	board := tracking.NewBoard(store, nil)
	defer board.Close()
	for deadline := time.Now().Add(20 * time.Second); ; runtime.Gosched() {
		_, state, err := board.Services(t.Context())
		if err != nil || state.Problem != nil || time.Now().After(deadline) {
			t.Fatal(err, state)
		}
		if !state.Reading {
			if !state.Since.Equal(began) {
				t.Errorf("it knows since %v, not %v", state.Since, began)
			}
			return
		}
	}
}

// A Board reads backward and follows on every store.
func TestBoardOnStores(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) *annals.Store{
		"DynamoDB": func(t *testing.T) *annals.Store { return stores.DynamoDB(t, awstest.DynamoDB(t), "board") },
		"HTTP":     overHTTP,
	} {
		t.Run(name, func(t *testing.T) {
			store := open(t)
			began := time.Now().Add(-time.Minute)
			add := func(id string) {
				t.Helper()
				var events []annals.Event
				for i, typ := range []string{tracking.RequestType, tracking.RequestType, tracking.ResponseType, tracking.ResponseType} {
					call := min(i, 3-i) // 0 1 1 0
					data := fmt.Appendf(nil, `{"Name":"s%d","callId":"%d","parentId":"%d","status":503}`, call, call, call-1)
					events = append(events, annals.Event{Type: typ, Source: "Gateway", Correlation: id, Time: began.Add(time.Duration(i) * time.Millisecond), Data: data})
				}
				if _, err := store.Append(t.Context(), "request/"+id, annals.NoStream, events...); err != nil {
					t.Fatal(err)
				}
			}
			board := tracking.NewBoard(store, nil)
			defer board.Close()
			shows := func(ids ...string) {
				t.Helper()
				for deadline := time.Now().Add(20 * time.Second); ; runtime.Gosched() {
					list, _, state, err := board.Requests(t.Context(), tracking.RequestQuery{})
					if err != nil || state.Problem != nil {
						t.Fatal(err, state.Problem)
					}
					done := len(list) == len(ids)
					for _, r := range list {
						done = done && slices.Contains(ids, r.ID) && r.Faulty == "s1" && r.Calls == 2 && !r.Open
					}
					if done {
						return
					}
					if time.Now().After(deadline) {
						t.Fatalf("not within 20 s: %v of %+v", ids, list)
					}
				}
			}
			add("r1")
			shows("r1")
			add("r2")
			shows("r1", "r2")
		})
	}
}
