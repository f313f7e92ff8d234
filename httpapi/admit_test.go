package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
)

// A gate holds the appends of a store until it is opened.
type gate struct {
	annals.Driver
	reached, open chan struct{}
}

func (g *gate) Append(ctx context.Context, stream string, expected int64, events []annals.Event) (annals.Commit, error) {
	g.reached <- struct{}{}
	<-g.open
	return g.Driver.Append(ctx, stream, expected, events)
}

// gated is a server with limits whose appends wait at a gate.
func gated(t *testing.T, limits AdmissionLimits) (live, *gate) {
	t.Helper()
	driver, err := embedded.OpenDriver(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{Driver: driver, reached: make(chan struct{}, 100), open: make(chan struct{})}
	store := annals.New(g, nil)
	s := httptest.NewServer(New(store, &Options{Admission: NewAdmission(limits), Logger: slog.New(slog.DiscardHandler)}))
	t.Cleanup(func() {
		s.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return live{s, store}, g
}

func (s live) appending(t *testing.T, stream string) <-chan int {
	t.Helper()
	answer := make(chan int, 1)
	go func() {
		status, _, _ := s.do(t, "POST", "/v1/streams/"+stream+"/events", `{"type":"T"}`, isJSON)
		answer <- status
	}()
	return answer
}

// metric is what /metrics, which is let in at any time, says of a name.
func (s live) metric(t *testing.T, name string) string {
	t.Helper()
	_, _, text := s.do(t, "GET", "/metrics", "")
	for line := range strings.Lines(text) {
		if rest, is := strings.CutPrefix(line, name+" "); is {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

func (s live) until(t *testing.T, name, value string) {
	t.Helper()
	for s.metric(t, name) != value {
		if t.Context().Err() != nil {
			t.Fatal("the test has ended")
		}
	}
}

// What is more than the server does at a time waits, and what is more than may wait is
// refused before its body is read, while health is answered.
func TestAdmission(t *testing.T) {
	s, g := gated(t, AdmissionLimits{Requests: 1, Waiting: 1, Wait: time.Hour})
	first := s.appending(t, "a")
	<-g.reached
	second := s.appending(t, "b")
	s.until(t, "annals_http_waiting", "1")

	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprint(conn, "POST /v1/streams/c/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 503 || answer.Header.Get("Retry-After") != "1" || !strings.Contains(string(text), `"code":"overloaded","retryable":true`) {
		t.Errorf("%d %v %s, %v", answer.StatusCode, answer.Header, text, err)
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if status, _, text := s.do(t, "GET", path, ""); status != 200 {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	if n := s.metric(t, `annals_http_shed_total{limit="requests"}`); n != "1" || s.metric(t, "annals_http_working") != "1" {
		t.Errorf("%s refused, %s at work", n, s.metric(t, "annals_http_working"))
	}
	close(g.open)
	for _, answer := range []<-chan int{first, second} {
		if status := <-answer; status != 201 {
			t.Errorf("%d", status)
		}
	}
	s.until(t, "annals_http_working", "0")
}

func TestAdmissionDoesNotWaitForEver(t *testing.T) {
	s, g := gated(t, AdmissionLimits{Requests: 1, Waiting: 9, Wait: time.Millisecond})
	first := s.appending(t, "a")
	<-g.reached
	if status, h, text := s.do(t, "GET", "/v1/events", ""); status != 503 || h.Get("Retry-After") != "1" || !strings.Contains(text, "overloaded") {
		t.Errorf("%d %s", status, text)
	}
	close(g.open)
	if status := <-first; status != 201 {
		t.Errorf("%d", status)
	}
	ctx, cancel := context.WithCancel(t.Context())
	a := NewAdmission(AdmissionLimits{Requests: 1, Waiting: 9, Wait: time.Hour})
	p, err := a.enter(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := a.enter(ctx); annals.CodeOf(err) != annals.CodeCanceled || len(a.queue) != 0 {
		t.Errorf("a client that has gone: %v, %d wait", err, len(a.queue))
	}
	if p.leave(); a.working != 0 {
		t.Errorf("%d at work", a.working)
	}
}

// Followers have places of their own, and whoever waits for a position is one.
func TestFollowersAreLimited(t *testing.T) {
	s := start(t, Options{Admission: NewAdmission(AdmissionLimits{Requests: 1, Followers: 2})})
	for range 2 {
		answer, err := http.Get(s.URL + "/v1/events?follow=true")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if answer.StatusCode != 200 {
			t.Fatal(answer.Status)
		}
	}
	for _, path := range []string{"/v1/events?follow=1", "/v1/position?wait=60", "/v1/position?stream=s&version=1", "/v1/playbacks/p/events"} {
		if status, h, text := s.do(t, "GET", path, ""); status != 503 || h.Get("Retry-After") == "" || !strings.Contains(text, "followers") {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	if status, _, text := s.do(t, "GET", "/v1/position", ""); status != 200 {
		t.Errorf("a request with an end: %d %s", status, text)
	}
	if s.metric(t, "annals_http_followers") != "2" || s.metric(t, `annals_http_shed_total{limit="followers"}`) != "4" {
		t.Error("the metrics say something else")
	}
}

// Who is slow to send a body, or to take an answer, holds no place meanwhile.
func TestSlowClientsHoldNoPlace(t *testing.T) {
	a := NewAdmission(AdmissionLimits{Requests: 1, Waiting: 1, Wait: time.Hour})
	p, err := a.enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.wait()
	p.lend() // as the timer does
	other, err := a.enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p.proceed(); a.working != 2 {
		t.Errorf("%d at work: what has begun goes on", a.working)
	}
	if p.lend(); a.working != 2 {
		t.Error("a place is lent while nobody waits for the client")
	}
	p.leave()
	p.wait() // as to write what went wrong
	p.lend()
	if p.proceed(); a.working != 1 {
		t.Errorf("%d at work", a.working)
	}
	if other.leave(); a.working != 0 {
		t.Errorf("%d at work", a.working)
	}

	s := start(t, Options{Admission: NewAdmission(AdmissionLimits{Requests: 1, Waiting: 1, Wait: time.Hour})})
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprint(conn, "POST /v1/streams/slow/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	s.until(t, "annals_http_working", "1")
	if status, _, text := s.do(t, "POST", "/v1/streams/a/events", `{"type":"T"}`, isJSON); status != 201 {
		t.Errorf("while another client sends its body: %d %s", status, text)
	}
	if _, err := fmt.Fprint(conn, `"type":"T"}`); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || answer.StatusCode != 201 {
		t.Fatal(answer, err)
	}
	s.until(t, "annals_http_working", "0")
}
