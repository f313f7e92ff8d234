package embedded

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
)

// A smallStore is a closed store of a few kilobytes with sealed segments, two sealed
// tails, and what was appended to it. Its newest commit has sectors of nothing but zeros.
type smallStore struct {
	fs      *vfs.MemFS
	commits []annals.Append
	ends    map[string]int64 // by segment: behind its last record
	sealed  map[string]bool
	spare   string // a segment that was made ahead
}

func tiny(fs vfs.FS) Options {
	return Options{FS: fs, Logger: quiet(), sealEvery: 6, maxSegment: 1 << 10}
}

func makeSmallStore(t *testing.T) smallStore {
	t.Helper()
	small := smallStore{fs: vfs.NewCrashableMem(), ends: map[string]int64{}, sealed: map[string]bool{}}
	for i := range 9 {
		a := annals.Append{Stream: fmt.Sprint("s", i%2), Expected: annals.Any}
		for k := range 1 + i%2 {
			e := storetest.Event(fmt.Sprint(i, "-", k), "T", fmt.Sprintf(`"%0*d"`, 40*i, i))
			e.Time, e.Source, e.Correlation = storetest.Epoch, "s", "r"
			if i == 8 {
				e.ContentType, e.Data = "application/octet-stream", make([]byte, 1500)
			}
			a.Events = append(a.Events, e)
		}
		small.commits = append(small.commits, a)
	}
	d := testDriver(t, "store", tiny(small.fs)).(*driver)
	s := annals.New(d, nil)
	for _, a := range small.commits {
		if _, err := s.Append(t.Context(), a.Stream, a.Expected, a.Events...); err != nil {
			t.Fatal(err)
		}
		d.sealing.Wait()
	}
	if runs := *d.index.runs.Load(); len(runs) != 2 {
		t.Fatalf("%d tails are sealed, want 2", len(runs))
	}
	for _, segment := range d.log.segments() {
		end := prologueSize + int64(0)
		if segment.footer != nil {
			end = segment.footer.end
		} else if segment == d.commit.active {
			end = d.end.address - segment.base
		}
		small.ends[segment.name], small.sealed[segment.name] = end, segment.footer != nil
	}
	active, end := d.commit.active.name, small.ends[d.commit.active.name]
	mustClose(t, s)
	for name := range contents(t, small.fs, "store/log") {
		if _, known := small.ends[name]; !known {
			small.spare, small.ends[name] = name, prologueSize
		}
	}
	if end == prologueSize {
		t.Fatalf("the newest segment %s holds nothing", active)
	}
	if len(small.ends) < 4 || !small.sealed["store/log/"+segmentName(0)] {
		t.Fatalf("segments %v, sealed %v", small.ends, small.sealed)
	}
	return small
}

func (s *smallStore) copy() *vfs.MemFS {
	return s.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
}

// facts reports whether a byte of a segment is in use: up to its last record, and in a
// sealed one throughout.
func (s *smallStore) facts(segment string, at int64) bool {
	return at < s.ends[segment] || s.sealed[segment]
}

// wantRefused wants a store with a damaged file to be refused by its name, or, if it may
// pass, to hold all that was appended; and the refusal to leave every file as it is.
func (s *smallStore) wantRefused(fs *vfs.MemFS, t *testing.T, file string, mayPass bool) (refused bool, err error) {
	before := contents(t, fs, "store")
	opts := tiny(fs)
	store, err := Open("store", &opts)
	if err == nil {
		_, err = wantBeginning(store, s.commits, len(s.commits))
		if err = errors.Join(err, store.Close()); err == nil && !mayPass {
			err = errors.New("the damage was not noticed")
		}
		return false, err
	}
	if !strings.Contains(err.Error(), path.Base(file)) && !errors.Is(err, annals.ErrInvalid) {
		return true, fmt.Errorf("the refusal does not name the file: %w", err)
	}
	if !errors.Is(err, annals.ErrDamaged) && !errors.Is(err, annals.ErrInvalid) {
		return true, err
	}
	if !maps.Equal(before, contents(t, fs, "store")) {
		return true, errors.New("the refusal changed files")
	}
	return true, nil
}

func overwrite(t *testing.T, fs vfs.FS, file string, text []byte) {
	t.Helper()
	if err := writeFile(fs, file, slices.Clone(text)); err != nil {
		t.Fatal(err)
	}
}

// truthFiles are FORMAT and the segments.
func (s *smallStore) truthFiles() []string {
	return append(slices.Sorted(maps.Keys(s.ends)), "store/"+formatFile)
}

// Every bit of a small store's log is flipped, one at a time. Each that carries a fact
// is named and refuses to open; behind the end of the log, where nothing is, it may be
// passed over. Files stay as they are.
func TestDurabilityEveryFlippedBit(t *testing.T) {
	small := makeSmallStore(t)
	flipped, refusals := 0, 0
	for _, file := range small.truthFiles() {
		text := readAll(t, small.fs, file)
		for bit := int64(0); bit < int64(len(text))*8; bit += some(41) {
			fs := small.copy()
			harmed := slices.Clone(text)
			harmed[bit/8] ^= 1 << (bit % 8)
			overwrite(t, fs, file, harmed)
			mayPass := !small.facts(file, bit/8) // FORMAT is JSON: a capital F may pass
			refused, err := small.wantRefused(fs, t, file, mayPass)
			if err != nil {
				t.Fatalf("bit %d of byte %d of %s: %v", bit%8, bit/8, file, err)
			}
			if flipped++; refused {
				refusals++
			}
		}
	}
	t.Logf("%d bits, %d refused, in the others is nothing", flipped, refusals)
}

