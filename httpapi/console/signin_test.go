package console

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
)

// secretTokens are who is known, by tokens that must show nowhere.
type secretTokens map[string]access.Principal

func (s secretTokens) Authenticate(_ context.Context, token string) (access.Principal, error) {
	if token == "annals_outage" {
		return access.Principal{}, &annals.Error{Code: annals.CodeUnavailable, Message: "the issuer does not answer"}
	}
	if who, known := s[token]; known {
		return who, nil
	}
	return access.Principal{}, &annals.Error{Code: annals.CodeUnauthorized, Message: "this server does not know the token", Hint: "make one"}
}

var everybody = secretTokens{
	"annals_reader":   {Name: "rita", Roles: []access.Role{access.Read}},
	"annals_operator": {Name: "otto", Roles: []access.Role{access.Read, access.Operate}},
	"annals_blind":    {Name: "bo", Roles: []access.Role{access.Operate, access.Append}},
	"annals_feeder":   {Name: "fay", Roles: []access.Role{access.Read, access.Append}},
}

// A window keeps cookies as a browser does, of one site.
type window struct {
	t       *testing.T
	c       http.Handler
	cookies map[string]*http.Cookie
	change  func(*http.Request)
	said    bytes.Buffer // everything that was answered
}

func look(t *testing.T, c http.Handler) *window {
	return &window{t: t, c: c, cookies: map[string]*http.Cookie{}, change: func(*http.Request) {}}
}

func (b *window) do(method, path string, form url.Values) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	b.change(r)
	w := httptest.NewRecorder()
	b.c.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c
		}
		if c.Name != tokenCookie && c.Name != "__Host-"+tokenCookie {
			fmt.Fprintln(&b.said, c)
		}
	}
	header := w.Header().Clone()
	header.Del("Set-Cookie")
	fmt.Fprintln(&b.said, header, w.Body)
	return w
}

var csrfInput = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// secret is that of the forms on a page.
func (b *window) secret() string {
	b.t.Helper()
	m := csrfInput.FindStringSubmatch(b.do("GET", Path+"sign-in", nil).Body.String())
	if m == nil {
		b.t.Fatal("the page of sign-in has no form")
	}
	return m[1]
}

func (b *window) signIn(token, next string) *httptest.ResponseRecorder {
	b.t.Helper()
	return b.do("POST", Path+"sign-in", url.Values{"csrf": {b.secret()}, "token": {token}, "next": {next}})
}

