package playback

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/storetest"
)

func mustAppend(t *testing.T, s *annals.Store, stream string, events ...annals.Event) {
	t.Helper()
	if _, err := s.Append(t.Context(), stream, annals.Any, events...); err != nil {
		t.Fatal(err)
	}
}

func TestForkRefusesBeforeItWrites(t *testing.T) {
	from := forkStore(t, nil)
	randomLog(t, forkRandom(t), from, 30)
	end := int64(len(logOf(t, from)))
	late := forkStore(t, nil) // its one stream begins after forkEpoch, and ends before
	mustAppend(t, late, "a", annals.Event{Type: "T", Time: forkEpoch.Add(time.Hour)}, annals.Event{Type: "T", Time: forkEpoch.Add(-time.Hour)})
	halfMade := forkStore(t, nil)
	at, _ := crashing(0)
	if _, err := Fork(t.Context(), from, halfMade, &ForkOptions{At: at}); !errors.Is(err, errForkCrash) {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		from  *annals.Store
		opts  ForkOptions
		want  error
		parts string
	}{
		"an end past the log":      {from, ForkOptions{Until: end + 1}, annals.ErrInvalid, "past the end"},
		"a negative end":           {from, ForkOptions{Until: -1}, annals.ErrInvalid, "until"},
		"an empty source":          {forkStore(t, nil), ForkOptions{}, ErrNothing, "nothing to do"},
		"no such stream":           {from, ForkOptions{Streams: []string{"nosuch"}}, ErrNothing, "nothing to do"},
		"no such type":             {from, ForkOptions{Types: []string{"nosuch"}}, ErrNothing, "nothing to do"},
		"a time before all":        {from, ForkOptions{UntilTime: forkEpoch.Add(-time.Hour)}, ErrNothing, "nothing to do"},
		"streams that begin later": {late, ForkOptions{UntilTime: forkEpoch}, ErrNothing, "nothing to do"},
		"a pattern that is none":   {from, ForkOptions{Streams: []string{"a*b"}}, annals.ErrInvalid, "a*b"},
		"a type that can't be":     {from, ForkOptions{Types: []string{"a b"}}, annals.ErrInvalid, "types"},
		"an empty type":            {from, ForkOptions{Types: []string{""}}, annals.ErrInvalid, "types"},
		"a mask that can't be":     {from, ForkOptions{Mask: mustMask(t, "del(.id)")}, annals.ErrInvalid, "changes id"},
		"a source that is half":    {halfMade, ForkOptions{}, annals.ErrConflict, "not finished"},
		"a mask that runs forever": {from, ForkOptions{Mask: mustMask(t, "last(repeat(.))")}, annals.ErrInvalid, "did not end"},
	} {
		t.Run(name, func(t *testing.T) {
			to := forkStore(t, nil)
			_, err := Fork(t.Context(), c.from, to, &c.opts)
			wantForkError(t, err, c.want, c.parts)
			wantForkError(t, CheckFork(t.Context(), c.from, &c.opts), c.want, c.parts)
			if events := logOf(t, to); len(events) > 0 {
				t.Fatalf("the target holds %+v", events)
			}
		})
	}
}

func TestForkRefusesItsTarget(t *testing.T) {
	from, used := forkStore(t, nil), forkStore(t, nil)
	randomLog(t, forkRandom(t), from, 30)
	mustAppend(t, used, "a", annals.Event{Type: "T"})
	_, err := Fork(t.Context(), from, used, nil)
	wantForkError(t, err, annals.ErrConflict, "not empty", "holds 1 event")
	_, err = Fork(t.Context(), from, from, nil)
	wantForkError(t, err, annals.ErrInvalid, "the target is the source")
	if _, err := ReadManifest(t.Context(), from); annals.CodeOf(err) != annals.CodeNotFound {
		t.Fatalf("the source has become a fork: %v", err)
	}
	if n := len(logOf(t, used)); n != 1 {
		t.Fatalf("the used target holds %d events", n)
	}
}

// The same store under another name is found out although it passes for its own target.
func TestForkFindsOutAnAlias(t *testing.T) {
	from, to := forkStore(t, nil), forkStore(t, nil)
	randomLog(t, forkRandom(t), from, 30)
	mustFork(t, from, to, nil)
	alias := annals.New(storetest.AsDriver{Store: to}, nil)
	_, err := Fork(t.Context(), to, alias, nil)
	wantForkError(t, err, annals.ErrInvalid, "the target is the source")
	_, err = Fork(t.Context(), from, annals.New(storetest.AsDriver{Store: from}, nil), nil)
	wantForkError(t, err, annals.ErrConflict, "not empty")
}

