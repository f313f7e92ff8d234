package console

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A counter is a live screen that shows how often it was read.
type counter struct {
	reads atomic.Int64
	fails atomic.Pointer[error]
}

func (n *counter) read(*console, *http.Request) (string, any, error) {
	if err := n.fails.Load(); err != nil {
		if *err == nil {
			panic("a bug")
		}
		return "", nil, *err
	}
	return "Counter", n.reads.Add(1), nil
}

// serveCounter serves a counter at /console/test/live.
func serveCounter(t *testing.T, opts Options) (*console, *counter, string) {
	t.Helper()
	opts.LivePeriod = time.Millisecond
	c, _ := framed(t, opts)
	n := &counter{}
	s := &screen{template: "test_counter.html", live: true, read: n.read}
	defineTemplate(t, s.template, `{{define "content"}}{{template "livePart" .}}{{end}}{{define "live"}}<b>{{.Data}}</b>
<i>{{.CSRF}}</i>{{end}}`)
	c.mux.HandleFunc("GET /console/test/live", func(w http.ResponseWriter, r *http.Request) { c.show(s, w, r) })
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	return c, n, server.URL + "/console/test/live"
}

// watch opens a live part; lines yields what comes.
func watch(t *testing.T, ctx context.Context, address string) *bufio.Scanner {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	r.AddCookie(&http.Cookie{Name: csrfCookie, Value: strings.Repeat("C", 26)})
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Body.Close() })
	if w.StatusCode != 200 || w.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", w.StatusCode, w.Header)
	}
	return bufio.NewScanner(w.Body)
}

// until reads lines up to one that holds text.
func until(t *testing.T, lines *bufio.Scanner, text string) {
	t.Helper()
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			return
		}
	}
	t.Fatalf("the live part ended before %q: %v", text, lines.Err())
}

// untilRead reads lines up to one that shows at least so many reads: a browser that
// is slow gets the newest only.
func untilRead(t *testing.T, lines *bufio.Scanner, least int64) int64 {
	t.Helper()
	for lines.Scan() {
		var n int64
		if _, err := fmt.Sscanf(lines.Text(), "data: <b>%d</b>", &n); err == nil && n >= least {
			return n
		}
	}
	t.Fatalf("the live part ended before it was read %d times: %v", least, lines.Err())
	return 0
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func (f *feeds) count() (open, viewers int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.open), f.viewers
}

func TestLivePartsComeWhenTheyChange(t *testing.T) {
	_, _, address := serveCounter(t, Options{})
	lines := watch(t, t.Context(), address)
	until(t, lines, "event: live")
	from := untilRead(t, lines, 1)
	until(t, lines, "data: <i>"+strings.Repeat("C", 26)) // each browser's own
	untilRead(t, lines, from+1)
}

// However many browsers look at a page, it is read once in a period, and no longer
// when the last one has left.
func TestLivePartsShareTheirReads(t *testing.T) {
	c, n, address := serveCounter(t, Options{})
	before := runtime.NumGoroutine()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	var all []*bufio.Scanner
	for range 50 {
		all = append(all, watch(t, ctx, address))
	}
	for _, lines := range all {
		until(t, lines, "event: live")
	}
	if open, viewers := c.feeds.count(); open != 1 || viewers != 50 {
		t.Fatalf("%d feeds of %d viewers", open, viewers)
	}
	from := n.reads.Load()
	untilRead(t, all[0], from+20)
	untilRead(t, all[49], from+20)
	if after := n.reads.Load(); after > from+20*50/2 {
		t.Errorf("50 browsers made %d reads of 20", after-from)
	}
	leave()
	eventually(t, "nobody looks", func() bool { open, viewers := c.feeds.count(); return open == 0 && viewers == 0 })
	http.DefaultClient.CloseIdleConnections()
	eventually(t, "its goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
}

func TestLivePartsEndWithTheServer(t *testing.T) {
	ending := make(chan struct{})
	c, _, address := serveCounter(t, Options{Ending: ending})
	lines := watch(t, t.Context(), address)
	until(t, lines, "event: live")
	close(ending)
	for lines.Scan() {
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the connection broke: %v", err)
	}
	eventually(t, "it has ended", func() bool { open, _ := c.feeds.count(); return open == 0 })
}

func TestLivePartsSayWhatIsWrong(t *testing.T) {
	_, n, address := serveCounter(t, Options{})
	lines := watch(t, t.Context(), address)
	until(t, lines, "event: live")
	failure := errors.New("the disk\nis on fire")
	n.fails.Store(&failure)
	until(t, lines, "event: trouble")
	until(t, lines, "data: ")
	var bug error
	n.fails.Store(&bug)
	n.fails.Store(&bug)
	until(t, lines, "bug")
	n.fails.Store(nil)
	until(t, lines, "event: live")
}

func TestTooManyLiveParts(t *testing.T) {
	c, _, address := serveCounter(t, Options{})
	c.feeds.viewers = maxViewers
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	if w.StatusCode != http.StatusServiceUnavailable || w.Header.Get("Retry-After") == "" {
		t.Fatalf("%d %v", w.StatusCode, w.Header)
	}
}
