package lambda

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/storetest/stores"
)

// deployedRoutes are the routes of the template: which role answers which route key.
func deployedRoutes(t *testing.T) map[string]Role {
	t.Helper()
	text, err := os.ReadFile("../deploy/cdk/testdata/annals.template.json")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources map[string]struct {
			Type       string
			Properties struct {
				RouteKey string
				Target   map[string]string
			}
		}
	}
	// Other resources have targets of other forms.
	if err := json.Unmarshal(text, &template); err != nil && len(template.Resources) == 0 {
		t.Fatal(err)
	}
	routes := map[string]Role{}
	for _, r := range template.Resources {
		if r.Type == "AWS::ApiGatewayV2::Route" {
			name := strings.TrimSuffix(strings.TrimPrefix(r.Properties.Target["Fn::Sub"], "integrations/${Annals"), "Integration}")
			routes[r.Properties.RouteKey] = Role(strings.ToLower(name))
		}
	}
	return routes
}

// routed is the role that a request reaches: by the route of its very path, or by the
// longest one that ends in {proxy+}.
func routed(routes map[string]Role, method, path string) (role Role) {
	if role, is := routes[method+" "+path]; is {
		return role
	}
	longest := -1
	for key, to := range routes {
		verb, pattern, _ := strings.Cut(key, " ")
		prefix, greedy := strings.CutSuffix(pattern, "{proxy+}")
		if rest, under := strings.CutPrefix(path, prefix); greedy && verb == method && under && rest != "" && len(prefix) > longest {
			role, longest = to, len(prefix)
		}
	}
	return role
}

// Every operation of the HTTP API reaches a function that serves it, but for the erasure
// of data subjects: it takes longer than API Gateway waits, and is a command.
func TestEveryOperationIsDeployed(t *testing.T) {
	store, routes := stores.Memory(t, nil), deployedRoutes(t)
	serving := map[Role][]httpapi.Group{
		Load: {httpapi.GroupIngest}, Command: {httpapi.GroupCommand}, Query: {httpapi.GroupQuery, httpapi.GroupProcess},
		Write: {httpapi.GroupOperate}, Playback: {httpapi.GroupPlayback},
	}
	quiet := slog.New(slog.DiscardHandler)
	whole := httptest.NewRecorder()
	httpapi.New(store, nil).ServeHTTP(whole, httptest.NewRequest("GET", "/openapi.json", nil))
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(whole.Body.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	plain := strings.NewReplacer("{stream}", "a/b", "{requestId}", "r", "{projection}", "p", "{key}", "k", "{name}", "p", "{generation}", "1", "{position}", "1", "{id}", "i")
	for path, methods := range document.Paths {
		for method := range methods {
			method, path := strings.ToUpper(method), plain.Replace(path)
			role := routed(routes, method, path)
			if path == "/v1/erasures" && role == "" {
				continue
			}
			if serving[role] == nil {
				t.Errorf("%s %s reaches %q", method, path, role)
				continue
			}
			w := httptest.NewRecorder()
			httpapi.New(store, &httpapi.Options{Groups: serving[role], Logger: quiet}).ServeHTTP(w, httptest.NewRequest(method, path, http.NoBody))
			if strings.Contains(w.Body.String(), "belongs to the group") {
				t.Errorf("%s %s reaches role %s: %s", method, path, role, w.Body)
			}
		}
	}
}
