package dynamo

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
)

// An hour's difference between writers' clocks changes nothing but times.
func TestWritersAnHourApart(t *testing.T) {
	address := newAddress(t)
	mustInit(t, address)
	var stores []*annals.Store
	for i := range 2 {
		clock := func() time.Time { return time.Date(2026, 1, 1, 12+i, 0, 0, 0, time.UTC) }
		d := mustOpen(t, address, &Options{Poll: time.Millisecond, Clock: clock})
		sequencing(t, d)
		stores = append(stores, annals.New(d, &annals.Options{Clock: clock}))
	}
	for i := range 40 {
		commit, err := stores[i%2].Append(t.Context(), fmt.Sprint("s", i%3), annals.Any, storetest.Event("", "T", `1`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stores[1-i%2].Wait(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	wantSound(t, mustOpen(t, address, nil), 40)
}

// After a silence longer than the stream keeps records, and for a log that was
// never written, the table is enough.
func TestReindex(t *testing.T) {
	address := newAddress(t)
	mustInit(t, address)
	d := mustOpen(t, address, &Options{Poll: time.Millisecond, sizes: &smallSizes})
	at := storetest.Epoch
	store := annals.New(d, &annals.Options{Clock: func() time.Time { at = at.Add(time.Second); return at }})
	for i := range 60 {
		if _, err := store.Append(t.Context(), fmt.Sprint("s", i*7%5), annals.Any, storetest.Event(fmt.Sprint(i), "T", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
		if i == 40 {
			// Up to here in order of time, though the table has it by hash.
			if n, err := d.Reindex(t.Context(), nil); err != nil || n != 41 {
				t.Fatalf("reindexed %d, %v", n, err)
			}
			for k, e := range storetest.Collect(t, store.Log(t.Context(), annals.Query{})) {
				if e.ID != fmt.Sprint(k) {
					t.Fatalf("position %d holds event %s", k+1, e.ID)
				}
			}
		}
	}
	report, err := d.Verify(t.Context(), nil)
	if err != nil || report.Waiting != 19 || len(report.Problems) > 0 {
		t.Fatalf("verify: %+v, %v", report, err)
	}
	for _, want := range []int64{19, 0} {
		if n, err := d.Reindex(t.Context(), nil); err != nil || n != want {
			t.Fatalf("reindexed %d, %v; want %d", n, err, want)
		}
	}
	wantSound(t, d, 60)
}

// Verify must see each kind of damage.
func TestVerifyFindsDamage(t *testing.T) {
	for name, spoil := range map[string]struct {
		item func(d *Driver) (table, item)
		want string
	}{
		"a page with another event": {func(d *Driver) (table, item) {
			i := mustItem(t, d, d.calls.logTable(), keyLog, 10)
			i[attrEvents] = textValue(strings.Replace(i.text(attrEvents), `"id":"9"`, `"id":"x"`, 1))
			return d.calls.logTable(), i
		}, "differ between the log and the events table"},
		"a posting of nothing": {func(d *Driver) (table, item) {
			return d.calls.logTable(), (&posting{key: "t:none", run: 1, places: []int64{1}, count: 1}).item()
		}, "belongs to no event"},
		"a posting with other places": {func(d *Driver) (table, item) {
			return d.calls.logTable(), (&posting{key: "s:s1", run: 1, places: []int64{1}, count: 1, version: 1}).item()
		}, "differs from the events"},
		"a commit behind a hole": {func(d *Driver) (table, item) {
			i := mustItem(t, d, d.calls.eventsTable(), "s1", 1)
			i[attrVersion] = numberValue(100)
			return d.calls.eventsTable(), i
		}, "must come next"},
		"an item that is no commit": {func(d *Driver) (table, item) {
			return d.calls.eventsTable(), item{attrStream: textValue("s1"), attrVersion: numberValue(50)}
		}, "is no commit"},
	} {
		t.Run(name, func(t *testing.T) {
			address := newAddress(t)
			mustInit(t, address)
			d := mustOpen(t, address, &Options{Poll: time.Millisecond, sizes: &sizes{runPages: 9, runEvents: 99, runBytes: 1 << 20, pageEvents: 1, pageBytes: 1 << 20, commitUnits: 17, pageUnits: 9}})
			store := annals.New(d, nil)
			for i := range 10 {
				if _, err := store.Append(t.Context(), fmt.Sprint("s", i%2), annals.Any, storetest.Event(fmt.Sprint(i), "T", `1`)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := d.Reindex(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			wantSound(t, d, 10)
			where, what := spoil.item(d)
			if err := d.calls.write(t.Context(), where, []item{what}); err != nil {
				t.Fatal(err)
			}
			report, err := d.Verify(t.Context(), nil)
			if err != nil || !strings.Contains(strings.Join(report.Problems, "\n"), spoil.want) {
				t.Errorf("verify: %+v, %v; want a problem that says %q", report, err, spoil.want)
			}
		})
	}
}

func mustItem(t *testing.T, d *Driver, where table, pk string, sk int64) item {
	t.Helper()
	i, err := d.calls.get(t.Context(), where, pk, sk)
	if err != nil || i == nil {
		t.Fatalf("no item %s %d: %v", pk, sk, err)
	}
	return i
}