// Every file of a small store's log is cut off at each of its bytes, and removed.
func TestDurabilityEveryTruncation(t *testing.T) {
	small := makeSmallStore(t)
	cuts := 0
	for _, file := range small.truthFiles() {
		text := readAll(t, small.fs, file)
		for n := int64(-1); n < int64(len(text)); n += some(5) {
			fs := small.copy()
			if n < 0 {
				if err := fs.Remove(file); err != nil {
					t.Fatal(err)
				}
			} else {
				overwrite(t, fs, file, text[:n])
			}
			mayPass := strings.HasSuffix(file, formatFile) && n == int64(len(text))-1 || n < 0 && (strings.HasSuffix(file, formatFile) || small.spare == file)
			if _, err := small.wantRefused(fs, t, file, mayPass); err != nil {
				t.Fatalf("%s cut off at %d: %v", file, n, err)
			}
			cuts++
		}
	}
	t.Logf("%d truncations", cuts)
}

// wantWhole wants exactly these commits, and Verify to find nothing.
func wantWhole(opts Options, commits []annals.Append) error {
	s, err := Open("store", &opts)
	if err != nil {
		return err
	}
	_, err = wantBeginning(s, commits, len(commits))
	if err = errors.Join(err, s.Close()); err != nil {
		return err
	}
	r, err := Verify("store", &opts)
	if err == nil && len(r.Problems) > 0 {
		err = fmt.Errorf("verify: %q", r.Problems)
	}
	return err
}

// A power failure leaves any of the sectors of the newest write, in any combination.
// Whole commits of its beginning may be there, parts of one never, and a store is never
// refused for it.
func TestDurabilityEveryTornWrite(t *testing.T) {
	zeros := storetest.Event("zeros", "T", "")
	zeros.ContentType, zeros.Data, zeros.Time, zeros.Source = "application/octet-stream", make([]byte, 1300), storetest.Epoch, "s"
	first := storetest.Event("1", "T", `1`)
	first.Time, first.Source = storetest.Epoch, "s"
	steps := workload()
	large := slices.Concat(steps[4][0].Events, steps[4][3].Events)
	torn := tearWrite(t, 1, steps[4][:3], some(3)) + tearWrite(t, 1, []annals.Append{{Stream: "a", Expected: annals.Any, Events: large}}, some(3))
	// Wherever a record's header lies in its sector, also across two of them.
	for shift := 0; shift < sector/recordAlign; shift += int(some(5)) {
		torn += tearWrite(t, 1+shift*recordAlign, []annals.Append{{Stream: "a", Expected: annals.Any, Events: []annals.Event{first, zeros}}}, 1)
	}
	t.Logf("%d torn writes", torn)
}

// tearWrite appends an event with so many bytes of data and then a batch, and tears the
// batch in every way, or one in so many of them.
func tearWrite(t *testing.T, shift int, write []annals.Append, one int64) (torn int) {
	t.Helper()
	fs := vfs.NewCrashableMem()
	s := openTest(t, "store", Options{FS: fs, maxSegment: 16 << 10})
	e := storetest.Event("before", "T", fmt.Sprintf("%0*d", shift, 0))
	e.Time, e.Source, e.ContentType = storetest.Epoch, "s", "text/plain"
	before := []annals.Append{{Stream: "b", Expected: annals.Any, Events: []annals.Event{e}}}
	withBatch := func(batch []annals.Append) []byte {
		if _, err := s.AppendAll(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		return readAll(t, fs, "store/log/"+segmentName(0))
	}
	old, changed := withBatch(before), withBatch(write)
	mustClose(t, s)
	return tearEvery(t, fs, old, changed, slices.Concat(before, write), one)
}

func tearEvery(t *testing.T, fs *vfs.MemFS, old, changed []byte, commits []annals.Append, one int64) (torn int) {
	t.Helper()
	var sectors []int
	for at := 0; at < len(old); at += sector {
		if string(old[at:at+sector]) != string(changed[at:at+sector]) {
			sectors = append(sectors, at)
		}
	}
	if len(sectors) == 0 || len(sectors) > 12 {
		t.Fatalf("the write is in %d sectors", len(sectors))
	}
	all := 1<<len(sectors) - 1
	for kept := int64(0); kept <= int64(all); kept += one {
		text := slices.Clone(old)
		for i, at := range sectors {
			if kept&(1<<i) != 0 {
				copy(text[at:at+sector], changed[at:at+sector])
			}
		}
		crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
		overwrite(t, crashed, "store/log/"+segmentName(0), text)
		opts := Options{FS: crashed, Logger: quiet(), maxSegment: 16 << 10}
		s, err := Open("store", &opts)
		if err != nil {
			t.Fatalf("sectors %b of %b: %v", kept, all, err)
		}
		n, err := wantBeginning(s, commits, 1)
		if err = errors.Join(err, s.Close()); err == nil && kept == int64(all) && n < len(commits) {
			err = errors.New("all of it is there")
		}
		if err == nil {
			err = wantWhole(opts, commits[:n])
		}
		if err != nil {
			t.Fatalf("sectors %b of %b, %d commits: %v", kept, all, n, err)
		}
		torn++
	}
	return torn
}
