package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eb901187/annals/tracking"
)

// A clock that stands still until it is told to go.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Unix(1e9, c.ahead.Load()) }

func TestTargetsTakeTurnsAndRest(t *testing.T) {
	var bad atomic.Bool
	var calls [3]atomic.Int32
	var urls []string
	for i := range calls {
		urls = append(urls, serviceAt(t, func(http.ResponseWriter, *http.Request) {
			if calls[i].Add(1); i == 1 && bad.Load() {
				panic(http.ErrAbortHandler)
			}
		}))
	}
	var at clock
	w := beginWith(t, "services: {a: {to: ["+strings.Join(urls, ", ")+"]}}\nroutes: [{service: a}]\n", nil, &Options{Clock: at.now})
	made := func(n int) (since [3]int32) {
		for i := range calls {
			since[i] = -calls[i].Load()
		}
		for range n {
			if x := get(t, w.url); x.status != 200 {
				t.Errorf("%+v", x)
			}
		}
		for i := range calls {
			since[i] += calls[i].Load()
		}
		return since
	}
	if got := made(9); got != [3]int32{3, 3, 3} {
		t.Errorf("in turn: %v", got)
	}
	bad.Store(true)
	if got := made(9); got[1] < 3 || got[1] > 6 { // net/http may send twice on a connection that it kept
		t.Errorf("until it rests: %v", got)
	}
	if got := made(9); got[1] != 0 {
		t.Errorf("while it rests: %v", got)
	}
	at.ahead.Store(int64(restTime))
	if got := made(9); got[1] < 1 || got[1] > 2 {
		t.Errorf("after its rest it is tried once: %v", got)
	}
	bad.Store(false)
	at.ahead.Store(int64(2 * restTime))
	if got := made(9); got != [3]int32{3, 3, 3} {
		t.Errorf("well again: %v", got)
	}
}

// Where all targets rest, they are called all the same.
func TestNoTargetIsWell(t *testing.T) {
	var fails atomic.Bool
	fails.Store(true)
	w := begin(t, one(serviceAt(t, func(http.ResponseWriter, *http.Request) {
		if fails.Load() {
			panic(http.ErrAbortHandler)
		}
	})))
	for range 2 * failuresToRest {
		problemOf(t, get(t, w.url), 502)
	}
	fails.Store(false)
	if x := get(t, w.url); x.status != 200 {
		t.Fatalf("%+v", x)
	}
}

func TestHealthChecks(t *testing.T) {
	var ill atomic.Bool
	bad := serviceAt(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/up" && ill.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = fmt.Fprint(w, "bad")
	})
	var logged locked
	w := beginWith(t, fmt.Sprintf("services: {a: {to: [%s, %s], health: {path: /up, interval: 1ms}}}\nroutes: [{service: a}]\n", bad, named(t, "good")),
		nil, &Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	wait := func(want bool) {
		for deadline := time.Now().Add(10 * time.Second); w.services[0].targets[0].ill.Load() != want; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("health is not seen to be %v", !want)
			}
		}
	}
	ill.Store(true)
	wait(true)
	for range 6 {
		if x := get(t, w.url); x.body == "bad" {
			t.Error("a target that is ill is called")
		}
	}
	ill.Store(false)
	wait(false)
	seen := map[string]bool{}
	for range 6 {
		seen[get(t, w.url).body] = true
	}
	if len(seen) != 2 {
		t.Errorf("only %v are called", seen)
	}
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(logged.text(), "well again"); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal(logged.text())
		}
	}
	if text := logged.text(); strings.Count(text, "not well") != 1 || !strings.Contains(text, "503") {
		t.Error(text)
	}
}

// A locked buffer is written and read at once.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Under refuse no call is made that can't be recorded; under shed each is, and
// what is not recorded is counted.
func TestFullRecorder(t *testing.T) {
	for _, full := range []tracking.Full{tracking.Refuse, tracking.Shed} {
		const calls = 600
		var made atomic.Int64
		w := beginWith(t, one(serviceAt(t, func(http.ResponseWriter, *http.Request) { made.Add(1) })),
			&tracking.RecorderOptions{Memory: 1 << 20, Full: full}, nil)
		w.sink.fail(errors.New("nobody is there"))
		answered, refused := int64(0), int64(0)
		path := "/" + strings.Repeat("x", 1000)
		for range calls {
			switch x := send(t, http.MethodPost, w.url+path, "x"); x.status {
			case 200:
				answered++
			case 503:
				refused++
				if p := problemOf(t, x, 503); x.header.Get("Retry-After") == "" || !p.Retryable {
					t.Errorf("%+v", x)
				}
			default:
				t.Fatalf("%+v", x)
			}
		}
		stats := w.recorder.Stats()
		if made.Load() != answered || (full == tracking.Refuse) != (refused > 0) || answered == 0 || (full == tracking.Shed) != (answered == calls) {
			t.Errorf("policy %d: %d answered, %d refused, %d made", full, answered, refused, made.Load())
		}
		if full == tracking.Refuse && stats.Taken != 2*made.Load() || full == tracking.Shed && (stats.Shed == 0 || stats.Taken+stats.Shed != 2*made.Load()) {
			t.Errorf("policy %d: %+v of %d calls", full, stats, made.Load())
		}
		w.sink.fail(nil)
		w.recorded(t, int(stats.Taken))
		if x := get(t, w.url); x.status != 200 {
			t.Errorf("once there is room: %+v", x)
		}
	}
}
