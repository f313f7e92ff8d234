package main

import (
	"crypto/tls"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals/listen/listentest"
)

// certified is a certificate that is dated by its serial number, in minutes from now.
func certified(t *testing.T, dir string, serial int64) (cert, key string) {
	t.Helper()
	return listentest.Certificate(t, dir, serial, time.Now().Add(time.Duration(serial)*time.Minute))
}

// A server with a certificate speaks HTTP/2 to whom trusts it, by a flag or a variable,
// and goes on with another certificate while it runs.
func TestServeTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := certified(t, dir, 1)
	server := begin(t, " on https://", "serve", "--tls-cert", cert, "--tls-key", key, "--listen", "127.0.0.1:0", "--store", filepath.Join(dir, "store"))
	_, address, _ := strings.Cut(strings.TrimSpace(server.String()), " on ")
	run := func(exit int, want string, args ...string) {
		t.Helper()
		if got := typed(t.Context(), "", append(args, "--store", address)...); got.exit != exit || !strings.Contains(got.out+got.errs, want) {
			t.Errorf("annals %s: %+v", strings.Join(args, " "), got)
		}
	}
	run(6, "certificate", "append", "order-7", "--type", "placed")
	run(0, "order-7 is at version 1", "append", "order-7", "--type", "placed", "--ca", cert)
	run(2, "holds no certificate", "read", "order-7", "--ca", key)
	run(2, "can't be read", "read", "order-7", "--ca", dir+"/none")
	t.Setenv(caVariable, cert)
	run(0, "placed", "read", "order-7")
	run(0, "placed", "log", "--follow", "--limit", "1")

	certified(t, dir, 2)
	client := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), "GET", address+"/console/", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil || answer.StatusCode != 200 || answer.Proto != "HTTP/2.0" || answer.TLS.PeerCertificates[0].SerialNumber.Int64() != 2 || !strings.HasPrefix(answer.Header.Get("Set-Cookie"), "__Host-") {
		t.Errorf("%s %s of certificate %v: %v %.80s, %v", answer.Proto, answer.Status, answer.TLS.PeerCertificates[0].SerialNumber, answer.Header, page, err)
	}
	if exit := server.interrupt(); exit != 0 {
		t.Errorf("exit %d: %s", exit, server)
	}
}

// Beyond this machine takes both encryption and authentication, or --insecure.
func TestServeBeyondThisMachine(t *testing.T) {
	dir := t.TempDir()
	cert, key := certified(t, dir, 1)
	granted(t, filepath.Join(dir, "tokens"), "ann", "read")
	for flags, want := range map[string]string{
		"":                            "neither encryption nor authentication",
		"--tokens " + dir + "/tokens": "tokens could be read on their way",
		"--oidc-issuer https://h --oidc-audience a --oidc-roles a:b=read": "tokens could be read on their way",
		"--tls-cert " + cert + " --tls-key " + key:                        "no authentication",
		"--tls-cert " + cert: "go together",
		"--tls-key " + key:   "go together",
	} {
		a := &app{}
		s := service{}
		c := a.serve()
		for i, words := 0, strings.Fields(flags); i < len(words); i += 2 {
			if err := c.Flags().Set(strings.TrimPrefix(words[i], "--"), words[i+1]); err != nil {
				t.Fatal(err)
			}
			switch words[i] {
			case "--tokens":
				s.tokens = words[i+1]
			case "--oidc-issuer":
				s.oidc.issuer = words[i+1]
			case "--tls-cert":
				s.tls.cert = words[i+1]
			case "--tls-key":
				s.tls.key = words[i+1]
			}
		}
		s.listen = "0.0.0.0:0"
		if _, err := a.listen(t.Context(), &s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", flags, err)
		}
	}
	a, s := &app{}, service{listen: "0.0.0.0:0", tokens: "t", tls: tlsFlags{cert, key}}
	listener, err := a.listen(t.Context(), &s)
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	got := typed(t.Context(), "", "serve", "--listen", "127.0.0.1:0", "--tls-cert", key, "--tls-key", key, "--store", filepath.Join(dir, "store"))
	if got.exit != 5 || !strings.Contains(got.errs, "the certificate "+key) {
		t.Errorf("%+v", got)
	}
}

// Who asks too often is told when to come again, by name and not by address, and more
// followers than the server takes are refused.
func TestServeLimits(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tokens")
	slow, other := granted(t, file, "slow", "read"), granted(t, file, "other", "read")
	fast := typed(t.Context(), "", "token", "new", "fast", "--roles", "read", "--rate", "1000/s", "--add", file)
	_, token, _ := strings.Cut(strings.TrimSpace(fast.out), "  ")
	server := begin(t, " on http://", "serve", "--tokens", file, "--max-rate", "0.001/s:3", "--max-followers", "1", "--listen", "127.0.0.1:0", "--store", filepath.Join(dir, "store"))
	_, address, _ := strings.Cut(strings.TrimSpace(server.String()), " on ")
	ask := func(token, path string) (int, http.Header, func()) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, answer.Header, func() { _ = answer.Body.Close() }
	}
	for i, c := range []struct {
		token  string
		status int
	}{{slow, 200}, {slow, 200}, {slow, 200}, {slow, 429}, {slow, 429}, {other, 200}, {token, 200}, {token, 200}, {token, 200}, {token, 200}} {
		status, h, done := ask(c.token, "/v1/position")
		if done(); status != c.status || (status == 429) != (h.Get("Retry-After") != "") {
			t.Errorf("%d: %d, Retry-After %s", i, status, h.Get("Retry-After"))
		}
	}
	status, _, done := ask(token, "/v1/events?follow=true")
	if status != 200 {
		t.Error(status)
	}
	if status, h, done := ask(token, "/v1/events?follow=true"); status != 503 || h.Get("Retry-After") == "" {
		t.Errorf("a second follower: %d", status)
		done()
	}
	done()
	strange := 0
	for range 150 {
		status, _, done := ask("annals_wrong", "/v1/position")
		if done(); status == 429 {
			strange++
		}
	}
	if strange == 0 {
		t.Error("tokens that are not known may come without end")
	}
	if exit := server.interrupt(); exit != 0 {
		t.Errorf("exit %d: %s", exit, server)
	}
	for flags, want := range map[string]string{"--max-rate 5": "like 100/s", "--max-rate 5/s": "--max-rate needs --tokens", "--oidc-audience a": "need --oidc-issuer", "--oidc-issuer https://h": "--oidc-issuer needs"} {
		args := append([]string{"serve", "--listen", "127.0.0.1:0", "--store", filepath.Join(dir, "store")}, strings.Fields(flags)...)
		if got := typed(t.Context(), "", args...); got.exit == 0 || !strings.Contains(got.errs, want) {
			t.Errorf("%s: %+v", flags, got)
		}
	}
}
