package httpapi

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/tracking"
)

func (s *server) trace(w http.ResponseWriter, r *request) error {
	t, err := tracking.Read(r.Context(), s.store, r.vars[0], s.opts.Clock())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, mediaJSON, t)
	return nil
}

func (s *server) position(w http.ResponseWriter, r *request) error {
	const longest = 60 // seconds
	a := args{r: r}
	after, wait := a.number("after"), a.small("wait", longest)
	stream, version := a.text("stream"), a.number("version")
	if (stream != "") != (version > 0) {
		a.bad("version", "must be given with stream, from 1")
	}
	if stream != "" && after > 0 {
		a.bad("after", "has no meaning with stream")
	}
	if err := a.err(); err != nil {
		return err
	}
	if stream != "" {
		return s.positionOf(w, r, annals.Commit{Stream: stream, Version: version}, time.Duration(max(wait, 1))*time.Second)
	}
	end, err := s.store.End(r.Context())
	if err != nil {
		return err
	}
	if wait > 0 && end <= after {
		open, ended := s.untilEnding(r)
		defer ended()
		ctx, cancel := context.WithTimeout(open, time.Duration(wait)*time.Second)
		defer cancel()
		past, err := s.store.WaitPast(ctx, after)
		switch {
		case err == nil:
			end = past
		case ctx.Err() == nil:
			return err
		}
	}
	writeJSON(w, http.StatusOK, mediaJSON, map[string]string{"position": number(end)})
	return nil
}

// positionOf waits until the log holds an event. "0" says that it does not yet.
func (s *server) positionOf(w http.ResponseWriter, r *request, commit annals.Commit, wait time.Duration) error {
	found := false
	for e, err := range s.store.Stream(r.Context(), commit.Stream, &annals.StreamOptions{From: commit.Version, To: commit.Version}) {
		if err != nil {
			return err
		}
		found, commit.Position = true, e.Position
	}
	if !found {
		return &annals.Error{Code: annals.CodeNotFound, Message: fmt.Sprintf("stream %s has no version %d", commit.Stream, commit.Version)}
	}
	open, ended := s.untilEnding(r)
	defer ended()
	ctx, cancel := context.WithTimeout(open, wait)
	defer cancel()
	commit, err := s.store.Wait(ctx, commit)
	if err != nil && ctx.Err() == nil {
		return err
	}
	writeJSON(w, http.StatusOK, mediaJSON, map[string]string{"position": number(commit.Position)})
	return nil
}

// index says what there is, to whom opens the server's address in a browser.
func (s *server) index(w http.ResponseWriter, _ *request) error {
	var b strings.Builder
	b.WriteString("Annals, an event store. /openapi.json describes these resources:\n\n")
	for _, rt := range routes {
		fmt.Fprintf(&b, "%-6s %-56s %s\n", rt.method, rt.path, rt.summary)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *server) health(w http.ResponseWriter, _ *request) error {
	writeJSON(w, http.StatusOK, mediaJSON, map[string]string{"status": "ok"})
	return nil
}

func (s *server) ready(w http.ResponseWriter, r *request) error {
	if _, err := s.store.End(r.Context()); err != nil {
		return &annals.Error{Code: annals.CodeUnavailable, Message: "the store does not answer", Err: err}
	}
	writeJSON(w, http.StatusOK, mediaJSON, map[string]string{"status": "ready"})
	return nil
}

func (s *server) metrics(w http.ResponseWriter, r *request) error {
	s.stats.handler.ServeHTTP(w, r.Request)
	return nil
}

// stats are a server's metrics.
type stats struct {
	handler  http.Handler
	requests *prometheus.HistogramVec
	stored   prometheus.Counter
}

func newStats(store *annals.Store, more []prometheus.Collector) *stats {
	registry := prometheus.NewRegistry()
	s := &stats{
		handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "annals_http_request_seconds", Help: "Time to answer, by operation and status.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16), // 0.1 ms to 3.3 s
		}, []string{"operation", "status"}),
		stored: prometheus.NewCounter(prometheus.CounterOpts{Name: "annals_events_stored_total", Help: "Events stored over HTTP, replays not counted."}),
	}
	position := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "annals_log_position", Help: "Position of the log's last event; -1 if the store does not answer."}, func() float64 {
		end, err := store.End(context.Background())
		if err != nil {
			return -1
		}
		return float64(end)
	})
	registry.MustRegister(append([]prometheus.Collector{s.requests, s.stored, position}, more...)...)
	return s
}

func (s *stats) request(r *request, status int, took time.Duration) {
	operation := "none"
	if r.route != nil {
		operation = r.route.id
	}
	s.requests.WithLabelValues(operation, strconv.Itoa(status)).Observe(took.Seconds())
}
