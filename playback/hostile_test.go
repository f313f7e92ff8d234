package playback_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/storetest"
	"github.com/eb901187/annals/storetest/stores"
)

// What can't be played back is refused before anything is recorded or made.
func TestRefusals(t *testing.T) {
	store, dir := stores.Memory(t, nil), t.TempDir()
	fill(t, store, 10)
	taken := filepath.Join(dir, "taken")
	if err := os.WriteFile(taken, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	tooMany := slices.Repeat([]string{"s"}, 1001)
	for name, c := range map[string]struct {
		s      playback.Selection
		target playback.Target
		opts   playback.Options
		code   annals.Code
		want   string
	}{
		"from past the end":      {s: playback.Selection{From: 11}, code: annals.CodeInvalid, want: "position 11 is past the end of the log, which is at 10"},
		"to past the end":        {s: playback.Selection{To: math.MaxInt64}, code: annals.CodeInvalid, want: "past the end"},
		"from behind to":         {s: playback.Selection{From: 5, To: 4}, code: annals.CodeInvalid, want: "4 is before 5"},
		"negative position":      {s: playback.Selection{From: -1}, code: annals.CodeInvalid, want: "from 1"},
		"since after until":      {s: playback.Selection{Since: storetest.Epoch, Until: storetest.Epoch.Add(-1)}, code: annals.CodeInvalid, want: "before since"},
		"star in the middle":     {s: playback.Selection{Streams: []string{"a*b"}}, code: annals.CodeInvalid, want: "streams[0]"},
		"two stars":              {s: playback.Selection{Streams: []string{"a", "b**"}}, code: annals.CodeInvalid, want: "streams[1]"},
		"empty stream":           {s: playback.Selection{Streams: []string{""}}, code: annals.CodeInvalid, want: "must not be empty"},
		"a parent":               {s: playback.Selection{Streams: []string{"../x"}}, code: annals.CodeInvalid, want: "no stream's name"},
		"prefix of no stream":    {s: playback.Selection{Streams: []string{"a b*"}}, code: annals.CodeInvalid, want: "starts no stream's name"},
		"too many streams":       {s: playback.Selection{Streams: tooMany}, code: annals.CodeInvalid, want: "1001"},
		"too many types":         {s: playback.Selection{Types: tooMany}, code: annals.CodeInvalid, want: "types"},
		"empty type":             {s: playback.Selection{Types: []string{""}}, code: annals.CodeInvalid, want: "empty name"},
		"no match":               {s: playback.Selection{Types: []string{"none"}}, code: annals.CodeNotFound, want: "nothing to do up to position 10"},
		"no match in the time":   {s: playback.Selection{Since: storetest.Epoch.Add(time.Hour)}, code: annals.CodeNotFound, want: "nothing to do"},
		"bad id":                 {opts: playback.Options{ID: "a/b"}, code: annals.CodeInvalid, want: "id of a playback"},
		"long id":                {opts: playback.Options{ID: strings.Repeat("x", 61)}, code: annals.CodeInvalid, want: "id of a playback"},
		"negative rate":          {opts: playback.Options{Rate: -1}, code: annals.CodeInvalid, want: "rate"},
		"no rate":                {opts: playback.Options{Rate: math.NaN()}, code: annals.CodeInvalid, want: "rate"},
		"the source":             {target: playback.ToStore(store, "here"), code: annals.CodeInvalid, want: "is the store that is played back"},
		"a bad stream":           {target: playback.ToStream("a//b"), code: annals.CodeInvalid, want: "no stream's name"},
		"no stream":              {target: playback.ToStream(""), code: annals.CodeInvalid, want: "no stream's name"},
		"a file that exists":     {target: playback.ToFile(taken), code: annals.CodeConflict, want: "exists already"},
		"a directory":            {target: playback.ToFile(dir), code: annals.CodeConflict, want: "exists already"},
		"a file in no directory": {target: playback.ToFile(filepath.Join(dir, "no", "x")), code: annals.CodeNotFound, want: "no directory"},
		"a file in a file":       {target: playback.ToFile(filepath.Join(taken, "x")), code: annals.CodeNotFound, want: "no directory"},
		"a file with a NUL":      {target: playback.ToFile(filepath.Join(dir, "a\x00b")), code: annals.CodeInvalid, want: "can't be made"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := playback.Start(t.Context(), store, c.s, c.target, &c.opts)
			if annals.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %s with %q", err, c.code, c.want)
			}
		})
	}
	nothingRecorded(t, store, 10)
	if text, err := os.ReadFile(taken); err != nil || string(text) != "mine" {
		t.Fatalf("%q, %v", text, err)
	}
	if _, err := playback.Count(t.Context(), stores.Memory(t, nil), playback.Selection{}); !errors.Is(err, playback.ErrNothing) {
		t.Fatal(err)
	}
}

func nothingRecorded(t *testing.T, store *annals.Store, want int64) {
	t.Helper()
	if all, err := playback.List(t.Context(), store, nil); err != nil || len(all) > 0 {
		t.Fatalf("%+v, %v", all, err)
	}
	if end, err := store.End(t.Context()); err != nil || end != want {
		t.Fatalf("%d, %v", end, err)
	}
}

