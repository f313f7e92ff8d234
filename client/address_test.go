package client

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
)

func TestAddressesThatAreNone(t *testing.T) {
	for _, address := range []string{"", "localhost:4000", "http://", "ftp://a", "http://a/v1", "http://a?b", "http://a#b"} {
		if _, err := Open(address, nil); !errors.Is(err, annals.ErrInvalid) {
			t.Errorf("%q: %v", address, err)
		}
	}
	s, err := Open("http://127.0.0.1:1/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(t.Context(), "a", 0, storetest.Event("1", "T", `1`)); !errors.Is(err, annals.ErrClosed) || errors.Is(err, annals.ErrUnknownOutcome) {
		t.Errorf("append after closing: %v", err)
	}
}

// What is not an Annals server's own answer says nothing about the events: a
// read fails, and an append may have arrived.
func TestAnswersThatAreNotTheServersOwn(t *testing.T) {
	for name, answer := range map[string]struct {
		status      int
		media, body string
	}{
		"not found":     {404, "text/html", "<h1>404</h1>"},
		"bad gateway":   {502, "text/html", "<h1>502</h1>"},
		"JSON gateway":  {504, "application/json", `{"code":"gateway_timeout"}`},
		"other problem": {409, "application/problem+json", `{"type":"about:blank","code":"conflict"}`},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", answer.media)
			w.WriteHeader(answer.status)
			_, _ = w.Write([]byte(answer.body))
		}))
		s, err := Open(server.URL, &Options{Store: &annals.Options{Attempts: 1}})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, err := range s.Log(t.Context(), annals.Query{}) {
			if n++; !errors.Is(err, annals.ErrUnavailable) || !strings.Contains(err.Error(), "not as an Annals server does") {
				t.Errorf("%s: reading gave %v", name, err)
			}
		}
		if n != 1 {
			t.Errorf("%s: reading gave %d answers", name, n)
		}
		if _, err := s.Append(t.Context(), "a", 0, storetest.Event("1", "T", `1`)); !errors.Is(err, annals.ErrUnknownOutcome) {
			t.Errorf("%s: appending gave %v", name, err)
		}
		server.Close()
	}
}

// A token is for the server that was named, wherever that sends one.
func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s with %d credentials", r.Method, r.URL, len(r.Header["Authorization"]))
	}))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	s, err := Open(server.URL, &Options{Token: "annals_secret", Store: &annals.Options{Attempts: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(t.Context(), "a", 0, storetest.Event("1", "T", `1`)); !errors.Is(err, annals.ErrUnknownOutcome) || strings.Contains(err.Error(), "annals_secret") {
		t.Errorf("appending: %v", err)
	}
	if _, err := s.End(t.Context()); !errors.Is(err, annals.ErrUnavailable) || !strings.Contains(err.Error(), "307") {
		t.Errorf("reading: %v", err)
	}
}

func TestTLSToAServerWithoutIsUnavailable(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	s, err := Open(strings.Replace(server.URL, "http:", "https:", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Append(t.Context(), "a", 0, storetest.Event("1", "T", `1`))
	if !errors.Is(err, annals.ErrUnavailable) || errors.Is(err, annals.ErrUnknownOutcome) {
		t.Errorf("append: %v", err)
	}
}
