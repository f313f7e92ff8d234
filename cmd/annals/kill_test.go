package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/view"
)

var (
	kills    = flag.Int("kills", 6, "how often a process that builds a view is killed")
	killSeed = flag.Uint64("seed", 0, "seed of the moments of killing; 0 takes the clock")
)

const (
	killedEvents  = 40_000
	killedStreams = 100
)

const totalsFile = `name: totals
fold: {moved: '{n: ((.n // 0) + 1), sum: ((.sum // 0) + FACTOR * $event.data.amount), last: $event.version}'}
`

// A killing is a store whose views are built by processes that are killed.
type killing struct {
	random              *rand.Rand
	binary, dir, source string
	totals              map[string]*total // by stream
	starting            time.Duration     // that a command takes until it works
}

type total struct{ N, Sum, Last int64 }

func newKilling(t *testing.T) *killing {
	t.Helper()
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: go test ./cmd/annals -run '%s$' -kills %d -seed %d", seed, t.Name(), *kills, seed)
	k := &killing{
		random: rand.New(rand.NewPCG(seed, 0)), binary: filepath.Join(t.TempDir(), "annals"),
		dir: filepath.Join(t.TempDir(), "store"), source: t.TempDir(), totals: map[string]*total{},
	}
	if out, err := exec.Command("go", "build", "-o", k.binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	k.define(t, 1)
	store, err := embedded.Open(k.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < killedEvents; {
		stream := fmt.Sprintf("account-%03d", k.random.IntN(killedStreams))
		events := make([]annals.Event, min(1+k.random.IntN(400), killedEvents-n))
		sum := k.totals[stream]
		if sum == nil {
			sum = &total{}
			k.totals[stream] = sum
		}
		for i := range events {
			amount := int64(k.random.IntN(1000))
			events[i] = annals.Event{Type: "moved", Data: fmt.Appendf(nil, `{"amount":%d}`, amount)}
			sum.N, sum.Sum, sum.Last = sum.N+1, sum.Sum+amount, sum.Last+1
		}
		if _, err := store.Append(t.Context(), stream, annals.Any, events...); err != nil {
			t.Fatal(err)
		}
		n += len(events)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	k.run(t, "projection", "list")
	k.starting = time.Since(began)
	return k
}

// define writes the projection; factor tells one definition from another.
func (k *killing) define(t *testing.T, factor int) {
	t.Helper()
	text := strings.Replace(totalsFile, "FACTOR", fmt.Sprint(factor), 1)
	if err := os.WriteFile(filepath.Join(k.source, "totals.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// command is a process of its own.
func (k *killing) command(args ...string) *exec.Cmd {
	return exec.Command(k.binary, append(args, "--store", k.dir, "--projections", k.source)...)
}

func (k *killing) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := k.command(args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return string(out)
}

// generation is where a generation of totals stands.
func (k *killing) generation(t *testing.T, number int) projection.Generation {
	t.Helper()
	var info projection.Info
	if err := json.Unmarshal([]byte(k.run(t, "projection", "show", "totals", "--json")), &info); err != nil {
		t.Fatal(err)
	}
	g := info.Generation(number)
	if g == nil {
		t.Fatalf("no generation %d: %+v", number, info)
	}
	return *g
}

// check compares a page of documents with what the events make.
func (k *killing) check(t *testing.T, page httpapi.Documents, factor int64) {
	t.Helper()
	if len(page.Documents) != len(k.totals) {
		t.Fatalf("%d documents, want %d", len(page.Documents), len(k.totals))
	}
	for _, doc := range page.Documents {
		var got total
		if err := json.Unmarshal(doc.Document, &got); err != nil {
			t.Fatal(err)
		}
		want := *k.totals[doc.Key]
		if want.Sum *= factor; got != want {
			t.Errorf("%s is %+v, want %+v", doc.Key, got, want)
		}
	}
}

// A rebuild is killed, or interrupted, again and again; run once more it ends with
// every event folded once.
func TestKilledRebuildGoesOn(t *testing.T) {
	k := newKilling(t)
	resumed, killed, built, at := 0, 0, false, int64(0)
	for !built && killed < *kills {
		if built = k.rebuildUntilKilled(t); !built {
			killed++
			if at = k.position(t); 0 < at && at < killedEvents {
				resumed++
			}
		}
	}
	if !built {
		k.run(t, "projection", "rebuild", "totals")
	}
	t.Logf("%d times killed, %d of them with something to go on from", killed, resumed)
	var page httpapi.Documents
	if err := json.Unmarshal([]byte(k.run(t, "view", "totals", "--limit", "1000", "--json")), &page); err != nil {
		t.Fatal(err)
	}
	k.check(t, page, 1)
	// Only what had been built whole is built anew.
	if got := k.run(t, "projection", "list"); strings.Contains(got, "2 (") && at < killedEvents {
		t.Fatalf("running it again began another generation:\n%s", got)
	}
}

// rebuildUntilKilled reports whether a rebuild had ended before it was killed or
// interrupted.
func (k *killing) rebuildUntilKilled(t *testing.T) bool {
	t.Helper()
	c := k.command("projection", "rebuild", "totals")
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	signal := os.Kill
	if k.random.IntN(3) == 0 {
		signal = os.Interrupt
	}
	const working = 400 * time.Millisecond
	timer := time.AfterFunc(k.starting+time.Duration(k.random.Int64N(int64(working))), func() { _ = c.Process.Signal(signal) })
	err := c.Wait()
	timer.Stop()
	var exit *exec.ExitError
	const unavailable = 6 // what an interrupt ends with; a process that is killed has no exit code
	if errors.As(err, &exit) && exit.ExitCode() >= 0 && (exit.ExitCode() != unavailable || !strings.Contains(out.String(), "annals: interrupted")) {
		t.Fatalf("exit %d: %s", exit.ExitCode(), out.String())
	}
	return err == nil
}

// position is how far the first generation of totals is; 0 if there is none yet.
func (k *killing) position(t *testing.T) int64 {
	t.Helper()
	var all httpapi.Projections
	if err := json.Unmarshal([]byte(k.run(t, "projection", "list", "--json")), &all); err != nil || len(all.Projections) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	if all.Projections[0].Live == 0 {
		return 0
	}
	return k.generation(t, 1).Status.Position
}

// serve starts a server that builds what has changed.
func (k *killing) serve(t *testing.T) (*exec.Cmd, string) {
	t.Helper()
	c := k.command("serve", "--json", "--rebuild", "--listen", "127.0.0.1:0")
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() }) // usually dead by then
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var hello struct{ Address string }
	if err == nil {
		err = json.Unmarshal(line, &hello)
	}
	if err != nil {
		t.Fatalf("the server did not start: %v, %s\n%s", err, line, errs.String())
	}
	return c, hello.Address
}

// A server is killed while it builds a changed projection. It goes on when it is
// started again, and answers from the live generation all the time.
func TestKilledServerGoesOnBuilding(t *testing.T) {
	k := newKilling(t)
	k.run(t, "projection", "rebuild", "totals")
	k.define(t, 2)
	last := int64(0)
	for kill := 0; ; kill++ {
		process, address := k.serve(t)
		p, err := client.OpenProjections(address, nil)
		if err != nil {
			t.Fatal(err)
		}
		page, err := p.Documents(t.Context(), "totals", view.Range{Limit: 1000}, nil)
		if err != nil || page.Generation != 1 {
			t.Fatalf("generation %d, %v", page.Generation, err)
		}
		k.check(t, page, 1)
		// It dies once it has come some way.
		step := 1 + int64(k.random.IntN(killedEvents / *kills))
		g := buildingOf(t, p)
		if g.Status.Position < last {
			t.Fatalf("it was at position %d, and is at %d", last, g.Status.Position)
		}
		for from := g.Status.Position; g.Status.Position < min(from+step, killedEvents); g = buildingOf(t, p) {
		}
		if kill >= *kills || g.Status.Position == killedEvents {
			k.finish(t, p)
			if err := process.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = process.Wait() // "signal: killed"
			t.Logf("killed %d times", kill)
			return
		}
		if err := process.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = process.Wait() // "signal: killed"
		last = k.generation(t, 2).Status.Position
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func (k *killing) finish(t *testing.T, p *client.Projections) {
	t.Helper()
	read := &client.ReadOptions{ReadOptions: projection.ReadOptions{Wait: killedEvents, Generation: 2}, Patience: time.Minute}
	page, err := p.Documents(t.Context(), "totals", view.Range{Limit: 1000}, read)
	if err != nil {
		t.Fatal(err)
	}
	k.check(t, page, 2)
	if info, err := p.Switch(t.Context(), "totals", 0, false); err != nil || info.Live != 2 {
		t.Fatalf("%+v, %v", info, err)
	}
	if page, err = p.Documents(t.Context(), "totals", view.Range{Limit: 1000}, nil); err != nil {
		t.Fatal(err)
	}
	k.check(t, page, 2)
}

func buildingOf(t *testing.T, p *client.Projections) projection.Generation {
	t.Helper()
	info, err := p.Show(t.Context(), "totals")
	if err != nil || info.Building() == nil {
		t.Fatalf("%+v, %v", info, err)
	}
	return *info.Building()
}
