package listen

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/listen/listentest"
)

type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *text) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *text) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// served is the address of a server with a limit of clients.
func served(t *testing.T, c *Certificate, most int, h http.HandlerFunc) (address string, connections *Connections) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connections = NewConnections(most)
	server := &http.Server{ConnContext: ConnContext, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		end, ok := Begin(r.Context())
		if !ok {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		defer end()
		h(w, r)
	})}
	ended := make(chan error, 1)
	if c != nil {
		server.TLSConfig = c.Config()
		go func() { ended <- server.ServeTLS(connections.Limit(listener), "", "") }()
	} else {
		go func() { ended <- server.Serve(connections.Limit(listener)) }()
	}
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-ended; err != http.ErrServerClosed {
			t.Error(err)
		}
	})
	return listener.Addr().String(), connections
}

// A certificate is read again while the server runs; a bad one leaves the old one.
func TestCertificateIsReadAgain(t *testing.T) {
	dir, at := t.TempDir(), time.Now().Add(-time.Hour)
	cert, key := listentest.Certificate(t, dir, 1, at)
	var logged text
	c, err := OpenCertificate(cert, key, slog.New(slog.NewTextHandler(&logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	address, _ := served(t, c, 0, func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, r.Proto) })
	serial := func() int64 {
		t.Helper()
		client := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
		defer client.CloseIdleConnections()
		r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+address, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		if _ = answer.Body.Close(); err != nil || string(text) != "HTTP/2.0" {
			t.Errorf("%s, %v", text, err)
		}
		return answer.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	if n := serial(); n != 1 {
		t.Fatal(n)
	}
	listentest.Certificate(t, dir, 2, at.Add(time.Minute))
	if n := serial(); n != 2 {
		t.Fatal(n)
	}
	if err := os.WriteFile(key, []byte("-----BEGIN PRIVATE KEY-----\nplanted"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := serial(); n != 2 || !strings.Contains(logged.String(), "the old one stays") || strings.Contains(logged.String(), "planted") {
		t.Fatalf("%d, %s", n, logged.String())
	}
	if _, err := OpenCertificate(cert, key, nil); annals.CodeOf(err) != annals.CodeInvalid || strings.Contains(err.Error(), "planted") {
		t.Errorf("%v", err)
	}
	listentest.Certificate(t, dir, 3, at.Add(2*time.Minute))
	if n := serial(); n != 3 {
		t.Fatal(n)
	}
}

// A file that is read while it is written is read again when it is whole, though both
// happen within one tick of the file system's clock; and so is one put in its place.
func TestCertificateIsReadAgainWithinATick(t *testing.T) {
	dir, at := t.TempDir(), time.Now().Add(-time.Hour)
	cert, key := listentest.Certificate(t, dir, 1, at)
	c, err := OpenCertificate(cert, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	serial := func() int64 {
		t.Helper()
		pair, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.SerialNumber.Int64()
	}
	cert, key = listentest.Certificate(t, dir, 2, at.Add(time.Minute))
	whole, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Truncate(key, 0), os.Chtimes(key, at, at.Add(time.Minute))); err != nil {
		t.Fatal(err)
	}
	if n := serial(); n != 1 {
		t.Fatal(n)
	}
	if err := errors.Join(os.WriteFile(key, whole, 0o600), os.Chtimes(key, at, at.Add(time.Minute))); err != nil {
		t.Fatal(err)
	}
	if n := serial(); n != 2 {
		t.Errorf("the certificate is still %d", n)
	}
	other := t.TempDir()
	otherCert, otherKey := listentest.Certificate(t, other, 3, at.Add(time.Minute))
	if err := errors.Join(os.Rename(otherCert, cert), os.Rename(otherKey, key)); err != nil {
		t.Fatal(err)
	}
	if n := serial(); n != 3 {
		t.Errorf("the certificate is still %d", n)
	}
}

// Old protocols, and ciphers that don't authenticate or whose keys stay, are refused.
func TestOldTLSIsRefused(t *testing.T) {
	cert, key := listentest.Certificate(t, t.TempDir(), 1, time.Now())
	c, err := OpenCertificate(cert, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	address, _ := served(t, c, 0, func(http.ResponseWriter, *http.Request) {})
	dial := func(config *tls.Config) error {
		config.InsecureSkipVerify = true
		conn, err := tls.Dial("tcp", address, config)
		if err == nil {
			err = conn.Close()
		}
		return err
	}
	for version, ok := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		if err := dial(&tls.Config{MinVersion: version, MaxVersion: version}); (err == nil) != ok {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
	good := 0
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		err := dial(&tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}})
		if err == nil {
			good++
		}
		if err == nil && !(strings.Contains(suite.Name, "_ECDHE_") && (strings.Contains(suite.Name, "GCM") || strings.Contains(suite.Name, "POLY1305"))) {
			t.Errorf("%s is taken", suite.Name)
		}
	}
	if good != 3 { // those for the elliptic key
		t.Errorf("%d ciphers are taken", good)
	}
}

// A client that does nothing gives way to another one; while all are at work a new one
// waits, and is served then.
func TestConnections(t *testing.T) {
	reached, open := make(chan struct{}), make(chan struct{})
	address, connections := served(t, nil, 2, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			reached <- struct{}{}
			<-open
		}
	})
	var idle []net.Conn
	for range 5 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		idle = append(idle, conn)
	}
	ask := func(path string) error {
		client := &http.Transport{DisableKeepAlives: true}
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+address+path, nil)
		if err != nil {
			return err
		}
		answer, err := client.RoundTrip(r)
		if err == nil {
			err = answer.Body.Close()
		}
		return err
	}
	if err := ask("/"); err != nil {
		t.Errorf("while clients do nothing: %v", err)
	}
	if _, err := idle[0].Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the client that did nothing for longest: %v", err)
	}
	answers := make(chan error, 3)
	for range 2 {
		go func() { answers <- ask("/wait") }()
		<-reached
	}
	go func() { answers <- ask("/") }()
	if n := connections.Count(); n != 2 {
		t.Errorf("%d are connected", n)
	}
	close(open)
	for range 3 {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
}