func TestSignInAndOut(t *testing.T) {
	known := secretTokens{"annals_operator": everybody["annals_operator"]}
	c, logged := framed(t, Options{Authenticator: known})
	b := look(t, c)
	w := b.do("GET", "/console/streams?prefix=a%26b", nil)
	if w.Code != 303 || w.Header().Get("Location") != "/console/sign-in?next=%2Fconsole%2Fstreams%3Fprefix%3Da%2526b" {
		t.Fatalf("%d to %s", w.Code, w.Header().Get("Location"))
	}
	w = b.do("GET", w.Header().Get("Location"), nil)
	if w.Code != 200 || !strings.Contains(w.Body.String(), `name="next" value="/console/streams?prefix=a%26b"`) {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	w = b.signIn("annals_wrong", "/console/streams")
	if w.Code != 401 || !strings.Contains(w.Body.String(), "does not know the token") || strings.Contains(b.said.String(), "annals_wrong") || b.cookies[tokenCookie] != nil {
		t.Fatalf("a wrong token: %d %s", w.Code, w.Body)
	}
	before := b.secret()
	w = b.signIn(" annals_operator\n", "/console/streams?prefix=a%26b")
	if w.Code != 303 || w.Header().Get("Location") != "/console/streams?prefix=a%26b" || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d to %s", w.Code, w.Header().Get("Location"))
	}
	if b.secret() == before {
		t.Error("the forms' secret is that of before signing in")
	}
	w = b.do("GET", "/console/streams", nil)
	if w.Code != 200 || !strings.Contains(w.Body.String(), "otto") || !strings.Contains(w.Body.String(), "/console/sign-out") {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w = b.do("POST", "/console/sign-out", url.Values{"csrf": {"forged"}}); w.Code != 403 || b.cookies[tokenCookie] == nil {
		t.Fatalf("a forged sign-out: %d", w.Code)
	}
	stolen := b.cookies[tokenCookie]
	if w = b.do("POST", "/console/sign-out", url.Values{"csrf": {b.secret()}}); w.Code != 303 || w.Header().Get("Location") != "/console/sign-in" || b.cookies[tokenCookie] != nil {
		t.Fatalf("sign-out: %d", w.Code)
	}
	if w = b.do("GET", "/console/streams", nil); w.Code != 303 {
		t.Fatalf("after sign-out: %d", w.Code)
	}
	// A token that the server no longer knows lets nobody in.
	b.cookies[tokenCookie] = stolen
	if w = b.do("GET", "/console/streams", nil); w.Code != 200 {
		t.Fatalf("a token that is still known: %d", w.Code)
	}
	delete(known, "annals_operator")
	if w = b.do("GET", "/console/streams", nil); w.Code != 303 {
		t.Fatalf("a token that is revoked: %d", w.Code)
	}
	if strings.Contains(b.said.String()+logged.String(), "annals_operator") {
		t.Error("an answer or the log holds the token")
	}
}

// No page, header or log holds the token of who looks.
func TestTheTokenShowsNowhere(t *testing.T) {
	c, logged := framed(t, Options{Authenticator: everybody})
	b := look(t, c)
	b.signIn("annals_operator", "")
	for _, path := range append(Addresses(), "nothing", "event/a?version=x", "operators?before=x") {
		b.do("GET", Path+path, nil)
	}
	for i := range actions {
		b.do("POST", Path+filled(actions[i].path), url.Values{"csrf": {b.secret()}, "confirm": {"x"}})
	}
	if text := b.said.String() + logged.String(); strings.Contains(text, "annals_operator") {
		t.Errorf("an answer or the log holds the token, near %.200s", text[max(0, strings.Index(text, "annals_operator")-100):])
	}
}

func TestWhoMaySignIn(t *testing.T) {
	c, _ := framed(t, Options{Authenticator: everybody})
	for token, status := range map[string]int{"annals_reader": 303, "annals_blind": 403, "": 401, "annals_outage": 503, strings.Repeat("x", 65<<10): 403} {
		b := look(t, c)
		w := b.signIn(token, "")
		if w.Code != status || (b.cookies[tokenCookie] != nil) != (status == 303) {
			t.Errorf("%.20q: %d", token, w.Code)
		}
		if status == 403 && token == "annals_blind" && !strings.Contains(w.Body.String(), "role read") {
			t.Errorf("%s", w.Body)
		}
	}
	// Who came in otherwise is stopped at each page.
	b := look(t, c)
	b.cookies[tokenCookie] = &http.Cookie{Name: tokenCookie, Value: "annals_blind"}
	for _, path := range Addresses() {
		if w := b.do("GET", Path+path, nil); w.Code != 403 || !strings.Contains(w.Body.String(), "role read") {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	b.cookies[tokenCookie].Value = "annals_outage"
	if w := b.do("GET", Path, nil); w.Code != 503 || !strings.Contains(w.Body.String(), "issuer") {
		t.Errorf("while nobody can be recognized: %d", w.Code)
	}
	open, _ := framed(t, Options{})
	if w := look(t, open).do("GET", Path+"sign-in?next=/console/streams", nil); w.Code != 200 || !strings.Contains(w.Body.String(), `<a href="/console/streams">`) || strings.Contains(w.Body.String(), `name="token"`) {
		t.Errorf("a server without tokens: %d %s", w.Code, w.Body)
	}
	if w := look(t, open).do("GET", Path+"streams", nil); w.Code != 200 || strings.Contains(w.Body.String(), "sign-out") {
		t.Errorf("a server without tokens: %d %s", w.Code, w.Body)
	}
}

// What is no page of a browser's own is not led to sign-in.
func TestRequestsThatCantBeRedirected(t *testing.T) {
	c, _ := framed(t, Options{Authenticator: everybody})
	for header, value := range map[string]string{"Accept": "text/event-stream", "HX-Request": "true"} {
		w := ask(c, "GET", Path, func(r *http.Request) { r.Header.Set(header, value) })
		if w.Code != 401 || w.Header().Get("HX-Redirect") != Path+"sign-in" || w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %d %v", header, w.Code, w.Header())
		}
	}
	if w := ask(c, "POST", Path+"projections/p/pause"); w.Code != 401 || !strings.Contains(w.Body.String(), "nobody is signed in") {
		t.Errorf("a form: %d %s", w.Code, w.Body)
	}
}

func TestCookies(t *testing.T) {
	c, _ := framed(t, Options{Authenticator: everybody})
	for name, test := range map[string]struct {
		change func(*http.Request)
		secure bool
	}{
		"without encryption": {func(*http.Request) {}, false},
		"TLS":                {func(r *http.Request) { r.TLS = &tls.ConnectionState{} }, true},
		"a proxy's TLS":      {func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "https") }, true},
	} {
		b := look(t, c)
		b.change = test.change
		if w := b.signIn("annals_reader", ""); w.Code != 303 {
			t.Fatalf("%s: %d", name, w.Code)
		}
		if w := b.do("GET", Path+"streams", nil); w.Code != 200 {
			t.Errorf("%s: %d", name, w.Code)
		}
		prefix, path := "", Path
		if test.secure {
			prefix, path = "__Host-", "/"
		}
		for cookie, age := range map[string]int{tokenCookie: signedInFor, csrfCookie: 0} {
			got := b.cookies[prefix+cookie]
			if got == nil || !got.HttpOnly || got.SameSite != http.SameSiteStrictMode || got.Secure != test.secure || got.Path != path || got.Domain != "" || got.MaxAge != age {
				t.Errorf("%s: %+v", name, got)
			}
		}
		if len(b.cookies) != 2 {
			t.Errorf("%s: %d cookies", name, len(b.cookies))
		}
	}
	// Under TLS a planted cookie without the prefix counts for nothing.
	b := look(t, c)
	b.change = func(r *http.Request) { r.TLS = &tls.ConnectionState{} }
	b.cookies[tokenCookie] = &http.Cookie{Name: tokenCookie, Value: "annals_reader"}
	if w := b.do("GET", Path, nil); w.Code != 303 {
		t.Errorf("a planted cookie: %d", w.Code)
	}
}

func TestSignInLeadsToTheConsoleOnly(t *testing.T) {
	c, _ := framed(t, Options{Authenticator: everybody})
	for next, want := range map[string]string{
		"/console/streams?prefix=a": "/console/streams?prefix=a", "": Path, "/": Path, "https://evil.example": Path, "//evil.example/console/": Path,
		"/console/\\evil": Path, "/console/\r\nX: y": Path, "/console": Path, "javascript:alert(1)": Path, "/\\evil.example": Path, "\t//evil": Path,
		"/consoles/": Path, "/console/%zz": Path, "http:/console/": Path,
	} {
		w := look(t, c).signIn("annals_reader", next)
		if got := w.Header().Get("Location"); w.Code != 303 || got != want {
			t.Errorf("%q: %d to %q", next, w.Code, got)
		}
	}
}
