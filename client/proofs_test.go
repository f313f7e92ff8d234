package client

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/proof"
	"github.com/eb901187/annals/storetest"
)

// filled serves a log of five events.
func filled(t *testing.T) (address string) {
	t.Helper()
	address = serve(t, nil)
	store, err := Open(address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := store.Append(t.Context(), "s", annals.Any, storetest.Event("", "T", `{"a": 1}`)); err != nil {
			t.Fatal(err)
		}
	}
	return address
}

func asking(t *testing.T, address string) *Proofs {
	t.Helper()
	p, err := OpenProofs(address, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func TestProofsOfAServer(t *testing.T) {
	p := asking(t, filled(t))
	latest, err := p.Latest(t.Context())
	if err != nil || latest.Size != 5 {
		t.Fatal(latest, err)
	}
	root, err := p.Root(t.Context(), 4)
	if err != nil || root.Size != 4 {
		t.Fatal(root, err)
	}
	in, err := p.Inclusion(t.Context(), 3, 4)
	if err != nil || in.Check(root) != nil || string(in.Event.Data) != `{"a": 1}` {
		t.Fatal(in, err)
	}
	out, err := p.Extension(t.Context(), 4, 5)
	if err != nil || out.Check(root, latest) != nil {
		t.Fatal(out, err)
	}
	if _, err := p.Root(t.Context(), 6); !errors.Is(err, annals.ErrNotFound) {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Latest(t.Context()); !errors.Is(err, annals.ErrClosed) {
		t.Fatal(err)
	}
	if _, err := OpenProofs("nowhere", nil); !errors.Is(err, annals.ErrInvalid) {
		t.Fatal(err)
	}
}

// An answer about something else, as from a proxy that serves an old one, is refused.
func TestProofsOfSomethingElse(t *testing.T) {
	inner, err := url.Parse(filled(t))
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(inner)
	ask := ""
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path, r.URL.RawQuery, _ = strings.Cut(ask, "?")
		proxy.ServeHTTP(w, r)
	}))
	defer between.Close()
	p := asking(t, between.URL)
	for _, other := range []string{"inclusion?position=3&size=4", "inclusion?position=2&size=5", "extension?from=2&to=4", "extension?from=3&to=5"} {
		ask = "/v1/proofs/" + other
		if got, err := p.Inclusion(t.Context(), 2, 4); !errors.Is(err, annals.ErrDamaged) {
			t.Errorf("%s passes for an inclusion: %v, %v", other, got, err)
		}
		if got, err := p.Extension(t.Context(), 3, 4); !errors.Is(err, annals.ErrDamaged) {
			t.Errorf("%s passes for an extension: %v, %v", other, got, err)
		}
	}
	ask = "/v1/root?size=3"
	if got, err := p.Root(t.Context(), 4); !errors.Is(err, annals.ErrDamaged) {
		t.Errorf("%v, %v", got, err)
	}
	ask = "/v1/position"
	if got, err := p.Inclusion(t.Context(), 2, 4); !errors.Is(err, annals.ErrUnavailable) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := p.Latest(t.Context()); got != (proof.Root{}) || err == nil {
		t.Errorf("%v, %v", got, err)
	}
}
