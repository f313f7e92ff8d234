package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/eb901187/annals"
)

// One connection of HTTP/2 makes no more calls at a time than there may be
// connections: each call needs one with its service.
func TestCallsOfOneConnectionAreLimited(t *testing.T) {
	const most = 3
	reached, end := make(chan struct{}), make(chan struct{})
	w := begin(t, one(serviceAt(t, func(http.ResponseWriter, *http.Request) {
		reached <- struct{}{}
		<-end
	}))+fmt.Sprintf("limits: {connections: %d}\n", most))
	client := http2Client(t)
	call := func() exchange {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url, nil)
		if err != nil {
			return exchange{err: err}
		}
		answer, err := client.RoundTrip(request)
		if err != nil {
			return exchange{err: err}
		}
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		return exchange{answer.StatusCode, answer.Header, nil, string(text), err}
	}
	answers := make(chan exchange, most)
	for range most {
		go func() { answers <- call() }()
		<-reached
	}
	x := call()
	if p := problemOf(t, x, http.StatusServiceUnavailable); p.Code != annals.CodeUnavailable || !p.Retryable || x.header.Get("Retry-After") == "" {
		t.Errorf("%+v %v", p, x.header)
	}
	close(end)
	for range most {
		if x := <-answers; x.status != http.StatusOK {
			t.Errorf("%+v", x)
		}
	}
	go func() { answers <- call() }()
	<-reached
	if x := <-answers; x.status != http.StatusOK {
		t.Errorf("once there is room: %+v", x)
	}
	w.recorded(t, 2*(most+1))
}

// An upgraded connection may be closed in one direction and used in the other.
func TestUpgradedHalfClose(t *testing.T) {
	got := make(chan string, 1)
	w := begin(t, one(raw(t, func(conn net.Conn, in *bufio.Reader) {
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nbye")
		_ = conn.(*net.TCPConn).CloseWrite()
		text, _ := io.ReadAll(in)
		got <- string(text)
	})))
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(conn)
	if err != nil || !strings.HasSuffix(string(text), "\r\n\r\nbye") {
		t.Errorf("%q, %v", text, err)
	}
	if _, err = io.WriteString(conn, "and you"); err != nil {
		t.Error(err)
	}
	if err = conn.Close(); err != nil {
		t.Error(err)
	}
	if text := <-got; text != "and you" {
		t.Errorf("the service got %q", text)
	}
}

// A service that switches although nobody asked for it is hung up on.
func TestSwitchThatNobodyAskedFor(t *testing.T) {
	ended := make(chan struct{})
	w := begin(t, one(raw(t, func(conn net.Conn, in *bufio.Reader) {
		hanging("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")(conn, in)
		close(ended)
	})))
	problemOf(t, get(t, w.url), http.StatusBadGateway)
	<-ended
}
