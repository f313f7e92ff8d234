package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/eb901187/annals"
)

// mixed appends events of many kinds, one a position, and returns them as read.
func mixed(t *testing.T, s *annals.Store, n int) []annals.Event {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		e := annals.Event{
			ID: fmt.Sprint("e", i), Type: fmt.Sprint("type-", random.IntN(4)), Source: fmt.Sprint("source-", random.IntN(3)),
			Time: Epoch.Add(time.Duration(random.IntN(100)) * time.Second), Data: []byte(`{}`),
		}
		if random.IntN(2) == 0 {
			e.Correlation = fmt.Sprint("request-", random.IntN(5))
		}
		mustAppend(t, s, fmt.Sprint([]string{"order", "user", "order/x"}[random.IntN(3)], "-", random.IntN(4)), annals.Any, e)
	}
	return Collect(t, s.Log(t.Context(), annals.Query{}))
}

// expect is what q means, by the plainest code.
func expect(events []annals.Event, q annals.Query) []string {
	ids := []string{}
	for _, e := range events {
		if q.Match(&e) {
			ids = append(ids, e.ID)
		}
	}
	if q.Backward {
		slices.Reverse(ids)
	}
	if q.Limit > 0 && len(ids) > q.Limit {
		ids = ids[:q.Limit]
	}
	return ids
}

var queryClauses = []clause{
	{"each field of a query selects", func(t *testing.T, s *annals.Store) {
		all := mixed(t, s, 60)
		for _, q := range []annals.Query{
			{}, {Backward: true}, {Limit: 7}, {After: 50}, {After: 59}, {After: 60}, {After: 1000}, {Until: 5}, {After: 10, Until: 12}, {Until: 1000},
			{Types: []string{"type-1"}}, {Types: []string{"type-0", "type-3"}}, {Types: []string{"none"}}, {Types: []string{"type-1", "type-1"}},
			{Sources: []string{"source-2"}}, {Sources: []string{"source-0", "source-1"}, Types: []string{"type-2"}},
			{Correlation: "request-3"}, {Correlation: "none"}, {Correlation: "request-1", Types: []string{"type-1", "type-2"}},
			{Prefix: "order"}, {Prefix: "order/"}, {Prefix: "order-1"}, {Prefix: "z"},
			{Since: Epoch.Add(50 * time.Second)}, {Before: Epoch.Add(50 * time.Second)}, {Since: Epoch.Add(20 * time.Second), Before: Epoch.Add(21 * time.Second)},
		} {
			for _, q.Backward = range []bool{false, true} {
				wantIDs(t, s.Log(t.Context(), q), expect(all, q)...)
			}
		}
	}},
	{"fields of a query combine", func(t *testing.T, s *annals.Store) {
		all := mixed(t, s, 120)
		random := rand.New(rand.NewPCG(3, 4))
		pick := func(prefix string, n int) []string {
			var names []string
			for range random.IntN(3) {
				names = append(names, fmt.Sprint(prefix, random.IntN(n+1)))
			}
			return names
		}
		for range 150 {
			q := annals.Query{Types: pick("type-", 4), Sources: pick("source-", 3), Backward: random.IntN(2) == 0, Limit: random.IntN(2) * random.IntN(20)}
			if random.IntN(3) == 0 {
				q.Correlation = fmt.Sprint("request-", random.IntN(6))
			}
			if random.IntN(3) == 0 {
				q.Prefix = []string{"order", "user-1", "order/"}[random.IntN(3)]
			}
			if random.IntN(3) == 0 {
				q.Since = Epoch.Add(time.Duration(random.IntN(60)) * time.Second)
			}
			if random.IntN(3) == 0 {
				q.Before = Epoch.Add(time.Duration(random.IntN(100)) * time.Second)
			}
			if random.IntN(3) == 0 {
				q.After = random.Int64N(130)
			}
			if random.IntN(3) == 0 {
				q.Until = random.Int64N(130)
			}
			wantIDs(t, s.Log(t.Context(), q), expect(all, q)...)
		}
	}},
}
