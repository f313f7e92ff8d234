package dynamo

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
)

// forge makes a store whose events table holds what edit leaves of the commits of
// another one, and whose log is made from that, so that the two agree.
func forge(t *testing.T, edit func(items map[string]item)) *Driver {
	t.Helper()
	address := newAddress(t)
	mustInit(t, address)
	d := mustOpen(t, address, &Options{Poll: time.Millisecond})
	store := annals.New(d, nil)
	for i := range 12 {
		if _, err := store.Append(t.Context(), fmt.Sprint("s", i%2), annals.Any, storetest.Event(fmt.Sprint(i), "T", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	items := map[string]item{}
	for i, err := range d.calls.scan(t.Context(), d.calls.eventsTable()) {
		if err != nil {
			t.Fatal(err)
		}
		items[eventName(i.text(attrStream), i.number(attrVersion))] = i
	}
	edit(items)
	forged := address
	forged.Name = "forged"
	mustInit(t, forged)
	d = mustOpen(t, forged, &Options{Poll: time.Millisecond})
	if err := d.calls.write(t.Context(), d.calls.eventsTable(), slices.Collect(maps.Values(items))); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Reindex(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return d
}

// What was done to the events table is named by the hashes alone, where the log
// agrees with it.
func TestVerifyNamesForgedCommits(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(items map[string]item)
		want []string // each in one problem; none where nothing may be found
	}{
		"nothing": {func(map[string]item) {}, nil},
		"a changed byte": {func(items map[string]item) {
			i := items["s1@3"]
			i[attrEvents] = textValue(strings.Replace(i.text(attrEvents), `"data":5`, `"data":6`, 1))
		}, []string{"s1@4 names", "that of s1@3 is"}},
		"a changed time": {func(items map[string]item) { items["s1@1"][attrTime] = textValue("2026-01-01T00:00:00Z") }, []string{"s1@2 names", "that of s1@1 is"}},
		"a removed commit, and those behind it moved up": {func(items map[string]item) {
			for v := int64(3); v < 6; v++ {
				i := items[eventName("s1", v+1)]
				i[attrVersion] = numberValue(v)
				items[eventName("s1", v)] = i
			}
			delete(items, "s1@6")
		}, []string{"s1@3 names", "that of s1@2 is"}},
		"a removed first commit": {func(items map[string]item) {
			for v := int64(1); v < 6; v++ {
				i := items[eventName("s1", v+1)]
				i[attrVersion] = numberValue(v)
				items[eventName("s1", v)] = i
			}
			delete(items, "s1@6")
		}, []string{"s1@1 names", "there is none"}},
		"a swapped pair": {func(items map[string]item) {
			a, b := items["s1@3"], items["s1@4"]
			a[attrVersion], b[attrVersion] = b[attrVersion], a[attrVersion]
		}, []string{"s1@3 names", "s1@4 names", "s1@5 names"}},
		"exchanged events": {func(items map[string]item) {
			a, b := items["s1@3"], items["s1@4"]
			a[attrEvents], b[attrEvents] = b[attrEvents], a[attrEvents]
		}, []string{"s1@4 names", "that of s1@3 is", "s1@5 names"}},
		"a hash that was taken away": {func(items map[string]item) { delete(items["s1@3"], attrPrev) }, []string{"s1@4 names", "that of s1@3 is"}},
		"an event of another stream": {func(items map[string]item) {
			items["s1@3"][attrEvents] = items["s0@3"][attrEvents]
		}, []string{"s1@4 names"}},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := forge(t, c.edit).Verify(t.Context(), nil)
			if err != nil || report.Waiting > 0 || c.want == nil && len(report.Problems) > 0 {
				t.Fatalf("verify: %+v, %v", report, err)
			}
			all := strings.Join(report.Problems, "\n")
			for _, want := range c.want {
				if !strings.Contains(all, want) {
					t.Errorf("no problem says %q:\n%s", want, all)
				}
			}
			if strings.Contains(all, "s0@") {
				t.Errorf("of the sound stream it says\n%s", all)
			}
		})
	}
}

// A body in the bucket is not fetched for the hash that the next commit names: its
// item has the digest, which Verify holds against the body.
func TestVerifyComparesDigests(t *testing.T) {
	address := newAddress(t)
	mustInit(t, address)
	d := mustOpen(t, address, nil)
	store := annals.New(d, nil)
	for i := range 2 {
		if _, err := store.Append(t.Context(), "a", int64(i), noise(fmt.Sprint(i), 40<<10)); err != nil {
			t.Fatal(err)
		}
	}
	i := mustItem(t, d, d.calls.eventsTable(), "a", 2)
	i[attrDigest] = bytesValue(make([]byte, 31))
	if _, err := newStored(i); annals.CodeOf(err) != annals.CodeDamaged {
		t.Fatalf("a digest of 31 bytes: %v", err)
	}
	i[attrDigest] = bytesValue(append(make([]byte, 31), 1))
	if err := d.calls.write(t.Context(), d.calls.eventsTable(), []item{i}); err != nil {
		t.Fatal(err)
	}
	if _, err := annals.New(mustOpen(t, address, nil), nil).Append(t.Context(), "a", 2, small("3")); err != nil {
		t.Fatal(err)
	}
	report, err := d.Verify(t.Context(), nil)
	if all := strings.Join(report.Problems, "\n"); err != nil || !strings.Contains(all, "the item of a@2 names") || !strings.Contains(all, "a@3 names") {
		t.Errorf("verify: %+v, %v", report, err)
	}
}

// What a reader makes of the events that it was given is nothing to the hash that the
// next append of this process names.
func TestReadersMayChangeWhatTheyRead(t *testing.T) {
	for name, e := range map[string]annals.Event{"in the item": small("1"), "packed": letters("p1", 3000), "in the bucket": noise("1", 40<<10)} {
		for _, digest := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, digest kept %t", name, digest), func(t *testing.T) {
				address := newAddress(t)
				mustInit(t, address)
				e.Attributes = map[string]string{"a": "b"}
				if _, err := annals.New(mustOpen(t, address, nil), nil).Append(t.Context(), "a", 0, e); err != nil {
					t.Fatal(err)
				}
				d := mustOpen(t, address, nil)
				if i := mustItem(t, d, d.calls.eventsTable(), "a", 1); !digest {
					delete(i, attrDigest)
					if err := d.calls.write(t.Context(), d.calls.eventsTable(), []item{i}); err != nil {
						t.Fatal(err)
					}
				}
				store := annals.New(d, nil)
				for read, err := range store.Stream(t.Context(), "a", nil) {
					if err != nil {
						t.Fatal(err)
					}
					read.Data[0]++
					delete(read.Attributes, "a")
				}
				if _, err := store.Append(t.Context(), "a", 1, small("2")); err != nil {
					t.Fatal(err)
				}
				if _, err := d.Reindex(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
				wantSound(t, d, 2)
			})
		}
	}
}

