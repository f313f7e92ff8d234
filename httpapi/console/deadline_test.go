package console

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// send opens a connection to a server and sends text.
func send(t *testing.T, server *httptest.Server, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

// A browser that does not send what it has announced is cut off, whoever it is and
// whatever it asks for.
func TestSlowFormsAreCutOff(t *testing.T) {
	for name, opts := range map[string]Options{"tokens": {Authenticator: everybody}, "no tokens": {}} {
		c, _ := framed(t, opts)
		c.formTime = 50 * time.Millisecond
		server := httptest.NewServer(c)
		t.Cleanup(server.Close)
		for _, path := range []string{"sign-in", "sign-out", "nothing", "projections/a/pause"} {
			conn := send(t, server, fmt.Sprintf("POST %s%s HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\ncsrf=", Path, path))
			text, err := io.ReadAll(conn) // ends when the server closes
			if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 4") || !strings.Contains(string(text), "Connection: close") {
				t.Fatalf("%s, %s: %v\n%s", name, path, err, text)
			}
		}
	}
}

// A form that came in time leaves its action all the time that it takes.
func TestActionsOutlastTheTimeForTheirForm(t *testing.T) {
	c, _ := framed(t, Options{})
	c.formTime = 20 * time.Millisecond
	a := &action{what: "test.wait", do: func(c *console, r *http.Request) (string, string, error) {
		select {
		case <-r.Context().Done():
			return "", "", r.Context().Err()
		case <-time.After(5 * c.formTime):
			return "waited", Path, nil
		}
	}}
	a.role = "read"
	c.mux.HandleFunc("POST "+Path+"test/wait", func(w http.ResponseWriter, r *http.Request) { c.act(a, w, r) })
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	secret := strings.Repeat("A", 26)
	form := "csrf=" + secret
	conn := send(t, server, fmt.Sprintf("POST %stest/wait HTTP/1.1\r\nHost: a\r\nConnection: close\r\nCookie: %s=%s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", Path, csrfCookie, secret, len(form), form))
	text, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 303") {
		t.Fatalf("%v\n%s", err, text)
	}
}

// A browser that does not take a page holds neither the page nor its request for ever.
func TestPagesThatAreNotTakenAreGivenUp(t *testing.T) {
	c, _ := framed(t, Options{})
	c.answerTime = 50 * time.Millisecond
	huge := strings.Repeat("x", 16<<20) // beyond what sockets hold
	s := &screen{template: "test_huge.html", read: func(*console, *http.Request) (string, any, error) { return "Huge", huge, nil }}
	defineTemplate(t, s.template, `{{define "content"}}{{.Data}}{{end}}`)
	c.mux.HandleFunc("GET "+Path+"test/huge", func(w http.ResponseWriter, r *http.Request) { c.show(s, w, r) })
	left := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(left)
		c.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	send(t, server, "GET "+Path+"test/huge HTTP/1.1\r\nHost: a\r\n\r\n")
	<-left
}
