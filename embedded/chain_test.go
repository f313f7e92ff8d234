package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
)

// forge writes a store of these commits as somebody may who knows the format:
// positions and versions follow each other, all checksums are right, and so is the
// hash in the segment's footer. Only the hashes of commits are what they were.
func forge(t *testing.T, fs vfs.FS, commits []annals.ChainedCommit) {
	t.Helper()
	if err := fs.MkdirAll("store/log", 0o755); err != nil {
		t.Fatal(err)
	}
	at := place{address: prologueSize, batch: prologueSize}
	var records []byte
	versions := map[string]int64{}
	for _, c := range commits {
		at.previous = c.Previous
		for i, e := range c.Events {
			versions[e.Stream]++
			at.position++
			at.version = versions[e.Stream]
			at.address = prologueSize + int64(len(records))
			record := appendRecord(nil, e.Stream, &e, i, len(c.Events))
			if c.Unchained {
				record = appendRecord(nil, e.Stream, &e, i+1, len(c.Events))
				binary.LittleEndian.PutUint16(record[12:], uint16(i))
			}
			finishRecord(record, at)
			records = append(records, record...)
		}
	}
	segment, err := createSegment(fs, "store/log", 0, minSegmentSize)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := segment.file.WriteAt(records, prologueSize); err != nil {
		t.Fatal(err)
	}
	end := prologueSize + int64(len(records))
	digest, err := segment.hashTo(end)
	if err == nil {
		err = segment.writeFooter(footer{end: end, hash: digest.Sum64(), position: at.position})
	}
	if err == nil {
		err = segment.close()
	}
	if err == nil {
		segment, err = createSegment(fs, "store/log", segment.size, minSegmentSize)
	}
	if err == nil {
		err = errors.Join(segment.close(), writeFormat(fs, "store", currentFormat.Version))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// sixCommits are commits as a store has them: a@1-2, b@1, a@3, a@4-6, b@2, a@7.
func sixCommits(t *testing.T) (commits []annals.ChainedCommit) {
	t.Helper()
	s := openTest(t, "store", Options{FS: vfs.NewMem()})
	defer mustClose(t, s)
	for i, size := range []int{2, 1, 1, 3, 1, 1} {
		var events []annals.Event
		for k := range size {
			events = append(events, storetest.Event(fmt.Sprint(i, "-", k), "T", fmt.Sprintf(`"%d"`, i)))
		}
		if _, err := s.Append(t.Context(), []string{"a", "b", "a", "a", "b", "a"}[i], annals.Any, events...); err != nil {
			t.Fatal(err)
		}
	}
	for c, err := range s.Chain(t.Context(), 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		commits = append(commits, c)
	}
	return commits
}

// What is changed, removed or put elsewhere is named by Verify though every checksum
// is right, at the first commit that does not follow from what is before it.
func TestVerifyFollowsTheChain(t *testing.T) {
	type commits = []annals.ChainedCommit
	for name, c := range map[string]struct {
		harm func(c commits) commits
		want string // the one problem names this; none if it is empty
	}{
		"nothing":                              {func(c commits) commits { return c }, ""},
		"a byte":                               {func(c commits) commits { c[2].Events[0].Data[1] = '9'; return c }, "a@4 at position 5"},
		"a type":                               {func(c commits) commits { c[3].Events[1].Type = "U"; return c }, "a@7 at position 9"},
		"the first removed":                    {func(c commits) commits { return c[1:] }, "a@1 at position 2"},
		"a middle one removed":                 {func(c commits) commits { return slices.Delete(c, 2, 3) }, "a@3 at position 4"},
		"the last but one of a stream removed": {func(c commits) commits { return slices.Delete(c, 3, 4) }, "a@4 at position 6"},
		"two swapped":                          {func(c commits) commits { c[2], c[3] = c[3], c[2]; return c }, "a@3 at position 4"},
		"moved elsewhere":                      {func(c commits) commits { c[4].Events[0].Stream = "c"; return c }, "c@1 at position 8"},
		"another hash":                         {func(c commits) commits { c[2].Previous[7] ^= 1; return c }, "a@3 at position 4"},
		"no hash":                              {func(c commits) commits { c[3].Previous = annals.Hash{}; return c }, "a@4 at position 5"},
		"made to look old":                     {func(c commits) commits { c[5].Unchained = true; return c }, "a@7 at position 9"},
		"one slipped in": {func(c commits) commits {
			return slices.Insert(c, 3, annals.ChainedCommit{Previous: c[2].Hash(), Events: []annals.Event{{ID: "x", Type: "T", Stream: "a", Source: "s"}}})
		}, "a@5 at position 6"},
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			forge(t, fs, c.harm(sixCommits(t)))
			r, err := Verify("store", &Options{FS: fs, Logger: quiet()})
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" && len(r.Problems) > 0 || c.want != "" && (len(r.Problems) == 0 || !strings.Contains(r.Problems[0], "the commit of "+c.want+" ")) {
				t.Fatalf("problems %q, want %q", r.Problems, c.want)
			}
		})
	}
}

