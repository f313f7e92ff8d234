package httpapi

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
)

func TestStreamsInPages(t *testing.T) {
	s := start(t, Options{})
	for _, name := range []string{"a/1", "b", "annals.own", "a/2"} {
		if _, err := s.store.Append(t.Context(), name, annals.Any, storetest.Event("", "T", `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"":                        `{"streams":[{"stream":"a/1","version":"1"},{"stream":"a/2","version":"1"},{"stream":"b","version":"1"}]}`,
		"?limit=2":                `{"streams":[{"stream":"a/1","version":"1"},{"stream":"a/2","version":"1"}],"next":"a/2"}`,
		"?limit=2&after=a%2F2":    `{"streams":[{"stream":"b","version":"1"}]}`,
		"?prefix=a/&limit=2":      `{"streams":[{"stream":"a/1","version":"1"},{"stream":"a/2","version":"1"}]}`,
		"?prefix=annals.":         `{"streams":[{"stream":"annals.own","version":"1"}]}`,
		"?prefix=none":            `{"streams":[]}`,
		"?limit=1001":             `"field":"limit"`,
		"?prefix=a%20b&after=%00": `"field":"after"`,
	} {
		if _, _, text := s.do(t, "GET", "/v1/streams"+path, ""); !strings.Contains(text, want) {
			t.Errorf("%s answers %s, want %s", path, text, want)
		}
	}
}

// A server whose store keeps no list says so.
func TestStreamsOfAStoreThatKeepsNoList(t *testing.T) {
	unlisted := annals.New(struct{ annals.Driver }{}, nil)
	w := httptest.NewRecorder()
	New(unlisted, &Options{Logger: slog.New(slog.DiscardHandler)}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/streams", nil))
	if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "keeps no list of its streams") {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
}
