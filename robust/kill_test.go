package robust

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/embedded"
)

var (
	kills    = flag.Int("kills", 50, "how often the server is killed")
	killSeed = flag.Uint64("seed", 0, "seed of the moments of killing; 0 takes the clock")
)

const writers = 16

// A server is killed with SIGKILL while 16 writers append over HTTP, started
// again on the same store, again and again; first of all each writer repeats what
// was acknowledged before. In the end every acknowledged event is in the log
// once, with the version and position that was acknowledged, what a writer sent
// again after an unknown outcome is there once too, each commit names the hash of the
// one before it in its stream, and Verify finds nothing.
func TestKilledServerLosesAndRepeatsNothing(t *testing.T) {
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: go test ./robust -run TestKilled -kills %d -seed %d", seed, *kills, seed)
	random := rand.New(rand.NewPCG(seed, 0))
	binary := filepath.Join(t.TempDir(), "annals")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/annals").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	dir := filepath.Join(t.TempDir(), "store")
	all := make([]writer, writers)
	for i := range all {
		all[i] = writer{name: fmt.Sprint("writer-", i), acknowledged: map[string]annals.Commit{}}
	}
	fill(t, dir, all)
	for kill := range *kills {
		process, address := startServer(t, binary, dir)
		// So many acknowledged appends from now the server dies.
		left := make(chan struct{}, 1+random.IntN(400))
		ctx, cancel := context.WithCancel(t.Context())
		var working sync.WaitGroup
		for i := range all {
			working.Go(func() { all[i].work(ctx, t, address, kill, left) })
		}
		idle := make(chan struct{})
		go func() {
			working.Wait()
			close(idle)
		}()
		for range cap(left) {
			select {
			case <-left:
			case <-idle:
				t.Fatal("every writer has given up")
			}
		}
		if err := process.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cancel()
		<-idle
		_ = process.Wait() // "signal: killed"
		if t.Failed() {
			t.FailNow()
		}
	}
	settle(t, binary, dir, all)
	check(t, dir, all)
}

// startServer starts annals serve on a free port and reads its address.
func startServer(t *testing.T, binary, dir string) (*exec.Cmd, string) {
	t.Helper()
	c := exec.Command(binary, "serve", "--json", "--store", dir, "--listen", "127.0.0.1:0")
	errs := &logBuffer{}
	c.Stderr = errs
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() }) // usually dead by then
	var hello struct{ Address string }
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &hello)
	}
	if err != nil {
		t.Fatalf("the server did not start: %v, %s\n%s", err, line, errs)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return c, hello.Address
}

type logBuffer struct {
	mu   sync.Mutex
	text []byte
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	return len(p), nil
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}

// A writer appends one or two events at a time, half of the time with the
// version that it knows.
type writer struct {
	name         string
	n            int
	version      int64
	acknowledged map[string]annals.Commit // by id of the first event
	unsettled    []annals.Event           // an append whose outcome is not known
}

func (w *writer) next() []annals.Event {
	w.n++
	return w.events(w.n)
}

// events are those of the writer's append n.
func (w *writer) events(n int) []annals.Event {
	events := make([]annals.Event, 1+n%2)
	for i := range events {
		events[i] = annals.Event{
			ID: fmt.Sprintf("%s-%d-%d", w.name, n, i), Type: "T", Source: "robust",
			Time: time.Unix(int64(n), 0), Data: fmt.Appendf(nil, `{"n":%d}`, n),
		}
	}
	return events
}

// repeat appends again what was acknowledged long ago and of late.
func (w *writer) repeat(ctx context.Context, t *testing.T, store *annals.Store) {
	for _, n := range []int{1, w.n / 2, w.n - 1} {
		events := w.events(n)
		c, err := store.Append(ctx, w.name, annals.Any, events...)
		if err != nil {
			return // the server is gone already
		}
		if first := w.acknowledged[events[0].ID]; !c.Replayed || c.Version != first.Version {
			t.Errorf("%s again: %+v, first %+v", events[0].ID, c, first)
		}
	}
}

