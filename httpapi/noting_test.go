package httpapi

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/storetest"
)

// noting is a server over a store of its own that notes what operators do.
func noting(t *testing.T) *server {
	t.Helper()
	store, err := embedded.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return New(store, &Options{Authenticator: roleTokens{}, NoteActions: true, Clock: func() time.Time { return storetest.Epoch }}).(*server)
}

// last is what was noted last.
func last(t *testing.T, s *server) access.Action {
	t.Helper()
	page, _, err := access.Actions(t.Context(), s.store, &access.ActionsOptions{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	return append(page, access.Action{})[0]
}

// Every route that takes an operator is noted, however it ends: done, failed, panicked,
// cut off, or refused to somebody else.
func TestEveryOperatorRouteIsNoted(t *testing.T) {
	s := noting(t)
	for i := range routes {
		if routes[i].policy() != access.Operate {
			continue
		}
		rt := routes[i]
		end := func(handle func(*server, http.ResponseWriter, *request) error) {
			defer func() { _ = recover() }()
			rt.handle = handle
			raw := httptest.NewRequest(rt.method, "/", nil)
			raw = raw.WithContext(access.With(raw.Context(), access.Principal{Name: "otto"}))
			_ = s.handle(&answered{ResponseWriter: httptest.NewRecorder()}, &request{Request: raw, route: &rt, vars: []string{"7"}, params: url.Values{"reason": {"r"}}})
		}
		version := last(t, s).Version
		for outcome, handle := range map[string]func(*server, http.ResponseWriter, *request) error{
			"": func(*server, http.ResponseWriter, *request) error { return nil },
			"annals: it is broken": func(*server, http.ResponseWriter, *request) error {
				return &annals.Error{Code: annals.CodeInternal, Message: "it is broken"}
			},
			"the server failed":   func(*server, http.ResponseWriter, *request) error { panic(errors.New("broken")) },
			"the server failed, ": func(*server, http.ResponseWriter, *request) error { panic(http.ErrAbortHandler) },
		} {
			end(handle)
			a := last(t, s)
			if version++; a.Version != version || a.Who != "otto" || a.What != rt.what || a.Target != "7" || a.Detail != "reason=r" || a.Address != "192.0.2.1" || (a.Error == "") != (outcome == "") || !strings.HasPrefix(a.Error, outcome) {
				t.Errorf("%s %s that ends in %q: %+v", rt.method, rt.path, outcome, a)
			}
		}
		r := httptest.NewRequest(rt.method, plainPath.Replace(rt.path), nil)
		r.Header.Set("Authorization", "Bearer read,append")
		s.ServeHTTP(httptest.NewRecorder(), r)
		if a := last(t, s); a.Version != version+1 || a.Who != "holder of read,append" || a.What != rt.what || !strings.Contains(a.Error, "role operate") {
			t.Errorf("%s %s that is refused: %+v", rt.method, rt.path, a)
		}
	}
}

// Attempts that are refused can't fill the store, and who is nobody leaves no note.
func TestRefusalsDoNotFloodTheOperatorsLog(t *testing.T) {
	s := noting(t)
	for _, token := range []string{"read", "wrong"} {
		for range 500 {
			r := httptest.NewRequest("DELETE", "/v1/projections/p", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			s.ServeHTTP(httptest.NewRecorder(), r)
		}
	}
	if a := last(t, s); a.Version == 0 || a.Version > 70 || a.Who != "holder of read" {
		t.Errorf("%+v", a)
	}
}

// Who is named by the context is who acts where nobody asks for a token.
func TestWhoActsInAProcess(t *testing.T) {
	s := noting(t)
	s.opts.Authenticator = nil
	for name, who := range map[string]access.Principal{"local": {}, "local:ann": access.LocalUser("ann")} {
		r := httptest.NewRequest("DELETE", "/v1/consumers/c/parked/7?reason=r", nil)
		s.ServeHTTP(httptest.NewRecorder(), r.WithContext(access.With(r.Context(), who)))
		if a := last(t, s); a.Who != name || a.What != "parked.drop" {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// Every answer, also one that refuses or fails, is harmless in a browser, and no page of
// another site may read it.
func TestEveryRouteHasSecurityHeaders(t *testing.T) {
	s := start(t, Options{Authenticator: roleTokens{}})
	for _, rt := range slices.Concat(routes, []route{{method: "GET", path: "/v1/nothing"}, {method: "PATCH", path: "/v1/events"}}) {
		for _, method := range []string{rt.method, "OPTIONS", "HEAD"} {
			for _, token := range []string{"", "read,append,operate"} {
				path := plainPath.Replace(rt.path)
				_, h, _ := s.do(t, method, path, "", bearing(token), "Origin: https://evil.example", "Access-Control-Request-Method: "+rt.method)
				for name, want := range map[string]string{
					"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
					"Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
				} {
					if h.Get(name) != want {
						t.Errorf("%s %s: %s is %q", method, path, name, h.Get(name))
					}
				}
				for name := range h {
					if strings.HasPrefix(name, "Access-Control-") || name == "Server" || name == "Set-Cookie" {
						t.Errorf("%s %s: %s is %q", method, path, name, h.Get(name))
					}
				}
			}
		}
	}
}
