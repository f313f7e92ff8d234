package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The schemas are schemas of JSON Schema 2020-12: the library checks them before it
// compiles one.
func TestSchemasAreValid(t *testing.T) {
	text, err := json.Marshal(document())
	if err != nil {
		t.Fatal(err)
	}
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := compiler.AddResource("openapi.json", whole); err != nil {
		t.Fatal(err)
	}
	for name := range schemas() {
		if _, err := compiler.Compile("openapi.json#/components/schemas/" + name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every operation says that parameters may be refused, and those with names in them that
// these may be too long; and with a body, that it may be of another type.
func TestRefusalsOfEveryRouteAreDocumented(t *testing.T) {
	for i := range routes {
		rt := &routes[i]
		responses := rt.operation()["responses"].(object)
		if responses["400"] == nil {
			t.Errorf("%s does not document 400", rt.id)
		}
		if len(rt.variables()) > 0 && responses["413"] == nil {
			t.Errorf("%s does not document 413", rt.id)
		}
		if rt.accepts != nil && responses["415"] == nil {
			t.Errorf("%s does not document 415", rt.id)
		}
	}
}

// A HEAD has no body to wait for: it is answered as soon as its headers are known, also
// where a GET would follow the log or a playback, and leaves nothing running.
func TestHeadDoesNotFollow(t *testing.T) {
	s := playing(t)
	s.ask(t, 201, "POST", "/v1/playbacks", `{"id":"slow","selection":{},"rate":0.001}`)
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	for _, path := range []string{"/v1/events?follow=true", "/v1/playbacks/slow/events", "/v1/position"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodHead, s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept", mediaNDJSON+", */*;q=0.5")
		answer, err := client.Do(request) // on the connection of the one before
		if err != nil {
			t.Fatalf("HEAD %s: %v", path, err)
		}
		if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusOK {
			t.Errorf("HEAD %s: %d, %v", path, answer.StatusCode, err)
		}
	}
}