func TestForkResumedWithOtherOptions(t *testing.T) {
	from, to := forkStore(t, nil), forkStore(t, nil)
	mustAppend(t, from, "order-1", annals.Event{Type: "type-1", Time: forkEpoch}) // chosen whatever the others are
	randomLog(t, forkRandom(t), from, 30)
	first := ForkOptions{Source: "s", Until: 25, UntilTime: forkEpoch.Add(1000 * time.Hour), Streams: []string{"order-*", "cart/*"}, Types: []string{"type-1", "type-2"}, Mask: mustMask(t, ".")}
	o := first
	o.At, _ = crashing(1)
	_, err := Fork(t.Context(), from, to, &o)
	wantForkError(t, err, errForkCrash)
	for want, change := range map[string]func(o *ForkOptions){
		"another source":    func(o *ForkOptions) { o.Source = "other" },
		"another end":       func(o *ForkOptions) { o.Until = 0 },
		"another end: ":     func(o *ForkOptions) { o.UntilTime = forkEpoch },
		"choice of --types": func(o *ForkOptions) { o.Types = o.Types[:1] },
		"of --streams":      func(o *ForkOptions) { o.Streams = nil },
		"another mask":      func(o *ForkOptions) { o.Mask = mustMask(t, ". ") },
	} {
		o := first
		change(&o)
		_, err := Fork(t.Context(), from, to, &o)
		wantForkError(t, err, annals.ErrConflict, want)
	}
	_, err = Fork(t.Context(), forkStore(t, nil), to, &first)
	wantForkError(t, err, annals.ErrConflict, "another store now")
	o = first
	o.Streams, o.Types = []string{"cart/*", "order-*", "cart/*"}, []string{"type-2", "type-1"}
	mustFork(t, from, to, &o) // the same, in another order
	_, err = Fork(t.Context(), from, to, nil)
	wantForkError(t, err, annals.ErrConflict, "another source")
}

// A mask that fails on a later event, or makes what no store takes, says what to do.
func TestForkIsEndedByItsMask(t *testing.T) {
	for text, want := range map[string]string{
		`if .data == 2 then error("no") else . end`:   "event a@2",
		`if .data == 2 then .type = "a b" else . end`: "event a@2",
	} {
		from, to := forkStore(t, nil), forkStore(t, nil)
		for _, data := range []string{"1", "2", "3"} {
			mustAppend(t, from, "a", annals.Event{Type: "T", Data: []byte(data)})
		}
		_, err := Fork(t.Context(), from, to, &ForkOptions{Mask: mustMask(t, text), batch: 1})
		wantForkError(t, err, annals.ErrInvalid, want, "another, empty store", "mask.jq")
	}
}

// Somebody who writes to the target is told apart from a mistake of the fork's own.
func TestForkIntoAStoreThatIsWrittenTo(t *testing.T) {
	from, to := forkStore(t, nil), forkStore(t, nil)
	for _, stream := range []string{"a", "b", "c", "d"} {
		mustAppend(t, from, stream, annals.Event{Type: "T"})
	}
	n := 0
	_, err := Fork(t.Context(), from, to, &ForkOptions{batch: 1, At: func(s ForkStep) error {
		if n++; n == 2 {
			mustAppend(t, to, "d", annals.Event{Type: "T"})
		}
		return nil
	}})
	wantForkError(t, err, annals.ErrConflict, "d@1", "nobody else writes to")
	mustAppend(t, to, effect.ForkStream, annals.Event{Type: "strange"})
	_, err = Fork(t.Context(), from, to, nil)
	wantForkError(t, err, annals.ErrDamaged, "annals.fork@2")
}

// Two processes that fork into one store at once both end in the same whole fork, or one
// of them is told of the other.
func TestForksRace(t *testing.T) {
	from, to := forkStore(t, nil), forkStore(t, nil)
	randomLog(t, forkRandom(t), from, 200)
	errs := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := Fork(t.Context(), from, to, &ForkOptions{batch: 10, Every: 10})
			errs <- err
		}()
	}
	for range 2 {
		if err := <-errs; err != nil && (!errors.Is(err, annals.ErrConflict) || !strings.Contains(err.Error(), "another process") && !strings.Contains(err.Error(), "not empty")) {
			t.Errorf("got %v", err)
		}
	}
	mustFork(t, from, to, nil)
	want := streamsOf(logOf(t, from))
	for name, events := range streamsOf(withoutManifest(logOf(t, to))) {
		wantSame(t, name, events, want[name])
	}
}
