package httpapi

import (
	"context"
	"encoding/json"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/proof"
	"github.com/eb901187/annals/storetest"
)

// proven is a server over a log of five events.
func proven(t *testing.T) live {
	t.Helper()
	s := start(t, Options{})
	for _, id := range []string{"1", "2", "3", "4", "5"} {
		if _, err := s.store.Append(t.Context(), "order-"+id, annals.NoStream, storetest.Event(id, "T", `{"a": "<&>"}`)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestRootOverHTTP(t *testing.T) {
	s := proven(t)
	tree := proof.NewTree(s.store, nil)
	for path, size := range map[string]int64{"": 5, "?size=5": 5, "?size=3": 3, "?size=0": 0} {
		want, err := tree.Root(t.Context(), size)
		if err != nil {
			t.Fatal(err)
		}
		cache := "private, max-age=31536000, immutable"
		if path == "" {
			cache = "no-cache"
		}
		status, h, text := s.do(t, "GET", "/v1/root"+path, "")
		if body := `{"root":"` + want.String() + `","size":"` + number(size) + `","hash":"` + want.Hash.String() + "\"}\n"; status != 200 || text != body || h.Get("Cache-Control") != cache {
			t.Errorf("%q answers %d %s %q, want %s %q", path, status, text, h.Get("Cache-Control"), body, cache)
		}
		if status, _, text := s.do(t, "GET", "/v1/root"+path, "", "If-None-Match: "+h.Get("ETag")); status != 304 || text != "" {
			t.Errorf("%q with its ETag: %d %s", path, status, text)
		}
	}
}

func TestProofsOverHTTP(t *testing.T) {
	s := proven(t)
	for path, trusted := range map[string]int64{
		"inclusion?position=2&size=4": 4, "inclusion?position=2&size=5": 5, "inclusion?position=5": 5,
		"extension?from=0&to=4": 4, "extension?from=2&to=4": 2, "extension?from=5&to=5": 5, "extension?from=3": 5,
	} {
		root, err := proof.NewTree(s.store, nil).Root(t.Context(), trusted)
		if err != nil {
			t.Fatal(err)
		}
		status, h, text := s.do(t, "GET", "/v1/proofs/"+path, "")
		var p proof.Proof
		if err := json.Unmarshal([]byte(text), &p); status != 200 || err != nil || p.Check(root) != nil {
			t.Errorf("%s: %d %s, %v, %v", path, status, text, err, p.Check(root))
		}
		if forever := strings.Contains(h.Get("Cache-Control"), "immutable"); forever != strings.Contains(path, "&") {
			t.Errorf("%s: %q", path, h.Get("Cache-Control"))
		}
		if status, _, _ := s.do(t, "GET", "/v1/proofs/"+path, "", "If-None-Match: "+h.Get("ETag")); status != 304 {
			t.Errorf("%s with its ETag: %d", path, status)
		}
	}
}

func TestProofsThatAreRefused(t *testing.T) {
	s := proven(t)
	for path, want := range map[string]string{
		"root?size=6": `"code":"not_found"`, "root?size=-1": `"field":"size"`, "root?size=x": `"field":"size"`, "root?size=1&size=2": `"field":"size"`,
		"proofs/inclusion": `"field":"position"`, "proofs/inclusion?position=0": `"field":"position"`, "proofs/inclusion?position=6": `"code":"not_found"`,
		"proofs/inclusion?position=3&size=2": `"code":"not_found"`, "proofs/inclusion?position=3&size=6": `"code":"not_found"`,
		"proofs/extension": `"field":"from"`, "proofs/extension?from=3&to=2": `"field":"from"`, "proofs/extension?from=6": `"field":"from"`, "proofs/extension?from=1&to=6": `"code":"not_found"`,
		"root?size=9223372036854775807": `"code":"not_found"`, "proofs/extension?from=1&to=9223372036854775808": `"field":"to"`,
	} {
		if status, _, text := s.do(t, "GET", "/v1/"+path, ""); status < 400 || status > 404 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}

// unhashed is a driver that is no annals.Chainer.
type unhashed struct {
	annals.Driver
	store *annals.Store
}

func (u unhashed) End(ctx context.Context, _ int64) (int64, error) { return u.store.End(ctx) }

// A server whose store has no hashes says so.
func TestProofsOfAStoreWithoutHashes(t *testing.T) {
	s := proven(t)
	plain := New(annals.New(unhashed{store: s.store}, nil), &Options{Logger: slog.New(slog.DiscardHandler)})
	for _, path := range []string{"root", "proofs/inclusion?position=1", "proofs/extension?from=1"} {
		w := httptest.NewRecorder()
		plain.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/"+path, nil))
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"code":"usage"`) || !strings.Contains(w.Body.String(), "does not show the hashes") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// held is a store whose chain is read only when the gate opens.
type held struct {
	unhashed
	entered chan struct{}
	gate    chan struct{}
}

func (h held) Chain(ctx context.Context, after, until int64) iter.Seq2[annals.ChainedCommit, error] {
	h.entered <- struct{}{}
	<-h.gate
	return h.store.Chain(ctx, after, until)
}

// However many ask for roots while the log is read, others find a place.
func TestProofsTakeFewPlaces(t *testing.T) {
	h := held{unhashed{store: proven(t).store}, make(chan struct{}, 2*maxProving), make(chan struct{})}
	server := New(annals.New(h, nil), &Options{Logger: slog.New(slog.DiscardHandler)})
	ask := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		server.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/root", nil))
		return w
	}
	codes := make(chan int, maxProving)
	for range maxProving {
		go func() { codes <- ask().Code }()
	}
	for range maxProving {
		<-h.entered
	}
	if w := ask(); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `"code":"overloaded"`) {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	close(h.gate)
	for range maxProving {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("answered %d", code)
		}
	}
	if w := ask(); w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