func TestRefusedResumes(t *testing.T) {
	store, c, dir := stores.Memory(t, nil), newClock(), t.TempDir()
	fill(t, store, 10)
	path := filepath.Join(dir, "a")
	if _, err := playback.Start(t.Context(), store, playback.Selection{}, playback.ToFile(path), c.options("a")); err != nil {
		t.Fatal(err)
	}
	refused := func(id string, target playback.Target, code annals.Code, want string) {
		t.Helper()
		r, err := playback.Resume(t.Context(), store, id, target, c.options("b"))
		if err == nil {
			_, err = r.Run(t.Context())
		}
		if annals.CodeOf(err) != code || !strings.Contains(err.Error(), want) {
			t.Fatalf("%v, want %s with %q", err, code, want)
		}
	}
	if _, err := playback.Start(t.Context(), store, playback.Selection{}, nil, c.options("b")); !errors.Is(err, annals.ErrConflict) {
		t.Fatal(err)
	}
	refused("none", nil, annals.CodeNotFound, "there is no playback none")
	refused("../x", nil, annals.CodeInvalid, "id of a playback")
	refused("pb", nil, annals.CodeInvalid, "goes to file "+path+", not to subscribers")
	refused("pb", playback.ToFile(path+"b"), annals.CodeInvalid, "goes to file "+path)
	if err := os.WriteFile(path, []byte("somebody's own\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("pb", playback.ToFile(path), annals.CodeConflict, "does not begin with an event of playback pb, and is left as it is")
	if text, err := os.ReadFile(path); err != nil || string(text) != "somebody's own\n" {
		t.Fatalf("%q, %v", text, err)
	}
	if p, err := playback.Show(t.Context(), store, "pb", nil); err != nil || p.State != playback.StateFailed || !strings.Contains(p.Error, "left as it is") {
		t.Fatalf("%+v, %v", p, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	opts := c.options("c")
	opts.At = func(s playback.Step) error { return stopAt(s, playback.StepProgressed) }
	r, err := playback.Resume(t.Context(), store, "pb", playback.ToFile(path), opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Run(t.Context()); !errors.Is(err, errPower) {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 10); err != nil {
		t.Fatal(err)
	}
	refused("pb", playback.ToFile(path), annals.CodeConflict, "has 10 bytes, and playback pb has written")
	if _, err := store.Append(t.Context(), playback.RecordPrefix+"odd", annals.Any, annals.Event{Type: "odd"}); err != nil {
		t.Fatal(err)
	}
	refused("odd", nil, annals.CodeDamaged, "does not record a playback")
}

// A failure in the middle is recorded, and a run goes on once it is mended.
func TestFailures(t *testing.T) {
	store, to, c := stores.Memory(t, nil), stores.Memory(t, nil), newClock()
	fill(t, store, 30)
	full := map[string]string{}
	for i := range annals.MaxAttributes - 1 {
		full[fmt.Sprint("a", i)] = "x"
	}
	if _, err := store.Append(t.Context(), "full", annals.Any, annals.Event{Type: "type-0", Attributes: full}); err != nil {
		t.Fatal(err)
	}
	r, err := playback.Start(t.Context(), store, playback.Selection{}, playback.ToStore(to, "there"), c.options("a"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := r.Run(t.Context())
	if !errors.Is(err, annals.ErrTooLarge) || !strings.Contains(err.Error(), "event full@1 has 31 attributes") || p.State != playback.StateFailed || p.Error == "" {
		t.Fatalf("%+v, %v", p, err)
	}

	taken := stores.Memory(t, nil)
	if _, err := taken.Append(t.Context(), "order-2", annals.Any, annals.Event{ID: "id 3", Type: "other"}); err != nil {
		t.Fatal(err)
	}
	opts := c.options("a")
	opts.ID = "taken"
	if r, err = playback.Start(t.Context(), store, playback.Selection{To: 30}, playback.ToStore(taken, "there"), opts); err != nil {
		t.Fatal(err)
	}
	if p, err = r.Run(t.Context()); !errors.Is(err, annals.ErrIDReused) || p.State != playback.StateFailed {
		t.Fatalf("%+v, %v", p, err)
	}
}

// A store that has the record of a playback is its source, whatever it was called.
func TestTheSourceUnderAnotherAddress(t *testing.T) {
	store := stores.Memory(t, nil)
	fill(t, store, 10)
	r, err := playback.Start(t.Context(), store, playback.Selection{}, playback.ToStore(behindHTTP(t, store), "http://other"), nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := r.Run(t.Context())
	if annals.CodeOf(err) != annals.CodeInvalid || !strings.Contains(err.Error(), "is the store that is played back") || p.State != playback.StateFailed || p.Count != 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	for e, err := range store.Log(context.Background(), annals.Query{After: 10}) {
		if err != nil || !strings.HasPrefix(e.Stream, playback.RecordPrefix) {
			t.Fatalf("%+v, %v", e, err)
		}
	}
}
