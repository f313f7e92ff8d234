package access

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/eb901187/annals"
)

// A key that the issuer begins to use lets in at once, one that it withdraws stops doing
// so, and tokens that name keys that there are not can't make the server ask and ask.
func TestOIDCKeysRotate(t *testing.T) {
	w := newOIDCWorld(t, nil)
	next := ellipticKey(t)
	old, fresh := signed(t, jose.ES256, w.elliptic, "e", w.claims(nil)), signed(t, jose.ES256, next, "n", w.claims(nil))
	want := func(token string, code annals.Code, asked int, when string) {
		t.Helper()
		_, err := w.Authenticate(t.Context(), token)
		if code == "" && err != nil || code != "" && annals.CodeOf(err) != code {
			t.Errorf("%s: %v", when, err)
		}
		w.set(func() {
			if w.asked != asked {
				t.Errorf("%s: asked %d times, not %d", when, w.asked, asked)
			}
		})
	}
	want(old, "", 1, "at first")
	want(fresh, annals.CodeUnauthorized, 1, "a key that is not published, right behind a fetch")
	w.set(func() { w.published["n"] = next })
	w.now = w.now.Add(refetchPause)
	want(fresh, "", 2, "once it is published")
	for range 100 {
		want(signed(t, jose.ES256, next, "forged", w.claims(nil)), annals.CodeUnauthorized, 2, "forged ids")
	}
	w.set(func() { delete(w.published, "e") })
	w.now = w.now.Add(refetchAfter)
	if _, err := w.Authenticate(t.Context(), old); err != nil {
		t.Errorf("while the keys are fetched: %v", err)
	}
	if err := w.Fetch(t.Context()); err != nil { // joins that fetch, or makes another
		t.Fatal(err)
	}
	if _, err := w.Authenticate(t.Context(), old); annals.CodeOf(err) != annals.CodeUnauthorized {
		t.Errorf("a key that was withdrawn: %v", err)
	}
}

// A key that is withdrawn while nobody comes lets nobody in afterwards: keys that have
// not been looked at for long are, before they count.
func TestOIDCKeysAreLookedAtAfterAPause(t *testing.T) {
	w := newOIDCWorld(t, nil)
	token := signed(t, jose.ES256, w.elliptic, "e", w.claims(claim{"exp": w.now.Add(48 * time.Hour).Unix()}))
	if _, err := w.Authenticate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	w.set(func() { w.published["n"] = ellipticKey(t); delete(w.published, "e") })
	w.now = w.now.Add(5 * time.Hour)
	if _, err := w.Authenticate(t.Context(), token); annals.CodeOf(err) != annals.CodeUnauthorized {
		t.Errorf("a key that was withdrawn hours ago: %v", err)
	}
}

// While the issuer can't be asked nobody can say whether an unknown key is good; keys
// that are known let in for a day.
func TestOIDCIssuerIsDown(t *testing.T) {
	w := newOIDCWorld(t, nil)
	w.set(func() { w.down = true })
	token := func() string { return signed(t, jose.ES256, w.elliptic, "e", w.claims(nil)) }
	for range 3 {
		if _, err := w.Authenticate(t.Context(), token()); annals.CodeOf(err) != annals.CodeUnavailable {
			t.Fatalf("down from the start: %v", err)
		}
	}
	w.set(func() { w.down = false })
	w.now = w.now.Add(refetchPause)
	if _, err := w.Authenticate(t.Context(), token()); err != nil {
		t.Fatalf("up again: %v", err)
	}
	w.set(func() { w.down = true })
	w.now = w.now.Add(keysLast - time.Second)
	if _, err := w.Authenticate(t.Context(), token()); err != nil {
		t.Errorf("down for less than a day: %v", err)
	}
	if err := w.Fetch(t.Context()); annals.CodeOf(err) != annals.CodeUnavailable {
		t.Errorf("fetching: %v", err)
	}
	if _, err := w.Authenticate(t.Context(), signed(t, jose.ES256, ellipticKey(t), "n", w.claims(nil))); annals.CodeOf(err) != annals.CodeUnavailable {
		t.Errorf("an unknown key while it is down: %v", err)
	}
	w.now = w.now.Add(time.Second)
	if _, err := w.Authenticate(t.Context(), token()); annals.CodeOf(err) != annals.CodeUnavailable {
		t.Errorf("down for a day: %v", err)
	}
}

func TestOIDCIssuersAtFault(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*oidcWorld)
		want   string
	}{
		"another name":   {func(w *oidcWorld) { w.name = "https://evil.example" }, "it calls itself"},
		"no keys":        {func(w *oidcWorld) { clear(w.published) }, "no key that signs"},
		"too many bytes": {func(w *oidcWorld) { w.padding = largestKeys }, "more than 1 MiB"},
		"gone":           {func(w *oidcWorld) { w.issuer.CloseClientConnections(); w.Listener.Close() }, "connect"},
	} {
		w := newOIDCWorld(t, nil)
		w.set(func() { c.change(w) })
		if err := w.Fetch(t.Context()); annals.CodeOf(err) != annals.CodeUnavailable || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Many requests at once ask the issuer once, and one that gives up does not end that.
func TestOIDCFetchesOnce(t *testing.T) {
	w := newOIDCWorld(t, nil)
	token := signed(t, jose.ES256, w.elliptic, "e", w.claims(nil))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var work sync.WaitGroup
	for n := range 20 {
		work.Go(func() {
			ctx := t.Context()
			if n%2 == 0 {
				ctx = ended
			}
			if _, err := w.Authenticate(ctx, token); err != nil && !(n%2 == 0 && errors.Is(err, context.Canceled)) {
				t.Error(err)
			}
		})
	}
	work.Wait()
	if w.set(func() {}); w.asked != 1 {
		t.Errorf("asked %d times", w.asked)
	}
}

func TestEitherTakesTokensByTheirShape(t *testing.T) {
	w := newOIDCWorld(t, nil)
	file := &Tokens{path: t.TempDir() + "/none"}
	both := Either(file, w)
	if who, err := both.Authenticate(t.Context(), signed(t, jose.ES256, w.elliptic, "e", w.claims(nil))); err != nil || who.Name != "u-7" {
		t.Errorf("%+v, %v", who, err)
	}
	for _, token := range []string{"annals_x", "annals_a.b.c", "a.b"} {
		if _, err := both.Authenticate(t.Context(), token); annals.CodeOf(err) != annals.CodeUnauthorized || !strings.Contains(err.Error(), "does not know the token") {
			t.Errorf("%s: %v", token, err)
		}
	}
}
