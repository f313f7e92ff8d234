package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"
)

// issuing is the address of an issuer, and what makes its tokens.
func issuing(t *testing.T) (issuer string, token func(name string, groups ...string) string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	provider := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "k", Algorithm: "ES256"}}, Algorithms: []string{"ES256"}}
	server := httptest.NewServer(provider)
	t.Cleanup(server.Close)
	provider.SetIssuer(server.URL)
	return server.URL, func(name string, groups ...string) string {
		claims, err := json.Marshal(map[string]any{"iss": server.URL, "aud": "annals", "sub": name, "groups": groups, "exp": time.Now().Add(time.Hour).Unix()})
		if err != nil {
			t.Fatal(err)
		}
		return oidctest.SignIDToken(key, "k", "ES256", string(claims))
	}
}

// The tokens of an issuer and those of a file let in side by side: over HTTP, by
// commands, and in the console.
func TestServeOIDC(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tokens")
	static := granted(t, file, "ann", "read")
	issuer, token := issuing(t)
	server := begin(t, " on http://", "serve", "--state", "--tokens", file, "--oidc-issuer", issuer, "--oidc-audience", "annals", "--oidc-roles", "groups:staff=read|append,groups:ops=operate",
		"--listen", "127.0.0.1:0", "--store", filepath.Join(dir, "store"))
	_, address, _ := strings.Cut(strings.TrimSpace(server.String()), " on ")
	run := func(token, line string, exit int, want string) {
		t.Helper()
		t.Setenv(tokenVariable, token)
		if got := typed(t.Context(), "", append(strings.Fields(line), "--store", address)...); got.exit != exit || !strings.Contains(got.out+got.errs, want) {
			t.Errorf("annals %s: %+v", line, got)
		}
	}
	run(token("shop", "staff"), "append order-7 --type placed --data {}", 0, "order-7 is at version 1")
	run(static, "read order-7", 0, "placed")
	run(token("shop", "staff"), "projection pause state", 5, "shop may not do this: it takes the role operate")
	run(token("otto", "ops"), "projection pause state", 0, "")
	run(token("eve"), "read order-7", 5, "eve may not do this: it takes the role read")
	forged := token("otto", "ops")
	run(forged[:len(forged)-6]+"AAAAAA", "read order-7", 5, "the token is not signed by the issuer")
	run(static, "read annals.operators", 0, `{"who":"shop"`)
	run(static, "read annals.operators", 0, `{"who":"otto"`)

	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	page := func(answer *http.Response, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	form := page(browser.Get(address + "/console/sign-in"))
	csrf := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindStringSubmatch(form)
	if csrf == nil {
		t.Fatal(form)
	}
	if text := page(browser.PostForm(address+"/console/sign-in", url.Values{"csrf": {csrf[1]}, "token": {token("olga", "staff", "ops")}})); !strings.Contains(text, "olga") {
		t.Errorf("signed in by an issuer's token: %.300s", text)
	}
	if exit := server.interrupt(); exit != 0 {
		t.Errorf("exit %d: %s", exit, server)
	}
}

// A server whose issuer does not answer starts, says so, and lets in the file's tokens.
func TestServeWhileTheIssuerIsDown(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tokens")
	static := granted(t, file, "ann", "read")
	server := begin(t, " on http://", "serve", "--tokens", file, "--oidc-issuer", "http://127.0.0.1:1", "--oidc-audience", "annals", "--oidc-roles", "groups:staff=read",
		"--listen", "127.0.0.1:0", "--store", filepath.Join(dir, "store"))
	_, rest, _ := strings.Cut(server.String(), " on ")
	address, _, _ := strings.Cut(rest, "\n")
	if !strings.Contains(server.String(), "nobody gets in by the issuer's tokens yet") {
		t.Errorf("%s", server)
	}
	_, token := issuing(t)
	for token, exit := range map[string]int{static: 0, token("ann", "staff"): 6} {
		t.Setenv(tokenVariable, token)
		if got := typed(t.Context(), "", "log", "--store", address); got.exit != exit {
			t.Errorf("%+v", got)
		}
	}
	server.interrupt()
}
