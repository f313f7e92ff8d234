package aggregate_test

import (
	"fmt"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/aggregate"
)

// BenchmarkExecute measures a command on an aggregate that has so many events and
// that nothing of is in the program's memory but the store's own. The store has
// no disk: on one, the append adds a sync.
func BenchmarkExecute(b *testing.B) {
	for _, events := range []int{10, 1000} {
		for _, snapshot := range []bool{false, true} {
			for _, key := range []bool{false, true} {
				b.Run(fmt.Sprintf("events=%d/snapshot=%v/key=%v", events, snapshot, key), func(b *testing.B) {
					benchmarkExecute(b, events, snapshot, key)
				})
			}
		}
	}
}

func benchmarkExecute(b *testing.B, events int, snapshot, key bool) {
	s := newStore(b, memory(b))
	var opts *aggregate.Options[Account]
	if snapshot {
		opts = snapshots(func(i aggregate.SnapshotInfo) bool { return i.Version == int64(events) })
	}
	r := aggregate.NewRepository(s, accounts(b, opts), strict(b, 0))
	fill := func(id string) {
		mustExecute(b, r, id, func(Account) ([]Event, error) {
			all := make([]Event, events)
			for i := range all {
				all[i] = Deposited{int64(i), "rent for may"}
			}
			return all, nil
		}, nil)
	}
	// Each aggregate takes a few commands, so that it keeps its length.
	const reuse = 20
	i := 0
	for b.Loop() {
		if i%reuse == 0 {
			b.StopTimer()
			fill(fmt.Sprint(i / reuse))
			b.StartTimer()
		}
		var opts *aggregate.CommandOptions
		if key {
			opts = keyed("%d", i)
		}
		mustExecute(b, r, fmt.Sprint(i/reuse), deposit(1), opts)
		i++
	}
}

// BenchmarkEncode measures what an event costs to encode, and to be checked for
// what its encoding would lose.
func BenchmarkEncode(b *testing.B) {
	typ := accounts(b, nil)
	for b.Loop() {
		if _, err := typ.Encode(Deposited{5, "rent for may"}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecode measures what an event costs to decode.
func BenchmarkDecode(b *testing.B) {
	typ := accounts(b, nil)
	e, err := typ.Encode(Deposited{5, "rent for may"})
	if err != nil {
		b.Fatal(err)
	}
	e.ContentType = annals.JSONContentType
	for b.Loop() {
		if _, err := typ.Decode(&e); err != nil {
			b.Fatal(err)
		}
	}
}
