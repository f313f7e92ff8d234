package sink

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/tracking"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func open(t testing.TB) *annals.Store {
	t.Helper()
	store, err := embedded.Open(t.TempDir(), nil)
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

// exchanges are a request and a response of n requests each.
func exchanges(n int) (events []annals.Event) {
	for i := range n {
		id := fmt.Sprintf("req-%d", i)
		for k, typ := range []string{tracking.RequestType, tracking.ResponseType} {
			events = append(events, annals.Event{
				ID: fmt.Sprintf("call-%d-%d", i, k), Stream: id, Correlation: id, Type: typ, Source: "Gateway", Time: noon.Add(time.Duration(i) * time.Millisecond),
				Data: fmt.Appendf(nil, `{"Name":"A","callId":"call-%d","text":"%s"}`, i, strings.Repeat("x", 40)),
			})
		}
	}
	return events
}

// stored checks that the store holds each event once, those of a stream in order.
func stored(t *testing.T, store *annals.Store, want []annals.Event) {
	t.Helper()
	compare(t, store, want, true)
}

// compare checks that the store holds each event once.
func compare(t *testing.T, store *annals.Store, want []annals.Event, ordered bool) {
	t.Helper()
	byStream := map[string][]string{}
	n := 0
	for e, err := range store.Log(t.Context(), annals.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		byStream[e.Stream] = append(byStream[e.Stream], e.ID)
	}
	wanted := map[string][]string{}
	for i := range want {
		wanted[want[i].Stream] = append(wanted[want[i].Stream], want[i].ID)
	}
	if n != len(want) {
		t.Errorf("the store holds %d events, and %d were delivered", n, len(want))
	}
	for stream, ids := range wanted {
		got := byStream[stream]
		if !ordered {
			slices.Sort(got)
			slices.Sort(ids)
		}
		if fmt.Sprint(got) != fmt.Sprint(ids) {
			t.Fatalf("%s holds %v, want %v", stream, got, ids)
		}
	}
}

func deliver(t *testing.T, to tracking.Sink, events []annals.Event) {
	t.Helper()
	if err := to.Deliver(t.Context(), events); err != nil {
		t.Fatal(err)
	}
}

// poisoned are the events with some between that no store takes, and with one whose id
// is taken.
func poisoned(good []annals.Event) []annals.Event {
	bad := func(change func(*annals.Event)) annals.Event {
		e := good[0]
		e.ID = "bad"
		change(&e)
		return e
	}
	return append([]annals.Event{
		bad(func(e *annals.Event) { e.Type = "" }),
		bad(func(e *annals.Event) { e.Data = []byte(`{`) }),
		bad(func(e *annals.Event) { e.Stream = "" }),
		bad(func(e *annals.Event) { e.Data = fmt.Appendf(nil, `"%s"`, strings.Repeat("x", annals.MaxDataBytes)) }),
	}, good...)
}

// A store and a server keep what they can of a delivery, and say of the rest what is
// wrong with it.
func contract(t *testing.T, to tracking.Sink, store *annals.Store) {
	events := exchanges(300)
	deliver(t, to, nil)
	deliver(t, to, events[:301]) // cut between a request and its response
	deliver(t, to, events)
	stored(t, store, events)
	more := exchanges(310)
	err := to.Deliver(t.Context(), poisoned(more))
	if !annals.IsRefusal(err) || !strings.Contains(err.Error(), "event bad of stream req-0") {
		t.Errorf("poison: %v", err)
	}
	stored(t, store, more)
	other := more[0]
	other.Data = []byte(`{"other":1}`)
	if err := to.Deliver(t.Context(), []annals.Event{other}); !annals.IsRefusal(err) || annals.CodeOf(err) != annals.CodeIDReused || !strings.Contains(err.Error(), "call-0-0") {
		t.Errorf("a taken id: %v", err)
	}
	stored(t, store, more)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := to.Deliver(ended, more); err == nil || annals.IsRefusal(err) {
		t.Errorf("an ended context: %v", err)
	}
}

func TestToStore(t *testing.T) {
	store := open(t)
	contract(t, ToStore(store), store)
}

func TestAStoreThatFailsIsNoRefusal(t *testing.T) {
	store, err := embedded.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	// What is wrong with an event is not told before what is wrong with the store.
	if err := ToStore(store).Deliver(t.Context(), poisoned(exchanges(1))); annals.CodeOf(err) != annals.CodeClosed || annals.IsRefusal(err) {
		t.Error(err)
	}
}

func TestOpen(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_DEFAULT_REGION", "")
	for address, ok := range map[string]bool{
		"http://127.0.0.1:4000": true, "https://annals.example/": true, "kinesis:events": true,
		"sqs:https://sqs.us-east-1.amazonaws.com/123456789012/events": true, "sqs:http://127.0.0.1:1/123456789012/events": true,
		"": false, "dir": false, "dynamodb://orders": false, "http://": false, "http://h/v1": false, "http://u:p@h": false, "kinesis:": false, "kinesis:a b": false,
		"sqs:": false, "sqs:events": false, "sqs:https://sqs.us-east-1.amazonaws.com/": false, "sqs:https://sqs.us-east-1.amazonaws.com/1/events.fifo": false,
	} {
		to, err := Open(t.Context(), address, nil)
		if ok != (err == nil) || ok != (to != nil) || !ok && annals.CodeOf(err) != annals.CodeInvalid {
			t.Errorf("%q: %v, %v", address, to, err)
		}
		if ok && !Opens(address) || Opens("dir") || Opens("dynamodb://orders") {
			t.Errorf("%q is opened", address)
		}
	}
	t.Setenv("AWS_REGION", "")
	if _, err := Open(t.Context(), "kinesis:events", nil); annals.CodeOf(err) != annals.CodeInvalid || !strings.Contains(err.Error(), "AWS_REGION") {
		t.Errorf("no region: %v", err)
	}
	if to, err := Open(t.Context(), "sqs:https://sqs.us-east-1.amazonaws.com/123456789012/events", nil); err != nil || to.(*toQueue).client.Options().Region != "us-east-1" {
		t.Errorf("the region of the URL: %v", err)
	}
}
