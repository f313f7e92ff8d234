package aggregate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/aggregate"
)

func same(data json.RawMessage) (json.RawMessage, error) { return data, nil }

func apart(json.RawMessage) ([]aggregate.Part, error) { return nil, nil }

// stranger implements no event.
type stranger struct{}

func TestNewListsAllThatIsWrong(t *testing.T) {
	_, err := aggregate.New("order-item", aggregate.Schema[Event]{
		Events: []aggregate.Variant[Event]{
			aggregate.Event[Event, Opened]("opened", 1),
			aggregate.Event[Event, Deposited]("opened", 1),     // the name again
			aggregate.Event[Event, Opened]("also", 1),          // the type again
			aggregate.Event[Event, stranger]("strange", 1),     // no event
			aggregate.Event[Event, Event]("any", 1),            // an interface
			aggregate.Event[Event, Withdrawn]("with drawn", 0), // a bad name and version
			aggregate.Event[Event, Seen]("seen", 4),
			{},
		},
		Upcasters: []aggregate.Upcaster{
			aggregate.Upcast("seen", 1, same), aggregate.Upcast("seen", 1, same), // twice; and none from 2
			aggregate.Upcast("seen", 3, same), aggregate.Upcast("seen", 4, same), // the current version
			aggregate.Upcast("gone", 1, same), aggregate.Upcast("seen", 0, same), aggregate.Upcast("seen", 2, nil),
			aggregate.Split("apart", 2, apart),
		},
		Renamed: map[string]string{"old": "none", "opened": "seen", "annals.x": "opened"},
		Ignored: []string{"opened"},
	}, nil, &aggregate.Options[Account]{
		Snapshot: aggregate.Every(1), ID: func(string) (string, bool) { return "", false },
	})
	var invalid *annals.InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("got %v", err)
	}
	wants := []string{
		`name "order-item" must hold`, "evolve must not be nil", "options must have both", "options.SnapshotVersion must be at least 1",
		`events[1] has the name "opened", as another`, `events[2] (also) is declared for aggregate_test.Opened, as opened is`,
		`events[3] (strange) is declared for aggregate_test.stranger, which is not of type aggregate_test.Event`,
		`events[4] (any) is declared for the interface`, `events[5] has the name "with drawn"`, `events[5] (with drawn) has version 0`,
		`events[7] has the name ""`, `events[7] () has version 0`,
		`upcasters[1] is the second from version 1 of "seen"`, `upcasters[5] (seen) is from version 0`, `upcasters[6] (seen, version 2) has no function`,
		`upcasters lead to version 2 of "gone", which is no event`, `upcasters have a gap: none leads on from version 1 of "apart"`,
		`upcasters have a gap: none leads on from version 2 of "seen", which is at version 4`,
		`upcasters name version 4 of "seen", which is at version 4`, `renamed["annals.x"] must not start with annals.`,
		`renamed["old"] leads to "none"`, `renamed["opened"] is an event`, `ignored[0] is "opened"`,
	}
	for _, want := range wants {
		if !slices.ContainsFunc(invalid.Violations, func(v annals.Violation) bool { return strings.HasPrefix(v.Field+" "+v.Message, want) }) {
			t.Errorf("%q is not among the errors", want)
		}
	}
	if len(invalid.Violations) != len(wants) || t.Failed() {
		t.Errorf("%d errors, want %d:\n%s", len(invalid.Violations), len(wants), strings.ReplaceAll(err.Error(), "; ", "\n"))
	}
}

func TestMustPanics(t *testing.T) {
	defer func() {
		if err, ok := recover().(error); !ok || !errors.Is(err, annals.ErrInvalid) {
			t.Fatalf("panicked with %v", err)
		}
	}()
	aggregate.Must(aggregate.New("", bank(), evolve, nil))
	t.Fatal("no panic")
}

func TestNamesOfTypes(t *testing.T) {
	lower := &aggregate.Options[Account]{
		Stream: func(id string) string { return "tenant-1/order-item-" + id },
		ID:     func(stream string) (string, bool) { return strings.CutPrefix(stream, "tenant-1/order-item-") },
	}
	for _, c := range []struct {
		name string
		opts *aggregate.Options[Account]
		ok   bool
	}{
		{"account", nil, true}, {"Order_Item.v2:x", nil, true}, {"order-item", nil, false}, {"order-item", lower, true},
		{"", nil, false}, {"a/b", nil, false}, {"a b", lower, false}, {"annals.x", nil, false}, {strings.Repeat("x", 101), nil, false}, {"ö", nil, false},
	} {
		if _, err := aggregate.New(c.name, bank(), evolve, c.opts); (err == nil) != c.ok || err != nil && !errors.Is(err, annals.ErrInvalid) {
			t.Errorf("%q: %v", c.name, err)
		}
	}
}

func TestStreamAndIDAreInverse(t *testing.T) {
	typ := accounts(t, nil)
	for _, id := range []string{"7", "-7", "a-b", "a/b", "0193-uuid", "account-7"} {
		stream, err := typ.Stream(id)
		if err != nil || stream != "account-"+id {
			t.Fatalf("%q: %q, %v", id, stream, err)
		}
		if back, ok := typ.ID(stream); !ok || back != id {
			t.Fatalf("%q: %q, %v", id, back, ok)
		}
	}
	for _, stream := range []string{"account-", "account", "accounts-7", "order-7", "", "annals.snapshots/account-7"} {
		if id, ok := typ.ID(stream); ok {
			t.Errorf("%q is that of %q", stream, id)
		}
	}
}

// Two aggregates would share a stream if names of streams lost a part of the id.
func TestIDsThatCouldShareAStreamAreRefused(t *testing.T) {
	typ := accounts(t, &aggregate.Options[Account]{
		Stream: func(id string) string { return "account-" + strings.ToLower(id) },
		ID:     func(stream string) (string, bool) { return strings.CutPrefix(stream, "account-") },
	})
	if _, err := typ.Stream("ada"); err != nil {
		t.Fatal(err)
	}
	_, err := typ.Stream("Ada")
	if !errors.Is(err, annals.ErrInvalid) || !strings.Contains(err.Error(), `"ada"`) {
		t.Fatalf("got %v", err)
	}
}

func TestEventsSaysHowTheyAreStored(t *testing.T) {
	schema := bank()
	schema.Renamed = map[string]string{"opened": "account-opened", "account-created": "account-opened"}
	typ, err := aggregate.New("account", schema, evolve, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range typ.Events() {
		got = append(got, fmt.Sprintf("%s %d %s %s;", e.Name, e.Version, e.Go, e.Formerly))
	}
	want := "account-opened 1 aggregate_test.Opened [account-created opened]; money-deposited 1 aggregate_test.Deposited []; " +
		"money-withdrawn 1 aggregate_test.Withdrawn []; seen 1 aggregate_test.Seen [];"
	if strings.Join(got, " ") != want || typ.Name() != "account" {
		t.Fatalf("got %s", got)
	}
	e, err := typ.Wrap("account-opened", Opened{"Ada"})
	if err != nil || e != (Opened{"Ada"}) {
		t.Fatalf("got %v, %v", e, err)
	}
	for name, data := range map[string]any{"account-opened": Deposited{}, "none": Opened{}} {
		_, err := typ.Wrap(name, data)
		wantError(t, err, annals.ErrInvalid)
	}
}