// Behind damage, Verify says nothing about chains that it can't follow, and follows
// them again from the next commit on.
func TestVerifyTakesUpTheChainBehindDamage(t *testing.T) {
	for _, changed := range []bool{false, true} {
		fs := vfs.NewMem()
		commits := sixCommits(t)
		if changed {
			commits[3].Events[2].Data[1] = '8'
		}
		forge(t, fs, commits)
		name := fs.PathJoin("store/log", segmentName(0))
		file, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
		if err == nil {
			_, err = file.WriteAt([]byte{1}, prologueSize)
		}
		if err == nil {
			err = file.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		r, err := Verify("store", &Options{FS: fs, Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		if found := strings.Contains(strings.Join(r.Problems, "\n"), "the commit of "); found != changed {
			t.Fatalf("a commit was changed behind damage: %v, problems %q", changed, r.Problems)
		}
	}
}

// The hash of a stream's last commit comes from a tail, from the index, or from the
// log where neither has it; each is the same.
func TestHashOfTheLastCommitIsFoundEverywhere(t *testing.T) {
	dir := t.TempDir()
	opts := Options{sealEvery: 20}
	for round := range 6 {
		d := testDriver(t, dir, opts).(*driver)
		s := annals.New(d, nil)
		for i := range 30 {
			events := make([]annals.Event, 1+i%3)
			for k := range events {
				events[k] = storetest.Event(fmt.Sprint(round, "-", i, "-", k), "T", `1`)
			}
			if _, err := s.Append(t.Context(), fmt.Sprint("s", i*7%(3+round)), annals.Any, events...); err != nil {
				t.Fatal(err)
			}
		}
		mustClose(t, s)
		if round == 3 {
			if _, err := Reindex(dir, &Options{Logger: quiet(), sealEvery: 7}); err != nil {
				t.Fatal(err)
			}
		}
		r, err := Verify(dir, &Options{Logger: quiet()})
		if err != nil || len(r.Problems) > 0 {
			t.Fatalf("round %d: %v, %q", round, err, r.Problems)
		}
	}
}

// An index with the hash of another commit is found, as appends would go on from it.
func TestVerifyComparesTheHashesOfTheIndex(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, Options{sealEvery: 20})
	fill(t, s, 0, 200)
	mustClose(t, s)
	opts := Options{Logger: quiet()}
	opts = opts.orDefaults()
	x, err := openIndex(opts.FS, opts.FS.PathJoin(dir, indexDir), quiet())
	if err != nil {
		t.Fatal(err)
	}
	h, err := x.head("stream-5")
	if err != nil || h.hash == (annals.Hash{}) {
		t.Fatalf("the index has %+v, %v", h, err)
	}
	h.hash[0] ^= 1
	if err := x.db.Set(nameKey(streamHead, "stream-5"), appendHead(nil, h), pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	if err := x.db.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := x.close(); err != nil {
		t.Fatal(err)
	}
	r, err := Verify(dir, &opts)
	if err != nil || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "stream-5@") {
		t.Fatalf("%q, %v", r.Problems, err)
	}
}