// pagedStore is a store with a page for each of ten commits.
func pagedStore(t *testing.T) (*Driver, *annals.Store) {
	t.Helper()
	address := newAddress(t)
	mustInit(t, address)
	d := mustOpen(t, address, &Options{Poll: time.Millisecond, sizes: &sizes{runPages: 20, runEvents: 20, runBytes: 1 << 20, pageEvents: 1, pageBytes: 1 << 20, commitUnits: 17, pageUnits: 9}})
	store := annals.New(d, nil)
	appendPages(t, d, store, 10)
	return d, store
}

func appendPages(t *testing.T, d *Driver, store *annals.Store, n int) {
	t.Helper()
	for i := range n {
		if _, err := store.Append(t.Context(), fmt.Sprint("s", i%2), annals.Any, storetest.Event("", "T", `1`), storetest.Event("", "T", `2`)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Reindex(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

// retie changes the ties of the page at a position.
func retie(t *testing.T, d *Driver, position int64, ties []byte) {
	t.Helper()
	i := mustItem(t, d, d.calls.logTable(), keyLog, position)
	i[attrTies] = bytesValue(ties)
	if ties == nil {
		delete(i, attrTies)
	}
	if err := d.calls.write(t.Context(), d.calls.logTable(), []item{i}); err != nil {
		t.Fatal(err)
	}
}

// What only the log says of commits is held against the events table, the last
// commit's too.
func TestVerifyComparesTies(t *testing.T) {
	other := annals.Hash{1}
	for name, c := range map[string]struct {
		position int64
		ties     []byte
		want     string
	}{
		"another hash":                    {9, (&tie{count: 2, kind: tied, previous: other}).append(nil), "names " + other.String()},
		"another hash of the last commit": {19, (&tie{count: 2, kind: tied, previous: other}).append(nil), "names " + other.String()},
		"no hash of the last commit":      {19, (&tie{count: 2}).append(nil), "s1@9 has another hash in the log"},
		"cut in two":                      {19, (&tie{count: 1, kind: untied}).append((&tie{count: 1, kind: untied}).append(nil)), "s1@10 has another hash in the log"},
		"too few":                         {9, (&tie{count: 1}).append(nil), "position 9"},
		"too many":                        {9, (&tie{count: 3}).append(nil), "position 9"},
		"cut off":                         {9, (&tie{count: 2, kind: tied}).append(nil)[:20], "position 9"},
		"no number":                       {9, []byte{255}, "position 9"},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := pagedStore(t)
			retie(t, d, c.position, c.ties)
			report, err := d.Verify(t.Context(), nil)
			if err != nil || !strings.Contains(strings.Join(report.Problems, "\n"), c.want) {
				t.Errorf("verify: %+v, %v; want a problem that says %q", report, err, c.want)
			}
		})
	}
}

// Pages of a sequencer of an earlier version have no ties. The chain is the same
// with them, alone and in a run with others, and after a change of the table it
// says where.
func TestChainOfPagesWithoutTies(t *testing.T) {
	d, _ := pagedStore(t)
	read := func() (all []annals.ChainedCommit) {
		t.Helper()
		cold := annals.New(mustOpen(t, d.Address(), nil), nil)
		for c, err := range cold.Chain(t.Context(), 0, 20) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, c)
		}
		return all
	}
	hashes := func(all []annals.ChainedCommit) (h []annals.Hash) {
		for i := range all {
			h = append(h, all[i].Hash())
		}
		return h
	}
	want := hashes(read())
	for _, position := range []int64{1, 3, 9, 11} {
		retie(t, d, position, nil)
	}
	if got := hashes(read()); !slices.Equal(got, want) || len(got) != 10 {
		t.Fatalf("without ties %d commits are other ones", len(got))
	}
	wantSound(t, d, 20)
	// Now the run is sealed from such pages by a driver that sees them.
	sealing := mustOpen(t, d.Address(), &Options{Poll: time.Millisecond, sizes: &d.calls.sizes})
	appendPages(t, sealing, annals.New(sealing, nil), 2)
	if log, err := newView(d.calls).refresh(t.Context()); err != nil || len(log.runs) != 1 {
		t.Fatalf("%d runs, %v", len(log.runs), err)
	}
	if got := hashes(read()); !slices.Equal(got, want) {
		t.Fatal("sealed from pages without ties, the commits are other ones")
	}
	wantSound(t, d, 24)
	gone := mustItem(t, d, d.calls.eventsTable(), "s1", 5)
	gone[attrCount] = numberValue(1)
	if err := d.calls.write(t.Context(), d.calls.eventsTable(), []item{gone}); err != nil {
		t.Fatal(err)
	}
	var last error
	for _, last = range annals.New(mustOpen(t, d.Address(), nil), nil).Chain(t.Context(), 0, 20) {
	}
	wantMessage(t, last, annals.CodeDamaged, "s1@6")
}

