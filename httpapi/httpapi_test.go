package httpapi

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/storetest"
)

type live struct {
	*httptest.Server
	store *annals.Store
}

func start(t *testing.T, opts Options) live {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	store, err := embedded.Open(t.TempDir(), &embedded.Options{Logger: quiet, Store: &annals.Options{Clock: func() time.Time { return storetest.Epoch }}})
	if err != nil {
		t.Fatal(err)
	}
	opts.Logger = quiet
	if opts.Clock == nil {
		opts.Clock = func() time.Time { return storetest.Epoch }
	}
	ending := make(chan struct{})
	if opts.Ending == nil {
		opts.Ending = ending
	}
	server := httptest.NewUnstartedServer(New(store, &opts))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Start()
	t.Cleanup(func() {
		close(ending)
		server.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return live{server, store}
}

// do sends a request with headers as "Name: value".
func (s live) do(t *testing.T, method, path, body string, headers ...string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(text)
}

const isJSON = "Content-Type: application/json"

func TestAppend(t *testing.T) {
	s := start(t, Options{})
	for _, c := range []struct {
		name, stream, body string
		headers            []string
		status             int
		want               string
	}{
		{"plain", "a", `{"type":"T","data":{"n":1},"id":"1"}`, []string{isJSON}, 201, `{"stream":"a","version":"1","position":"1","count":1,"replayed":false}`},
		{"again", "a", `{"type":"T","data":{"n":1},"id":"1"}`, []string{isJSON}, 200, `{"stream":"a","version":"1","position":"1","count":1,"replayed":true}`},
		{"same id, other content", "a", `{"type":"T","data":{"n":2},"id":"1"}`, []string{isJSON}, 409, `"code":"id_reused","retryable":false,"hint":"a new fact needs a new id; to repeat an append, send the same events","stream":"a","id":"1","version":"1"`},
		{"array", "a", `[{"type":"T"},{"type":"T"}]`, []string{isJSON, `If-Match: "1"`}, 201, `"version":"3","position":"3","count":2`},
		{"conflict", "a", `{"type":"T"}`, []string{isJSON, `If-Match: "1"`}, 409, `"code":"conflict","retryable":false,"hint":"read the stream again, decide anew, and append at its version","expected":"1","actual":"3","stream":"a"`},
		{"new stream", "b", `{"type":"T"}`, []string{isJSON, "If-None-Match: *"}, 201, `"version":"1"`},
		{"not new", "b", `{"type":"T"}`, []string{isJSON, "If-None-Match: *"}, 409, `"expected":"0","actual":"1"`},
		{"structured", "c", `{"specversion":"1.0","id":"1","source":"/s","type":"T","data":1}`, []string{"Content-Type: application/cloudevents+json; charset=UTF-8"}, 201, `"version":"1"`},
		{"batch", "c", `[{"specversion":"1.0","id":"2","source":"/s","type":"T"}]`, []string{"Content-Type: application/cloudevents-batch+json"}, 201, `"version":"2"`},
		{"binary", "c", "\x00\xff", []string{"Content-Type: application/octet-stream", "Ce-Specversion: 1.0", "Ce-Id: 3", "Ce-Source: /s", "Ce-Type: T", "Ce-Subject: %C3%A4"}, 201, `"version":"3"`},
		{"stream with slashes", "d/e", `{"type":"T"}`, []string{isJSON}, 201, `"stream":"d/e"`},
		{"stream with escaped slashes", "d%2Ff", `{"type":"T"}`, []string{isJSON}, 201, `"stream":"d/f"`},
		{"no content type", "d", `{"type":"T"}`, nil, 201, `"stream":"d"`},
		{"violations are all named", "d", `{"type":"a b","source":"","id":7}`, []string{isJSON}, 400, `"violations":[{"field":"source","message":"must not be empty"},{"field":"id","message":"must be a string"}]`},
		{"unknown member", "d", `{"type":"T","dta":1}`, []string{isJSON}, 400, `\"dta\"`},
		{"element of an array", "d", `[{"type":"T"},{"type":7}]`, []string{isJSON}, 400, `"field":"events[1].type"`},
		{"plain as CloudEvent", "d", `{"type":"T"}`, []string{"Content-Type: application/cloudevents+json"}, 400, "specversion"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, h, text := s.do(t, "POST", "/v1/streams/"+c.stream+"/events", c.body, c.headers...)
			if status != c.status || !strings.Contains(text, c.want) {
				t.Fatalf("got %d %s\nwant %d %s", status, text, c.status, c.want)
			}
			if want := map[bool]string{true: mediaJSON, false: mediaProblem}[status < 300]; h.Get("Content-Type") != want {
				t.Fatalf("content type %s", h.Get("Content-Type"))
			}
			if status < 300 && !strings.Contains(text, `"version":`+h.Get("ETag")) {
				t.Fatalf("ETag %s of %s", h.Get("ETag"), text)
			}
		})
	}
	for e, err := range s.store.Stream(t.Context(), "c", &annals.StreamOptions{From: 3}) {
		if err != nil || e.Attributes["subject"] != "ä" || string(e.Data) != "\x00\xff" {
			t.Fatalf("the binary event became %+v, %v", e, err)
		}
	}
}

// A refusedRequest is one that is answered with a problem.
type refusedRequest struct {
	name, method, path, body string
	header                   string // lines
	status                   int
}

func TestRefusedAddresses(t *testing.T) {
	wantRefused(t, []refusedRequest{
		{"no such resource", "GET", "/v1/nothing", "", "", 404},
		{"wrong method on the root", "POST", "/", "", "", 405},
		{"page of another site", "POST", "/v1/streams/a/events", `{"type":"T"}`, "Sec-Fetch-Site: cross-site", 403},
		{"page of another origin", "POST", "/v1/ingest", `{"type":"T"}`, "Origin: https://evil.example", 403},
		{"wrong method", "DELETE", "/v1/events", "", "", 405},
		{"wrong method on a stream", "PUT", "/v1/streams/a/events", "", "", 405},
		{"dots as a stream", "GET", "/v1/streams/%2e%2e/events", "", "", 400},
		{"plain dots as a stream", "GET", "/v1/streams/../events", "", "", 400},
		{"empty stream", "GET", "/v1/streams//events", "", "", 400},
		{"unknown request", "GET", "/v1/traces/none", "", "", 404},
		{"unknown stream", "GET", "/v1/streams/none/events", "", "", 404},
	})
}

func TestRefusedQueries(t *testing.T) {
	wantRefused(t, []refusedRequest{
		{"too many types", "GET", "/v1/events?types=" + strings.Repeat("T,", annals.MaxQueryNames) + "T", "", "", 400},
		{"unknown parameter", "GET", "/v1/events?type=T", "", "", 400},
		{"position of a version without a stream", "GET", "/v1/position?version=1", "", "", 400},
		{"position of a stream without a version", "GET", "/v1/position?stream=a", "", "", 400},
		{"position of an event that is not there", "GET", "/v1/position?stream=none&version=1", "", "", 404},
		{"negative position", "GET", "/v1/events?after=-1", "", "", 400},
		{"overflowing position", "GET", "/v1/events?after=9223372036854775808", "", "", 400},
		{"fraction", "GET", "/v1/events?limit=1.5", "", "", 400},
		{"twice", "GET", "/v1/events?after=1&after=2", "", "", 400},
		{"flag", "GET", "/v1/events?backward=yes", "", "", 400},
		{"time", "GET", "/v1/events?since=yesterday", "", "", 400},
		{"bad escape", "GET", "/v1/events?after=%zz", "", "", 400},
		{"follow backward", "GET", "/v1/events?follow=true&backward=true", "", "", 400},
		{"follow as JSON", "GET", "/v1/events?follow=true", "", "Accept: application/json", 406},
		{"XML", "GET", "/v1/events", "", "Accept: application/xml", 406},
	})
}

func TestRefusedMessages(t *testing.T) {
	big := `{"type":"T","data":"` + strings.Repeat("x", MaxAppendBytes) + `"}`
	wantRefused(t, []refusedRequest{
		{"compressed CloudEvent", "POST", "/v1/streams/a/events", "\x1f\x8b", "Content-Encoding: gzip\nContent-Type: text/plain\nCe-Id: 1\nCe-Type: T\nCe-Source: s\nCe-Specversion: 1.0", 415},
		{"compressed message", "POST", "/v1/ingest", "\x1f\x8b", "Content-Encoding: gzip\nContent-Type: text/plain\nCe-Id: 1\nCe-Type: T\nCe-Source: s\nCe-Specversion: 1.0", 415},
		{"too many messages", "POST", "/v1/ingest", strings.Repeat("{}\n", MaxIngestMessages+1), isJSON, 413},
		{"parameter of an append", "POST", "/v1/streams/a/events?expect=1", `{"type":"T"}`, isJSON, 400},
		{"form", "POST", "/v1/ingest", "a=1", "Content-Type: application/x-www-form-urlencoded", 415},
		{"text", "POST", "/v1/streams/a/events", `{"type":"T"}`, "Content-Type: text/plain", 415},
		{"charset", "POST", "/v1/streams/a/events", `{"type":"T"}`, "Content-Type: application/json; charset=latin1", 415},
		{"compressed", "POST", "/v1/streams/a/events", `{"type":"T"}`, "Content-Encoding: gzip", 415},
		{"weak tag", "POST", "/v1/streams/a/events", `{"type":"T"}`, `If-Match: W/"1"`, 400},
		{"tag without quotes", "POST", "/v1/streams/a/events", `{"type":"T"}`, `If-Match: 1`, 400},
		{"overflowing tag", "POST", "/v1/streams/a/events", `{"type":"T"}`, `If-Match: "9223372036854775808"`, 400},
		{"negative tag", "POST", "/v1/streams/a/events", `{"type":"T"}`, `If-Match: "-1"`, 400},
		{"tag as none-match", "POST", "/v1/streams/a/events", `{"type":"T"}`, `If-None-Match: "1"`, 400},
		{"over the limit", "POST", "/v1/streams/a/events", big, isJSON, 413},
		{"empty body", "POST", "/v1/streams/a/events", "", isJSON, 400},
		{"empty array", "POST", "/v1/streams/a/events", "[]", isJSON, 400},
		{"nothing to ingest", "POST", "/v1/ingest", "", isJSON, 400},
	})
}

// wantRefused sends requests and wants a problem with its status for each.
func wantRefused(t *testing.T, requests []refusedRequest) {
	s := start(t, Options{})
	for _, c := range requests {
		t.Run(c.name, func(t *testing.T) {
			var headers []string
			if c.header != "" {
				headers = strings.Split(c.header, "\n")
			}
			status, h, text := s.do(t, c.method, c.path, c.body, headers...)
			if status != c.status {
				t.Fatalf("got %d %s, want %d", status, text, c.status)
			}
			var p Problem
			if status >= 400 && (h.Get("Content-Type") != mediaProblem || json.Unmarshal([]byte(text), &p) != nil || p.Status != status || p.Detail == "" || p.Title == "") {
				t.Fatalf("got %s %s", h.Get("Content-Type"), text)
			}
			if status == 405 && h.Get("Allow") == "" {
				t.Fatal("405 without Allow")
			}
		})
	}
}

func fillStreams(t *testing.T, s live) {
	t.Helper()
	for i := range 6 {
		e := annals.Event{ID: fmt.Sprint(i), Type: fmt.Sprint("T", i%2), Source: fmt.Sprint("S", i%3), Correlation: fmt.Sprint("r", i%2), Data: fmt.Appendf(nil, "%d", i)}
		if _, err := s.store.Append(t.Context(), fmt.Sprint("s", i%2), annals.Any, e); err != nil {
			t.Fatal(err)
		}
	}
}

func ids(t *testing.T, text string) (got []string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimRight(strings.TrimPrefix(strings.TrimPrefix(line, "["), "data: "), ",]\n")
		if !strings.HasPrefix(line, "{") {
			continue
		}
		e, err := annals.ParseEvent([]byte(line))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		got = append(got, e.ID)
	}
	return got
}

