package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/storetest/stores"
)

// A site whose name leads to this machine reaches a server there in the browser of
// whoever looks at that site: without tokens it must not be answered.
func TestAServerWithoutTokensIsForThisMachineOnly(t *testing.T) {
	store := stores.Memory(t, nil)
	a := &app{}
	for _, test := range []struct {
		s    service
		open bool
	}{
		{service{console: true}, false}, {service{}, false}, {service{console: true, insecure: true}, true}, {service{console: true, tokens: "t"}, true},
	} {
		face := a.face(store, &test.s, "http://127.0.0.1:4000", &httpapi.Options{})
		answered := func(host string) bool {
			r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
			r.Host = host
			w := httptest.NewRecorder()
			face.ServeHTTP(w, r)
			if w.Code != http.StatusOK && (w.Code != http.StatusMisdirectedRequest || !strings.Contains(w.Body.String(), "--tokens")) {
				t.Errorf("%s: %d %s", host, w.Code, w.Body)
			}
			return w.Code == http.StatusOK
		}
		for _, host := range []string{"", "localhost:4000", "annals.localhost", "127.0.0.1:4000", "[::1]:4000", "192.0.2.1"} {
			if !answered(host) {
				t.Errorf("%+v does not answer to %q", test.s, host)
			}
		}
		for _, host := range []string{"evil.example:4000", "127.0.0.1.evil.example", "localhost.evil.example:4000", "evil-localhost", "[::1].evil.example"} {
			if answered(host) != test.open {
				t.Errorf("%+v, called %q", test.s, host)
			}
		}
	}
}

// What the server answers besides the API and the console is harmless in a browser too.
func TestEveryFaceHasSecurityHeaders(t *testing.T) {
	store := stores.Memory(t, nil)
	a := &app{logger: slog.New(slog.DiscardHandler), clock: time.Now}
	server, err := a.server(&service{}, a.face(store, &service{console: true}, "http://127.0.0.1:4000", &httpapi.Options{Clock: time.Now}))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		host, path string
		status     int
	}{
		{"evil.example", "/", http.StatusMisdirectedRequest}, {"localhost", "/console", http.StatusSeeOther}, {"localhost", "/", http.StatusSeeOther},
		{"localhost", "/console/", http.StatusOK}, {"localhost", "/healthz", http.StatusOK}, {"localhost", "/nothing", http.StatusNotFound},
	} {
		r := httptest.NewRequest(http.MethodGet, test.path, nil)
		r.Host = test.host
		r.Header.Set("Accept", "text/html, application/json")
		w := httptest.NewRecorder()
		server.Handler.ServeHTTP(w, r)
		if w.Code != test.status {
			t.Errorf("%s of %s: %d", test.path, test.host, w.Code)
		}
		for _, name := range []string{"X-Content-Type-Options", "X-Frame-Options", "Content-Security-Policy", "Referrer-Policy", "Cross-Origin-Resource-Policy"} {
			if w.Header().Get(name) == "" {
				t.Errorf("%s of %s has no %s", test.path, test.host, name)
			}
		}
	}
}
