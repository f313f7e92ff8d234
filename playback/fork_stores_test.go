package playback_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/aggregate"
	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/storetest/stores"
)

// orders appends events to streams that take turns, each the effect of the one before.
func orders(t *testing.T, s *annals.Store, n int) {
	t.Helper()
	for i := range n {
		e := annals.Event{ID: fmt.Sprint(i), Type: fmt.Sprint("type-", i%3), Source: "shop", Data: fmt.Appendf(nil, `{"email":"%d@example.com"}`, i)}
		if i >= 7 {
			e.Causation = fmt.Sprintf("order-%d@%d", (i-1)%7, (i-1)/7+1)
		}
		if i%5 == 0 {
			e.Correlation = fmt.Sprint("request-", i%2)
		}
		if _, err := s.Append(t.Context(), fmt.Sprint("order-", i%7), int64(i/7), e); err != nil {
			t.Fatal(err)
		}
	}
}

func all(t *testing.T, s *annals.Store, q annals.Query) (events []annals.Event) {
	t.Helper()
	for e, err := range s.Log(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Stream != effect.ForkStream {
			events = append(events, e)
		}
	}
	return events
}

func text(e annals.Event) string {
	e.Position = 0
	return string(e.AppendJSON(nil, true))
}

func sorted(events []annals.Event) []annals.Event {
	return slices.SortedFunc(slices.Values(events), func(a, b annals.Event) int {
		return cmp.Or(cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Version, b.Version))
	})
}

func wantEvents(t *testing.T, got, want []annals.Event) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d events, want %d", len(got), len(want))
	}
	for i := range got {
		if text(got[i]) != text(want[i]) {
			t.Fatalf("event %d is\n%s, want\n%s", i, text(got[i]), text(want[i]))
		}
	}
}

func TestForkFromAServer(t *testing.T) {
	from, to := stores.Memory(t, nil), stores.Memory(t, nil)
	orders(t, from, 300)
	m, err := playback.Fork(t.Context(), behindHTTP(t, from), to, &playback.ForkOptions{Types: []string{"type-0", "type-1"}})
	if err != nil || m.Events != 200 {
		t.Fatalf("%+v, %v", m, err)
	}
	wantEvents(t, all(t, to, annals.Query{Types: []string{"type-0", "type-1"}}), all(t, from, annals.Query{Types: []string{"type-0", "type-1"}}))
}

func TestForkIntoAServer(t *testing.T) {
	from, to := stores.Memory(t, nil), stores.Memory(t, nil)
	orders(t, from, 300)
	if m, err := playback.Fork(t.Context(), from, behindHTTP(t, to), nil); err != nil || m.Events != 300 {
		t.Fatalf("%+v, %v", m, err)
	}
	wantEvents(t, all(t, to, annals.Query{}), all(t, from, annals.Query{}))
	if _, err := playback.Fork(t.Context(), behindHTTP(t, from), from, nil); annals.CodeOf(err) != annals.CodeConflict {
		t.Fatalf("into itself: %v", err)
	}
}

// On DynamoDB the order of streams and that of causes before effects are kept, and queries
// find the same.
func TestForkIntoDynamoDB(t *testing.T) {
	from, to := stores.Memory(t, nil), stores.DynamoDB(t, awstest.DynamoDB(t), "fork")
	orders(t, from, 200)
	m, err := playback.Fork(t.Context(), from, to, &playback.ForkOptions{Every: 50})
	if err != nil || m.Events != 200 {
		t.Fatalf("%+v, %v", m, err)
	}
	if again, err := playback.Fork(t.Context(), from, to, nil); err != nil || !again.Repeated {
		t.Fatalf("%+v, %v", again, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for end := int64(0); end < 200+2; {
		if end, err = to.WaitPast(ctx, end); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range []annals.Query{
		{}, {Types: []string{"type-1"}}, {Sources: []string{"shop"}, Backward: true}, {Correlation: "request-1"}, {Prefix: "order-3"}, {Types: []string{"type-2"}, Correlation: "request-0"},
	} {
		wantEvents(t, sorted(all(t, to, q)), sorted(all(t, from, q)))
	}
	versions := map[string]int64{}
	for _, e := range all(t, to, annals.Query{}) {
		if e.Version != versions[e.Stream]+1 {
			t.Fatalf("%s@%d comes behind version %d", e.Stream, e.Version, versions[e.Stream])
		}
		versions[e.Stream] = e.Version
		if e.Causation == "" {
			continue
		}
		if cause, version, err := annals.ParseCausation(e.Causation); err != nil || versions[cause] < version {
			t.Fatalf("%s@%d comes before its cause %s: %v", e.Stream, e.Version, e.Causation, err)
		}
	}
}

// Snapshots hold the state that unmasked events have made: with a mask they stay behind.
func TestForkLeavesSnapshotsOutWhereTheyWouldTell(t *testing.T) {
	if !strings.HasPrefix(aggregate.SnapshotPrefix, annals.OwnPrefix+"snapshots/") {
		t.Fatalf("snapshots are in %s…", aggregate.SnapshotPrefix)
	}
	from := stores.Memory(t, nil)
	mask, err := playback.ParseMask("mask.jq", []byte(`if .data.secret then .data.secret = "x" else . end`))
	if err != nil {
		t.Fatal(err)
	}
	for _, stream := range []string{"counter-1", aggregate.SnapshotPrefix + "Counter/counter-1"} {
		if _, err := from.Append(t.Context(), stream, 0, annals.Event{Type: "counted", Data: []byte(`{"secret":"key"}`)}); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		opts playback.ForkOptions
		want []string
	}{
		"whole":      {playback.ForkOptions{}, []string{aggregate.SnapshotPrefix + "Counter/counter-1", "counter-1"}},
		"masked":     {playback.ForkOptions{Mask: mask}, []string{"counter-1"}},
		"some types": {playback.ForkOptions{Types: []string{"counted"}}, []string{"counter-1"}},
	} {
		to := stores.Memory(t, nil)
		m, err := playback.Fork(t.Context(), from, to, &c.opts)
		if err != nil || m.WithoutSnapshots != (name != "whole") {
			t.Fatalf("%s: %+v, %v", name, m, err)
		}
		streams := map[string]bool{}
		for _, e := range all(t, to, annals.Query{}) {
			streams[e.Stream] = true
			if name == "masked" && strings.Contains(string(e.Data), "key") {
				t.Errorf("the secret is in %s: %s", e.Stream, e.Data)
			}
		}
		if got := slices.Sorted(maps.Keys(streams)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func ExampleFork() {
	ctx := context.Background()
	open := func() *annals.Store {
		s, err := embedded.Open("store", &embedded.Options{FS: vfs.NewMem()})
		if err != nil {
			panic(err)
		}
		return s
	}
	production, test := open(), open()
	if _, err := production.Append(ctx, "customer-1", annals.NoStream, annals.Event{Type: "registered", Data: []byte(`{"email":"ann@example.com","city":"Paris"}`)}); err != nil {
		panic(err)
	}
	mask, err := playback.ParseMask("mask.jq", []byte(`if .data.email then .data.email = "somebody@example.org" else . end`))
	if err != nil {
		panic(err)
	}
	m, err := playback.Fork(ctx, production, test, &playback.ForkOptions{Source: "production", Mask: mask})
	if err != nil {
		panic(err)
	}
	for e, err := range test.Stream(ctx, "customer-1", nil) {
		fmt.Println(e.Version, string(e.Data), err)
	}
	fmt.Println(m.Events, "event of", m.Source)
	// Output:
	// 1 {"city":"Paris","email":"somebody@example.org"} <nil>
	// 1 event of production
}