func TestReads(t *testing.T) {
	s := start(t, Options{})
	fillStreams(t, s)
	for _, c := range []struct {
		path, accept, resume string
		want                 []string
	}{
		{"/v1/events", "", "", []string{"0", "1", "2", "3", "4", "5"}},
		{"/v1/events", mediaNDJSON, "", []string{"0", "1", "2", "3", "4", "5"}},
		{"/v1/events", mediaSSE, "", []string{"0", "1", "2", "3", "4", "5"}},
		{"/v1/events", mediaSSE, "4", []string{"4", "5"}},
		{"/v1/events?after=1&until=4&types=T1", "", "", []string{"1", "3"}},
		{"/v1/events?types=T0,T1&sources=S0&sources=S2&limit=3", "", "", []string{"0", "2", "3"}},
		{"/v1/events?correlation=r1&backward=true", "", "", []string{"5", "3", "1"}},
		{"/v1/events?prefix=s1", "text/*;q=0.1, application/x-ndjson", "", []string{"1", "3", "5"}},
		{"/v1/events?since=2020-05-01T20:00:00Z&before=2020-05-01T20:00:01Z&after=5", "", "", []string{"5"}},
		{"/v1/events?before=2020-05-01T20:00:00Z", "", "", nil},
		{"/v1/streams/s0/events", "", "", []string{"0", "2", "4"}},
		{"/v1/streams/s0/events?from=2", mediaNDJSON, "", []string{"2", "4"}},
		{"/v1/streams/s0/events?to=2&backward=true&limit=1", "", "", []string{"2"}},
		{"/v1/streams/s0/events", mediaSSE, "2", []string{"4"}},
		{"/v1/streams/s0/events?from=9", "", "", nil},
		{"/v1/streams/s0/events", mediaSSE, "9223372036854775807", nil},
		{"/v1/events", mediaSSE, "9223372036854775807", nil},
		{"/v1/events?after=9223372036854775807", "", "", nil},
	} {
		headers := []string{}
		if c.accept != "" {
			headers = append(headers, "Accept: "+c.accept)
		}
		if c.resume != "" {
			headers = append(headers, "Last-Event-ID: "+c.resume)
		}
		status, h, text := s.do(t, "GET", c.path, "", headers...)
		if got := ids(t, text); status != 200 || !slices.Equal(got, c.want) {
			t.Errorf("%s as %s: %d, events %v, want %v", c.path, c.accept, status, got, c.want)
		}
		if strings.HasPrefix(h.Get("Content-Type"), mediaJSON) && !json.Valid([]byte(text)) {
			t.Errorf("%s: %s is no JSON", c.path, text)
		}
	}
	if status, _, text := s.do(t, "HEAD", "/v1/events", ""); status != 200 || text != "" {
		t.Errorf("HEAD: %d %q", status, text)
	}
}

