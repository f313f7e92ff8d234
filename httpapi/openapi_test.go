package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/eb901187/annals"
)

// The document, fetched as a client gets it, and the routes say the same, and
// every operation answers with a status and media type that it lists.
func TestOpenAPIMatchesTheRoutes(t *testing.T) {
	s := keep(t)
	fillStreams(t, s.live)
	_, _, text := s.do(t, "GET", "/openapi.json", "")
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Parameters  []struct{ Name, In string }
			RequestBody *struct{ Content map[string]any }
			Responses   map[string]struct {
				Content map[string]struct {
					Schema map[string]any
				}
			}
		}
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil || !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Fatalf("version %q, %v", doc.OpenAPI, err)
	}
	operations := 0
	for path, methods := range doc.Paths {
		operations += len(methods)
		for method, op := range methods {
			i := slices.IndexFunc(routes, func(rt route) bool { return rt.path == path && strings.ToLower(rt.method) == method })
			if i < 0 || routes[i].id != op.OperationID {
				t.Fatalf("%s %s is no route", method, path)
			}
			for _, p := range op.Parameters {
				listed := p.In == "path" && strings.Contains(path, "{"+p.Name+"}")
				for _, known := range append(slices.Clone(routes[i].query), routes[i].headers...) {
					listed = listed || known.name == p.Name
				}
				if !listed {
					t.Errorf("%s %s: parameter %s is not the route's", method, path, p.Name)
				}
			}
			for _, response := range op.Responses {
				for _, content := range response.Content {
					if ref, ok := content.Schema["$ref"].(string); ok && doc.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")] == nil {
						t.Errorf("%s %s: %s is not defined", method, path, ref)
					}
				}
			}
			concrete := strings.NewReplacer("{stream}", "s0", "{requestId}", "r0", "{projection}", "state", "{key}", "s0", "{name}", "state", "{generation}", "1", "{position}", "1").Replace(path)
			status, h, _ := s.do(t, strings.ToUpper(method), concrete, "")
			media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
			response, ok := op.Responses[fmt.Sprint(status)]
			if _, listed := response.Content[media]; !ok || !listed {
				t.Errorf("%s %s answers %d as %s, which the document does not list", method, path, status, media)
			}
		}
	}
	if operations != len(routes) {
		t.Fatalf("%d operations, %d routes", operations, len(routes))
	}
}

func TestEveryCodeHasAStatus(t *testing.T) {
	for _, info := range annals.Codes() {
		p := NewProblem(&annals.Error{Code: info.Code, Message: "m", Hint: "h"})
		if p.Status < 400 || p.Status > 599 || p.Code != info.Code || p.Hint != "h" || strings.Contains(p.Detail, "(h)") {
			t.Errorf("%+v", p)
		}
		if http.StatusText(p.Status) == "" && p.Status != 499 {
			t.Errorf("%s has the status %d", info.Code, p.Status)
		}
	}
}
