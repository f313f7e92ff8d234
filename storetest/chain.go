package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"

	"github.com/eb901187/annals"
)

// chains reports whether the store shows the hashes of its commits. One that does
// not says so with the code for it and what to do.
func chains(t *testing.T, s *annals.Store) bool {
	t.Helper()
	_, err := firstChainError(s.Chain(t.Context(), 0, 0))
	if err == nil {
		return true
	}
	var known *annals.Error
	if !errors.As(err, &known) || known.Code != annals.CodeUsage || known.Hint == "" {
		t.Fatalf("a store without hashes says %v", err)
	}
	return false
}

// chained is a clause for the stores that show the hashes of their commits.
func chained(name string, test func(t *testing.T, s *annals.Store)) clause {
	return clause{name, func(t *testing.T, s *annals.Store) {
		if chains(t, s) {
			test(t, s)
		}
	}}
}

func firstChainError(seq iter.Seq2[annals.ChainedCommit, error]) (n int, err error) {
	for _, err := range seq {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// chainOf reads a part of the chain, which must end without an error.
func chainOf(t *testing.T, s *annals.Store, after, until int64) []annals.ChainedCommit {
	t.Helper()
	var commits []annals.ChainedCommit
	for c, err := range s.Chain(t.Context(), after, until) {
		if err != nil {
			t.Fatalf("after %d commits: %v", len(commits), err)
		}
		commits = append(commits, c)
	}
	return commits
}

// wantChain wants the whole chain to be the log, each commit to name the hash of the
// one before it in its stream, and these to be what the streams' events make when
// they are cut into the same commits. It returns the chain.
func wantChain(t *testing.T, s *annals.Store) []annals.ChainedCommit {
	t.Helper()
	commits := chainOf(t, s, 0, 0)
	log := Collect(t, s.Log(t.Context(), annals.Query{}))
	streams := map[string][]annals.Event{}
	heads := map[string]annals.Hash{}
	for i := range commits {
		c := &commits[i]
		if len(c.Events) == 0 || len(c.Events) > len(log) {
			t.Fatalf("commit %d has %d events, the log %d more", i, len(c.Events), len(log))
		}
		stream := c.Events[0].Stream
		if c.Previous != heads[stream] || c.Unchained {
			t.Fatalf("the commit of %s@%d names %s (unchained %v), before it is %s", stream, c.Events[0].Version, c.Previous, c.Unchained, heads[stream])
		}
		for k := range c.Events {
			if e, same := &c.Events[k], &log[k]; e.Stream != stream || e.Version != same.Version || e.Position != same.Position || e.ID != same.ID || string(e.Data) != string(same.Data) {
				t.Fatalf("the chain has %+v, the log %+v", e, same)
			}
		}
		log = log[len(c.Events):]
		if _, read := streams[stream]; !read {
			streams[stream] = Collect(t, s.Stream(t.Context(), stream, nil))
		}
		own := streams[stream][:len(c.Events)]
		streams[stream] = streams[stream][len(c.Events):]
		want := annals.Link(heads[stream], own[0].Version, len(own), annals.Digest(stream, own))
		if heads[stream] = c.Hash(); heads[stream] != want {
			t.Fatalf("the commit of %s@%d has the hash %s, its events make %s", stream, own[0].Version, heads[stream], want)
		}
	}
	if len(log) > 0 {
		t.Fatalf("the chain ends before position %d", log[0].Position)
	}
	return commits
}

func wantSizes(t *testing.T, commits []annals.ChainedCommit, want ...int) {
	t.Helper()
	got := []int{}
	for _, c := range commits {
		got = append(got, len(c.Events))
	}
	if !slices.Equal(got, want) {
		t.Fatalf("commits of %v events, want %v", got, want)
	}
}

// chainClauses hold for drivers that are an annals.Chainer.
var chainClauses = []clause{
	chained("each commit names the hash of the one before it in its stream", func(t *testing.T, s *annals.Store) {
		if commits := wantChain(t, s); len(commits) > 0 {
			t.Fatalf("an empty store has %d commits", len(commits))
		}
		mustAppend(t, s, "a", 0, Event("1", "T", `1`))
		mustAppend(t, s, "a", 1, Event("2", "T", `2`), Event("3", "T", `3`), Event("4", "T", `4`))
		mustAppend(t, s, "a", 4, Event("5", "T", `5`))
		mustAppend(t, s, "a", 5, hundred()...)
		commits := wantChain(t, s)
		wantSizes(t, commits, 1, 3, 1, 100)
		if commits[0].Previous != (annals.Hash{}) || commits[1].Previous != commits[0].Hash() {
			t.Fatalf("the first commits name %s and %s", commits[0].Previous, commits[1].Previous)
		}
	}),
	chained("the chain is in the order of the log across streams", func(t *testing.T, s *annals.Store) {
		want := []int{}
		for i := range 60 {
			events := hundred()[:i%4+1]
			mustAppend(t, s, fmt.Sprint("s", i%7), annals.Any, events...)
			want = append(want, len(events))
		}
		wantSizes(t, wantChain(t, s), want...)
	}),
	chained("appends at once are chained one after the other", func(t *testing.T, s *annals.Store) {
		appendAll(t, s, []annals.Append{
			of("a", 0, Event("1", "T", `1`), Event("2", "T", `2`)), of("b", 0, Event("1", "T", `1`)),
			of("a", 2, Event("3", "T", `3`)), of("a", annals.Any, Event("4", "T", `4`)), of("b", 1, Event("2", "T", `2`)),
		})
		appendAll(t, s, []annals.Append{of("b", 2, Event("3", "T", `3`)), of("a", 4, Event("5", "T", `5`))})
		if commits := wantChain(t, s); len(commits) != 7 {
			t.Fatalf("%d commits", len(commits))
		}
	}),
	chained("every field of an event is in its commit's hash as it was appended", func(t *testing.T, s *annals.Store) {
		full := annals.Event{
			ID: "ä/1", Type: "T", Source: "urn:x", Time: Epoch.Add(-1), Correlation: "r ö", Causation: "b@7",
			ContentType: "application/octet-stream", Attributes: map[string]string{"subject": "日本", "zone": "", "a": "b"}, Data: []byte{0, 255, '{'},
		}
		bare := annals.Event{ID: "2", Type: "U", Source: "s", Time: Epoch}
		mustAppend(t, s, "a/b", 0, full, bare)
		commits := wantChain(t, s)
		if got, want := commits[0].Hash(), annals.Link(annals.Hash{}, 1, 2, annals.Digest("a/b", []annals.Event{full, bare})); got != want {
			t.Fatalf("the hash is %s, that of what was appended %s", got, want)
		}
	}),
	chained("the chain holds the commits that end past after and up to until", func(t *testing.T, s *annals.Store) {
		for i, size := range []int{1, 3, 2, 4} { // they end at 1, 4, 6 and 10
			mustAppend(t, s, fmt.Sprint("s", i%2), annals.Any, hundred()[:size]...)
		}
		for _, c := range []struct {
			after, until int64
			want         []int
		}{
			{0, 0, []int{1, 3, 2, 4}}, {0, 10, []int{1, 3, 2, 4}}, {0, 99, []int{1, 3, 2, 4}}, {0, 9, []int{1, 3, 2}},
			{1, 0, []int{3, 2, 4}}, {2, 6, []int{3, 2}}, {3, 5, []int{3}}, {4, 5, []int{}}, {4, 6, []int{2}},
			{6, 0, []int{4}}, {9, 0, []int{4}}, {9, 9, []int{}}, {10, 0, []int{}}, {99, 0, []int{}}, {8, 3, []int{}},
		} {
			wantSizes(t, chainOf(t, s, c.after, c.until), c.want...)
		}
		for _, bounds := range [][2]int64{{-1, 0}, {0, -1}} {
			_, err := firstChainError(s.Chain(t.Context(), bounds[0], bounds[1]))
			wantError(t, err, annals.ErrInvalid)
		}
	}),
	chained("what was refused or repeated is not in the chain", func(t *testing.T, s *annals.Store) {
		for i := range 10 {
			mustAppend(t, s, "a", int64(i), Event(fmt.Sprint(i), "T", `1`))
			mustAppend(t, s, "a", int64(i), Event(fmt.Sprint(i), "T", `1`))
			_, err := s.Append(t.Context(), "a", int64(i), Event("", "T", `1`))
			wantConflict(t, err, int64(i), int64(i+1))
			_, err = s.Append(t.Context(), "a", annals.Any, Event("0", "T", `2`))
			wantError(t, err, annals.ErrIDReused)
		}
		if commits := wantChain(t, s); len(commits) != 10 {
			t.Fatalf("%d commits", len(commits))
		}
	}),
	chained("under races the chain of each stream is whole", func(t *testing.T, s *annals.Store) {
		const writers, each = 6, 25
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() { race(t, s, w, each) })
		}
		wg.Wait()
		if commits := wantChain(t, s); len(commits) != writers*each {
			t.Fatalf("%d commits, want %d", len(commits), writers*each)
		}
	}),
	chained("a chain that is interrupted, or whose store is closed, ends in an error", func(t *testing.T, s *annals.Store) {
		for range 5 {
			mustAppend(t, s, "a", annals.Any, hundred()...)
		}
		for range s.Chain(t.Context(), 0, 0) {
			break
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		n, err := firstChainError(s.Chain(ctx, 0, 500))
		if wantError(t, err, context.Canceled); n > 0 {
			t.Fatalf("%d commits", n)
		}
		closeStore(t, s)
		_, err = firstChainError(s.Chain(t.Context(), 0, 500))
		wantError(t, err, annals.ErrClosed)
	}),
}

// race appends commits of one to three events to streams that other writers append
// to as well, one by one or all at once.
func race(t *testing.T, s *annals.Store, writer, commits int) {
	var batch []annals.Append
	for i := range commits {
		batch = append(batch, of(fmt.Sprint("s", i%3), annals.Any, hundred()[:i%3+1]...))
	}
	done, err := []annals.Commit(nil), error(nil)
	if writer%2 == 0 {
		done, err = s.AppendAll(t.Context(), batch)
	}
	for i := len(done); i < len(batch) && err == nil; i++ {
		var c annals.Commit
		c, err = s.Append(t.Context(), batch[i].Stream, batch[i].Expected, batch[i].Events...)
		done = append(done, c)
	}
	for i := 0; i < len(done) && err == nil; i++ {
		_, err = s.Wait(t.Context(), done[i])
	}
	if err != nil {
		t.Errorf("writer %d: %v", writer, err)
	}
}

var chainFaultClauses = []faultClause{
	{"lost requests and replies leave a whole chain", func(t *testing.T, s *annals.Store, f *Faulty) {
		under := annals.New(f.Driver, nil) // as a Faulty has no chain; s closes it
		if !chains(t, under) {
			return
		}
		for i, faults := range [][]Fault{{LostReply}, {LostRequest}, {LostReply, LostRequest}, {LostRequest, LostReply}} {
			for range 3 {
				f.FailAppends(faults...)
				mustAppend(t, s, "a", annals.Any, hundred()[:i+1]...)
				f.FailAppends(faults...)
				mustAppend(t, s, fmt.Sprint("s", i), annals.Any, Event("", "T", `1`))
			}
		}
		if commits := wantChain(t, under); len(commits) != 24 {
			t.Fatalf("%d commits", len(commits))
		}
	}},
}

// chainReopenClause holds what a chain keeps when its store is opened again.
func chainReopenClause(t *testing.T, open func() *annals.Store) {
	s := open()
	if !chains(t, s) {
		return
	}
	var before []annals.ChainedCommit
	for round := range 4 {
		for i := range 12 {
			events := hundred()[:i%3+1]
			for k := range events { // the ids that a store makes start anew
				events[k].ID = fmt.Sprint(round, "-", i, "-", k)
			}
			mustAppend(t, s, fmt.Sprint("s", (i+round)%5), annals.Any, events...)
		}
		after := wantChain(t, s)
		if len(after) != 12*(round+1) {
			t.Fatalf("%d commits after round %d", len(after), round)
		}
		for i := range before {
			if before[i].Hash() != after[i].Hash() {
				t.Fatalf("the hash of commit %d was %s and is %s", i, before[i].Hash(), after[i].Hash())
			}
		}
		before = after
		closeStore(t, s)
		s = open()
	}
	wantChain(t, s)
}