// What an earlier version unpacks of a packed part is its text, and the other way
// round.
func TestTiesArePassedOver(t *testing.T) {
	text := []byte(strings.Repeat("{\"id\":\"1\"}\n", 50))
	ties := (&tie{count: 50, kind: tied, previous: annals.Hash{7}}).append(nil)
	for _, c := range []struct{ body, ties []byte }{
		{packPart(text, ties), ties}, {packPart(text, nil), nil}, {pack(text), nil},
	} {
		got, err := unpack(c.body)
		if err != nil || !slices.Equal(got, text) || !slices.Equal(tiesIn(c.body), c.ties) {
			t.Errorf("unpacked %d bytes and %d of ties, %v", len(got), len(tiesIn(c.body)), err)
		}
	}
}

func FuzzTies(f *testing.F) {
	f.Add((&tie{count: 2, kind: tied, previous: annals.Hash{1}}).append((&tie{count: 1}).append(nil)), 3)
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 1}, 5)
	f.Fuzz(func(t *testing.T, b []byte, events int) {
		if events < 0 || events > 1000 {
			return
		}
		ties, err := parseTies(b, events)
		if err != nil {
			return
		}
		sum, again := 0, []byte(nil)
		for i := range ties {
			sum += int(ties[i].count)
			again = ties[i].append(again)
		}
		back, err := parseTies(again, events)
		if sum != events || err != nil || !slices.Equal(back, ties) {
			t.Fatalf("%x of %d events became %+v and then %+v, %v", b, events, ties, back, err)
		}
	})
}
