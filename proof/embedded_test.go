package proof_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/proof"
)

// A segment is the only one of a small store, as records: what somebody who can write
// to the disk, and knows the format, makes of it.
type segment struct {
	path     string
	prologue []byte
	size     int
	records  []record
}

// A record is one event as it lies in the log: see embedded/record.go.
type record []byte

const (
	prologueSize = 64
	positionAt   = 16
	versionAt    = 24
	batchAt      = 32
	previousAt   = 56
	firstMagic   = 0x464e4e41
	lengthMask   = 1<<21 - 1
)

func (r record) headerLength() int {
	if binary.LittleEndian.Uint32(r[52:]) == firstMagic {
		return previousAt + len(annals.Hash{})
	}
	return previousAt
}

func (r record) bodyEnd() int {
	return r.headerLength() + int(binary.LittleEndian.Uint32(r[8:])&lengthMask)
}

func (r record) number(at int) int64       { return int64(binary.LittleEndian.Uint64(r[at:])) }
func (r record) setNumber(at int, n int64) { binary.LittleEndian.PutUint64(r[at:], uint64(n)) }

func (r record) setPrevious(h annals.Hash) {
	for i, b := range h {
		r[previousAt+i] = ^b
	}
}

// seal makes the checksums fit.
func (r record) seal() {
	table := crc32.MakeTable(crc32.Castagnoli)
	n := r.headerLength()
	binary.LittleEndian.PutUint32(r[4:], crc32.Checksum(r[n:r.bodyEnd()], table))
	binary.LittleEndian.PutUint32(r, crc32.Checksum(r[4:n], table))
}

func readSegment(t *testing.T, dir string) *segment {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "log", "*.log"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("segments %v, %v", paths, err)
	}
	text, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	s := &segment{path: paths[0], prologue: text[:prologueSize], size: len(text)}
	for at := prologueSize; binary.LittleEndian.Uint32(text[at+52:]) != 0; {
		r := record(text[at:])
		size := (r.bodyEnd() + 7) &^ 7
		s.records = append(s.records, slices.Clone(r[:size]))
		at += size
	}
	return s
}

