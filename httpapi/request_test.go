package httpapi

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// What a client breaks on the way is its own error, not the server's.
func TestBrokenBodiesAreRefused(t *testing.T) {
	s := start(t, Options{})
	for _, path := range []string{"/v1/streams/a/events", "/v1/ingest"} {
		for name, body := range map[string]string{
			"chunks":    "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}",
			"too short": "Content-Length: 100\r\n\r\n{\"type\":\"T\"}",
		} {
			conn, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n%s", path, body); err != nil {
				t.Fatal(err)
			}
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("%s with %s: %v", path, name, err)
			}
			text, err := io.ReadAll(answer.Body)
			if err != nil || answer.StatusCode != 400 || !strings.Contains(string(text), `"hint":`) {
				t.Errorf("%s with %s: %d %s, %v", path, name, answer.StatusCode, text, err)
			}
			_ = conn.Close()
		}
	}
}

func TestCaching(t *testing.T) {
	s := start(t, Options{})
	fillStreams(t, s)
	for _, c := range []struct {
		path, etag, cache string
	}{
		{"/v1/streams/s0/events", `"3"`, "no-cache"},
		{"/v1/streams/s0/events?to=3", `"3"`, "private, max-age=31536000, immutable"},
		{"/v1/streams/s0/events?to=4", `"3"`, "no-cache"},
		{"/v1/events", "", "no-cache"},
		{"/v1/events?until=6", "", "private, max-age=31536000, immutable"},
		{"/v1/events?until=7", "", "no-cache"},
	} {
		status, h, _ := s.do(t, "GET", c.path, "")
		if status != 200 || h.Get("ETag") != c.etag || h.Get("Cache-Control") != c.cache {
			t.Errorf("%s: %d, ETag %s, %s", c.path, status, h.Get("ETag"), h.Get("Cache-Control"))
		}
	}
	if status, _, text := s.do(t, "GET", "/v1/streams/s0/events", "", `If-None-Match: "3"`); status != 304 || text != "" {
		t.Errorf("the version that the client has: %d %s", status, text)
	}
	if status, _, _ := s.do(t, "GET", "/v1/streams/s0/events", "", `If-None-Match: "2"`); status != 200 {
		t.Errorf("an older version: %d", status)
	}
}

// A follower must be able to tell that the server ended from the end of what it
// asked for.
func TestFollowIsCutOffWhenTheServerEnds(t *testing.T) {
	ending := make(chan struct{})
	s := start(t, Options{Ending: ending})
	fillStreams(t, s)
	for _, media := range []string{mediaNDJSON, mediaSSE} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/v1/events?follow=true&limit=2", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", media)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(answer.Body); err != nil || len(text) == 0 {
			t.Fatalf("%s that ends at its limit: %q, %v", media, text, err)
		}
		_ = answer.Body.Close()
	}
	answer, err := http.Get(s.URL + "/v1/events?follow=true")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for n := 0; lines.Scan(); n++ {
		if n == 0 {
			close(ending)
		}
	}
	if lines.Err() == nil {
		t.Fatal("the answer ended as if nothing more would come")
	}
}

func TestIndexNamesEveryRoute(t *testing.T) {
	s := start(t, Options{})
	status, _, text := s.do(t, "GET", "/", "")
	for _, rt := range routes {
		if status != 200 || !strings.Contains(text, rt.path) {
			t.Errorf("%d, without %s:\n%s", status, rt.path, text)
		}
	}
}