// A follower gets what is there, what arrives, and heartbeats; it resumes behind
// the id that it saw last.
func TestFollow(t *testing.T) {
	s := start(t, Options{Heartbeat: time.Millisecond})
	fillStreams(t, s)
	for _, media := range []string{mediaSSE, mediaNDJSON} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/v1/events?follow=true&prefix=s", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", media)
		r.Header.Set("Last-Event-ID", "4")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		seen, beats, lines := []string{}, 0, bufio.NewScanner(answer.Body)
		for (len(seen) < 3 || beats < 2) && lines.Scan() {
			switch line := lines.Text(); {
			case line == ": alive" || media == mediaNDJSON && line == "":
				beats++
			case strings.Contains(line, "{"):
				if seen = append(seen, ids(t, line)...); len(seen) == 2 {
					if _, err := s.store.Append(t.Context(), "s9", annals.Any, storetest.Event(media[len(media)-3:], "T", "1")); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if len(seen) < 3 || seen[0] != "4" || seen[1] != "5" {
			t.Fatalf("%s: followed %v, %d heartbeats, %v", media, seen, beats, lines.Err())
		}
		if err := answer.Body.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestIngestSaysWhatBecameOfEachMessage(t *testing.T) {
	s := start(t, Options{})
	seed := `{"id":"1","requestId":"r","timestamp":"2020-05-01T20:00:00Z","type":"MICROSERVICE_REQUEST","source":"Gateway","data":{"Name":"Microservice A"}}`
	other := strings.Replace(seed, `"1"`, `"2"`, 1)
	status, _, text := s.do(t, "POST", "/v1/ingest", seed, isJSON)
	if status != 200 || text != `{"stored":1,"replayed":0,"refused":0,"results":[{"number":1,"status":"stored","id":"1","stream":"r","version":"1","position":"1"}]}`+"\n" {
		t.Fatalf("one: %d %s", status, text)
	}
	status, _, text = s.do(t, "POST", "/v1/ingest", "["+seed+","+other+`,{"aggregateId":"a","eventType":"T","eventData":1},{"requestId":1}]`, isJSON)
	var got ingested
	if err := json.Unmarshal([]byte(text), &got); err != nil || status != 200 || got.Stored != 2 || got.Replayed != 1 || got.Refused != 1 || len(got.Results) != 4 {
		t.Fatalf("array: %d %s, %v", status, text, err)
	}
	if r := got.Results[3]; r.Number != 4 || r.Status != "refused" || r.Error == nil || r.Error.Code != annals.CodeInvalid {
		t.Fatalf("refused: %+v", r)
	}
	status, _, text = s.do(t, "POST", "/v1/ingest", seed+"\n{broken\n", "Content-Type: application/x-ndjson")
	if status != 200 || !strings.Contains(text, `"replayed":1,"refused":1`) {
		t.Fatalf("lines: %d %s", status, text)
	}
	status, _, text = s.do(t, "POST", "/v1/ingest", `x`, "Content-Type: text/plain", "Ce-Specversion: 1.0", "Ce-Id: 1", "Ce-Source: /s", "Ce-Type: T", "Ce-Subject: b")
	if status != 200 || !strings.Contains(text, `"stream":"b"`) {
		t.Fatalf("binary: %d %s", status, text)
	}
	status, _, text = s.do(t, "POST", "/v1/ingest", `{"requestId":1}`, isJSON)
	if status != 400 || !strings.Contains(text, `"results":[{"number":1,"status":"refused"`) {
		t.Fatalf("all refused: %d %s", status, text)
	}
	status, _, text = s.do(t, "GET", "/v1/traces/r", "")
	if status != 200 || !strings.Contains(text, `"calls":[{"service":"Microservice A","status":null,"durationMs":null,"error":null},`) || !strings.Contains(text, `"faulty":null`) {
		t.Fatalf("trace: %d %s", status, text)
	}
}

func TestPositionWaits(t *testing.T) {
	s := start(t, Options{})
	if _, _, text := s.do(t, "GET", "/v1/position", ""); text != `{"position":"0"}`+"\n" {
		t.Fatalf("got %s", text)
	}
	answered := make(chan string, 1)
	go func() {
		_, _, text := s.do(t, "GET", "/v1/position?after=0&wait=60", "")
		answered <- text
	}()
	fillStreams(t, s)
	if text := <-answered; text == `{"position":"0"}`+"\n" {
		t.Fatalf("got %s", text)
	}
	if _, _, text := s.do(t, "GET", "/v1/position?after=6", ""); text != `{"position":"6"}`+"\n" {
		t.Fatalf("got %s", text)
	}
}

func TestStatusAndMetrics(t *testing.T) {
	s := start(t, Options{})
	s.do(t, "POST", "/v1/streams/a/events", `{"type":"T"}`, isJSON)
	for path, want := range map[string]string{
		"/healthz": `"ok"`, "/readyz": `"ready"`,
		"/metrics": `annals_http_request_seconds_count{operation="append",status="201"} 1`,
	} {
		if status, _, text := s.do(t, "GET", path, ""); status != 200 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	if status, _, text := s.do(t, "GET", "/readyz", ""); status != 503 || !strings.Contains(text, `"retryable":true`) {
		t.Errorf("closed: %d %s", status, text)
	}
	if status, _, text := s.do(t, "POST", "/v1/streams/a/events", `{"type":"T"}`, isJSON); status != 503 {
		t.Errorf("append to a closed store: %d %s", status, text)
	}
}

func TestMetricsOfCollectors(t *testing.T) {
	more := prometheus.NewCounter(prometheus.CounterOpts{Name: "annals_more_total", Help: "More."})
	s := start(t, Options{Collectors: []prometheus.Collector{more}})
	more.Inc()
	for _, want := range []string{"\nannals_more_total 1\n", "\nannals_log_position 0\n"} {
		if _, _, text := s.do(t, "GET", "/metrics", ""); !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
}

// A client that does not send what it announced is answered and let go.
func TestSlowClientTimesOut(t *testing.T) {
	s := start(t, Options{BodyTimeout: 50 * time.Millisecond})
	for path, want := range map[string]string{
		"/v1/streams/a/events": `"code":"timeout"`, "/v1/ingest": `"code":"timeout"`,
		// Nobody reads these bodies but net/http, before it answers.
		"/v1/nothing": `"code":"not_found"`, "/v1/projections/a/pause": `"code":"not_found"`,
	} {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"type\":", path); err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(conn) // ends when the server closes
		if err != nil || strings.Contains(want, "timeout") != strings.HasPrefix(string(text), "HTTP/1.1 408") || !strings.Contains(string(text), want) {
			t.Fatalf("%s: got %q, %v", path, text, err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A read that fails in the middle is cut off: the client sees an error, not a
// shorter answer.
func TestFailureInTheMiddleCutsOff(t *testing.T) {
	s := start(t, Options{})
	for i := range 200 {
		if _, err := s.store.Append(t.Context(), "a", annals.Any, annals.Event{ID: fmt.Sprint(i), Type: "T", Data: fmt.Appendf(nil, `"%01000d"`, i)}); err != nil {
			t.Fatal(err)
		}
	}
	answer, err := http.Get(s.URL + "/v1/events?follow=true")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for n := 0; lines.Scan(); n++ {
		if n == 0 {
			if err := s.store.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if lines.Err() == nil {
		t.Fatal("the answer ended as if it were whole")
	}
}
