package sink

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/tracking"
)

func serving(t testing.TB, h http.Handler, opts *ServerOptions) tracking.Sink {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	to, err := ToServer(server.URL, opts)
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func TestToServer(t *testing.T) {
	store := open(t)
	contract(t, serving(t, httpapi.New(store, &httpapi.Options{Logger: slog.New(slog.DiscardHandler)}), nil), store)
}

// A delivery of more than a request holds becomes several.
func TestLargeDeliveries(t *testing.T) {
	store := open(t)
	requests := 0
	api := httpapi.New(store, nil)
	to := serving(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		api.ServeHTTP(w, r)
	}), nil)
	events := exchanges(20)
	for i := range events {
		events[i].Data = fmt.Appendf(nil, `"%s"`, strings.Repeat("x", 500_000))
	}
	deliver(t, to, events)
	stored(t, store, events)
	if requests != 3 {
		t.Errorf("%d requests", requests)
	}
}

type oneToken string

func (o oneToken) Authenticate(_ context.Context, token string) (access.Principal, error) {
	switch {
	case token == string(o):
		return access.Principal{Name: "gateway", Roles: []access.Role{access.Append}}, nil
	case token == "reader":
		return access.Principal{Name: "reader", Roles: []access.Role{access.Read}}, nil
	}
	return access.Principal{}, &annals.Error{Code: annals.CodeUnauthorized, Message: "who?", Hint: "a token"}
}

func TestTokensOfServers(t *testing.T) {
	store := open(t)
	api := httpapi.New(store, &httpapi.Options{Authenticator: oneToken("secret"), Logger: slog.New(slog.DiscardHandler)})
	for token, code := range map[string]annals.Code{"secret": "", "": annals.CodeUnauthorized, "wrong": annals.CodeUnauthorized, "reader": annals.CodeForbidden} {
		err := serving(t, api, &ServerOptions{Token: token}).Deliver(t.Context(), exchanges(1))
		if annals.CodeOf(err) != code || annals.IsRefusal(err) || err != nil && token != "" && token != "reader" && strings.Contains(err.Error(), token) {
			t.Errorf("%q: %v", token, err)
		}
	}
}

// What is not a server's own answer says nothing about the events.
func TestAnswersThatMayPass(t *testing.T) {
	problem := func(code annals.Code) string {
		return fmt.Sprintf(`{"type":"urn:annals:problem:%s","code":"%s","detail":"d"}`, code, code)
	}
	for name, c := range map[string]struct {
		status int
		body   string
		code   annals.Code
	}{
		"gateway":        {502, "<h1>502</h1>", annals.CodeUnavailable},
		"other JSON":     {400, `{"code":"invalid"}`, annals.CodeUnavailable},
		"redirect":       {302, "", annals.CodeUnavailable},
		"other page":     {200, "<h1>hello</h1>", annals.CodeUnavailable},
		"other document": {200, "{}", annals.CodeUnavailable},
		"no space":       {507, problem(annals.CodeNoSpace), annals.CodeUnavailable},
		"throttled":      {503, problem(annals.CodeUnavailable), annals.CodeUnavailable},
		"no route":       {404, problem(annals.CodeNotFound), annals.CodeNotFound},
	} {
		stored := false
		to := serving(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			stored = stored || r.URL.Path == "/elsewhere"
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.body))
		}), nil)
		if err := to.Deliver(t.Context(), exchanges(1)); annals.CodeOf(err) != c.code || annals.IsRefusal(err) || stored {
			t.Errorf("%s: %v", name, err)
		}
	}
	to, err := ToServer("http://127.0.0.1:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := to.Deliver(t.Context(), exchanges(1)); annals.CodeOf(err) != annals.CodeUnavailable || annals.IsRefusal(err) {
		t.Errorf("no server: %v", err)
	}
}

// A body that is too large as a whole is halved by the recorder.
func TestTooLargeARequestIsARefusal(t *testing.T) {
	to := serving(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		_, _ = w.Write([]byte(`{"type":"urn:annals:problem:too_large","code":"too_large","detail":"d"}`))
	}), nil)
	if err := to.Deliver(t.Context(), exchanges(1)); !annals.IsRefusal(err) {
		t.Error(err)
	}
}