// write puts the records behind each other, with positions that fit.
func (s *segment) write(t *testing.T) {
	t.Helper()
	text := slices.Clone(s.prologue)
	for i, r := range s.records {
		r.setNumber(positionAt, int64(i+1))
		r.setNumber(batchAt, int64(len(text)))
		r.seal()
		text = append(text, r...)
	}
	if err := os.WriteFile(s.path, append(text, make([]byte, s.size-len(text))...), 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *annals.Store {
	t.Helper()
	store, err := embedded.Open(dir, &embedded.Options{Logger: slog.New(slog.DiscardHandler), Store: &annals.Options{Clock: func() time.Time { return time.Unix(1600000000, 0) }}})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// fill makes a store of twelve events, each a commit but 7 and 8: odd positions are of
// stream a, even ones of b, and 7 and 8 of c.
func fill(t *testing.T, dir string) *proof.Witness {
	t.Helper()
	store := open(t, dir)
	for i := 1; i <= 12; i++ {
		stream := []string{"b", "a"}[i%2]
		events := []annals.Event{{ID: fmt.Sprint(i), Type: "T", Data: fmt.Appendf(nil, `{"n":%d}`, 100+i)}}
		if i == 7 {
			stream, i = "c", 8
			events = append(events, annals.Event{ID: "8", Type: "T"})
		}
		if _, err := store.Append(t.Context(), stream, annals.Any, events...); err != nil {
			t.Fatal(err)
		}
	}
	w, err := proof.MakeWitness(t.Context(), store, 12, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return w
}

// hashOf is that of the commit of one event at an index of the log.
func (s *segment) hashOf(t *testing.T, store *annals.Store, position int64) annals.Hash {
	t.Helper()
	for c, err := range store.Chain(t.Context(), position-1, position) {
		if err != nil {
			t.Fatal(err)
		}
		return c.Hash()
	}
	t.Fatalf("no commit ends at position %d", position)
	return annals.Hash{}
}

// Somebody changes the files of a real store, and makes all checksums fit.
func TestVerifyNamesChangedFiles(t *testing.T) {
	const rewritten = ": changed: this is not what the root was made of"
	for name, c := range map[string]struct {
		do   func(s *segment)
		want []string
	}{
		"a changed byte": {
			func(s *segment) { s.records[2][s.records[2].bodyEnd()-2]++ },
			[]string{"a@2 (position 3): changed: its hash is", "positions 3 to 4" + rewritten},
		},
		"a changed byte of the last event": {
			func(s *segment) { s.records[11][s.records[11].bodyEnd()-2]++ },
			[]string{"positions 11 to 12" + rewritten},
		},
		"a removed commit": {
			func(s *segment) {
				s.records = slices.Delete(s.records, 4, 5)
				s.records[7].setNumber(versionAt, 3) // of those of a behind it
				s.records[9].setNumber(versionAt, 4)
			},
			[]string{"a@2 (position 3): changed: its hash is", "a@3 (position 8): changed: its hash is", "position 12: missing: the root is of 12 events", "positions 5 to 10" + rewritten},
		},
		"a removed commit, versions left": {
			func(s *segment) { s.records = slices.Delete(s.records, 4, 5) },
			[]string{"a@3: missing: the stream goes on with version 4 at position 8", "position 12: missing: the root is of 12 events", "positions 5 to 10" + rewritten},
		},
		"a reordered pair of two streams": {
			func(s *segment) { s.records[2], s.records[3] = s.records[3], s.records[2] },
			[]string{"positions 3 to 4" + rewritten},
		},
		"a reordered pair of one stream": {
			func(s *segment) {
				s.records[2], s.records[4] = s.records[4], s.records[2]
				s.records[2].setNumber(versionAt, 2)
				s.records[4].setNumber(versionAt, 3)
			},
			[]string{"a@1 (position 1): changed", "a@2 (position 3): changed", "a@3 (position 5): changed", "positions 3 to 6" + rewritten},
		},
		"a truncated end": {
			func(s *segment) { s.records = s.records[:10] },
			[]string{"positions 11 to 12: missing: the root is of 12 events, and the log ends here"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w := fill(t, dir)
			s := readSegment(t, dir)
			c.do(s)
			s.write(t)
			wantFindings(t, dir, w, c.want)
		})
	}
}

func wantFindings(t *testing.T, dir string, w *proof.Witness, want []string) {
	t.Helper()
	store := open(t, dir)
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	r, err := proof.Verify(t.Context(), store, w.Root, &proof.VerifyOptions{Witness: w})
	if err != nil {
		t.Fatal(err)
	}
	same := len(r.Findings) == len(want)
	for i := 0; same && i < len(want); i++ {
		same = strings.HasPrefix(r.Findings[i].String(), want[i])
	}
	if !same {
		t.Errorf("found %v\nwant %q", r.Findings, want)
	}
}

// A tail that was written anew with the hashes that belong to it is named by its block.
func TestVerifyNamesARewrittenTail(t *testing.T) {
	dir := t.TempDir()
	w := fill(t, dir)
	s := readSegment(t, dir)
	r := s.records[8]
	r[r.bodyEnd()-2]++ // a@4, whose hash a@5 names
	s.write(t)
	store := open(t, dir)
	s.records[10].setPrevious(s.hashOf(t, store, 9))
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	s.write(t)
	if r, err := embedded.Verify(dir, &embedded.Options{Logger: slog.New(slog.DiscardHandler)}); err != nil || len(r.Problems) > 0 {
		t.Fatalf("the tail does not fit: %v, %v", r.Problems, err)
	}
	wantFindings(t, dir, w, []string{"positions 9 to 12: changed: this is not what the root was made of"})
}

// Nothing is found where nothing was changed, and what was rebuilt is byte for byte what
// it was, so that the tests above change what they say.
func TestVerifyOfUntouchedFiles(t *testing.T) {
	dir := t.TempDir()
	w := fill(t, dir)
	s := readSegment(t, dir)
	if len(s.records) != 12 || s.records[8].number(versionAt) != 4 || s.records[7].number(versionAt) != 2 {
		t.Fatalf("%d records", len(s.records))
	}
	s.write(t)
	wantFindings(t, dir, w, nil)
}