// fill gives each writer a past that is in the index on disk.
func fill(t *testing.T, dir string, all []writer) {
	t.Helper()
	store, err := embedded.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 200 { // 300 events of each writer: enough for the index to be written on closing
		for i := range all {
			w := &all[i]
			events := w.next()
			c, err := store.Append(t.Context(), w.name, w.version, events...)
			if err != nil {
				t.Fatal(err)
			}
			w.settled(events, c)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// work appends until the server dies.
func (w *writer) work(ctx context.Context, t *testing.T, address string, kill int, left chan<- struct{}) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	store, err := client.Open(address, &client.Options{
		HTTP:  &http.Client{Transport: transport},
		Store: &annals.Options{Attempts: 1, Pause: func(context.Context, int) {}},
	})
	if err != nil {
		t.Error(err)
		return
	}
	w.repeat(ctx, t, store)
	for ctx.Err() == nil {
		events := w.unsettled
		if events == nil {
			events = w.next()
		}
		expected := annals.Any
		if w.n%4 < 2 && w.unsettled == nil {
			expected = w.version
		}
		w.unsettled = events
		c, err := store.Append(ctx, w.name, expected, events...)
		if err != nil {
			if errors.Is(err, annals.ErrConflict) || errors.Is(err, annals.ErrIDReused) {
				t.Errorf("kill %d: %v", kill, err)
			}
			return
		}
		w.settled(events, c)
		select {
		case left <- struct{}{}:
		case <-ctx.Done():
		}
	}
}

func (w *writer) settled(events []annals.Event, c annals.Commit) {
	w.acknowledged[events[0].ID] = c
	w.version, w.unsettled = c.Version, nil
}

// settle sends every append again whose outcome is not known.
func settle(t *testing.T, binary, dir string, all []writer) {
	t.Helper()
	process, address := startServer(t, binary, dir)
	store, err := client.Open(address, nil)
	if err != nil {
		t.Fatal(err)
	}
	unknown, landed := 0, 0
	for i := range all {
		w := &all[i]
		if w.unsettled == nil {
			continue
		}
		unknown++
		c, err := store.Append(t.Context(), w.name, annals.Any, w.unsettled...)
		if err != nil {
			t.Fatal(err)
		}
		if c.Replayed {
			landed++
		}
		w.settled(w.unsettled, c)
	}
	t.Logf("%d outcomes were unknown at the end, %d of them had landed", unknown, landed)
	if err := errors.Join(store.Close(), process.Process.Kill()); err != nil {
		t.Fatal(err)
	}
	_ = process.Wait() // "signal: killed"
}

func check(t *testing.T, dir string, all []writer) {
	t.Helper()
	report, err := embedded.Verify(dir, nil)
	if err != nil || len(report.Problems) > 0 {
		t.Fatalf("verify: %v, %q", err, report.Problems)
	}
	store, err := embedded.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	found := map[string]annals.Event{}
	for e, err := range store.Log(t.Context(), annals.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := found[e.ID]; twice {
			t.Fatalf("event %s is there twice", e.ID)
		}
		found[e.ID] = e
	}
	events, commits := 0, 0
	for i := range all {
		w := &all[i]
		commits += len(w.acknowledged)
		for id, c := range w.acknowledged {
			e, ok := found[id]
			if first := c.Version - int64(c.Count) + 1; !ok || e.Version != first || e.Position != c.Position-int64(c.Count)+1 || e.Stream != w.name {
				t.Fatalf("%s was acknowledged as %+v; the log has %+v, %v", id, c, e, ok)
			}
			events += c.Count
		}
	}
	if events != len(found) {
		t.Fatalf("%d events were acknowledged, the log holds %d", events, len(found))
	}
	checkChain(t, store, commits)
	t.Logf("%d events of %d commits, all there, all once", events, commits)
}

// checkChain wants so many commits, each chained to the one before it in its stream.
func checkChain(t *testing.T, store *annals.Store, want int) {
	t.Helper()
	heads := map[string]annals.Hash{}
	n := 0
	for c, err := range store.Chain(t.Context(), 0, 0) {
		if err != nil {
			t.Fatalf("after %d commits: %v", n, err)
		}
		e := &c.Events[0]
		if c.Unchained || c.Previous != heads[e.Stream] {
			t.Fatalf("the commit of %s@%d names %s, the one before it is %s", e.Stream, e.Version, c.Previous, heads[e.Stream])
		}
		heads[e.Stream] = c.Hash()
		n++
	}
	if n != want {
		t.Fatalf("the chain has %d commits, %d were acknowledged", n, want)
	}
}
