package console

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/eb901187/annals/access"
)

// feeds are the live parts that somebody looks at. Browsers that look at the same
// address share one reading of it per period, however many they are.
type feeds struct {
	mu      sync.Mutex
	open    map[feedKey]*feed
	viewers int
}

type feedKey struct{ address, who string }

// A feed reads what a live part shows, once in a period, while it has viewers.
type feed struct {
	viewers int // under feeds.mu
	stop    context.CancelFunc

	mu      sync.Mutex
	last    reading
	changed chan struct{} // closed by the next reading
	ended   chan struct{} // closed when there will be none
}

// A reading is what a screen's read gave.
type reading struct {
	number int // from 1
	data   any
	err    error
}

// viewer is where one browser is in a feed.
type viewer struct {
	*feed
	seen int
}

// join enters a browser into the feed of its address, which begins with the first;
// nil if there are too many. Who leaves last ends it.
func (f *feeds) join(c *console, s *screen, r *http.Request) (_ *viewer, leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.viewers >= maxViewers {
		return nil, nil
	}
	f.viewers++
	key := feedKey{r.URL.RequestURI(), access.From(r.Context()).Name}
	one := f.open[key]
	if one == nil {
		ctx, stop := context.WithCancel(context.WithoutCancel(r.Context()))
		one = &feed{stop: stop, changed: make(chan struct{}), ended: make(chan struct{})}
		if f.open == nil {
			f.open = map[feedKey]*feed{}
		}
		f.open[key] = one
		go one.run(c, s, r.Clone(ctx))
	}
	one.viewers++
	return &viewer{feed: one}, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.viewers--
		if one.viewers--; one.viewers == 0 {
			delete(f.open, key)
			one.stop()
		}
	}
}

// run reads until nobody looks or the server ends.
func (f *feed) run(c *console, s *screen, r *http.Request) {
	defer close(f.ended)
	defer f.stop()
	ctx := r.Context()
	go func() {
		select {
		case <-c.opts.Ending:
			f.stop()
		case <-ctx.Done():
		}
	}()
	period := time.NewTicker(c.opts.LivePeriod)
	defer period.Stop()
	for {
		data, err := readSafely(c, s, r)
		if ctx.Err() != nil {
			return
		}
		f.publish(c, r, data, err)
		select {
		case <-ctx.Done():
			return
		case <-period.C:
		}
	}
}

func (f *feed) publish(c *console, r *http.Request, data any, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil && f.last.err == nil { // once, not each period
		c.opts.Logger.Warn("live part of the console can't be read", "path", r.URL.Path, "error", err)
	}
	f.last = reading{f.last.number + 1, data, err}
	close(f.changed)
	f.changed = make(chan struct{})
}

// next waits for a reading that the viewer has not seen.
func (v *viewer) next(ctx context.Context) (_ reading, ended bool) {
	for {
		v.mu.Lock()
		last, changed := v.last, v.changed
		v.mu.Unlock()
		if last.number > v.seen {
			v.seen = last.number
			return last, false
		}
		select {
		case <-changed:
		case <-v.ended:
			return reading{}, true
		case <-ctx.Done():
			return reading{}, true
		}
	}
}

// readSafely reads what a screen shows; a panic is an error, with its stack in the
// server's log.
func readSafely(c *console, s *screen, r *http.Request) (data any, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.opts.Logger.Error("console page panicked", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("the page failed by a bug: %v", p)
		}
	}()
	_, data, err = s.read(c, r)
	return data, err
}
