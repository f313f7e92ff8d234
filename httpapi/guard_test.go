package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/aggregate"
	"github.com/eb901187/annals/storetest"
)

// roleTokens recognizes as a token the roles that it names: "read,append".
type roleTokens struct{}

func (roleTokens) Authenticate(_ context.Context, token string) (access.Principal, error) {
	if token == "outage" {
		return access.Principal{}, &annals.Error{Code: annals.CodeUnavailable, Message: "the issuer does not answer"}
	}
	if token == "none" {
		return access.Principal{Name: "none"}, nil
	}
	roles, err := access.ParseRoles(token)
	if err != nil {
		return access.Principal{}, &annals.Error{Code: annals.CodeUnauthorized, Message: "not known"}
	}
	return access.Principal{Name: "holder of " + token, Roles: roles}, nil
}

func bearing(token string) string { return "Authorization: Bearer " + token }

func TestEveryRouteHasAPolicy(t *testing.T) {
	known := append(access.Roles(), anybody)
	for _, rt := range routes {
		if !slices.Contains(known, rt.policy()) {
			t.Errorf("%s %s has no policy", rt.method, rt.path)
		}
		if rt.policy() == anybody && rt.path != "/healthz" && rt.path != "/readyz" {
			t.Errorf("%s %s is open to anybody", rt.method, rt.path)
		}
		if operates := rt.policy() == access.Operate; operates != (rt.what != "") {
			t.Errorf("%s %s takes the role %s, and the operators' log calls it %q", rt.method, rt.path, rt.policy(), rt.what)
		}
		if reads := rt.method == http.MethodGet; reads != (rt.policy() == access.Read || rt.policy() == anybody) {
			t.Errorf("%s %s takes the role %s", rt.method, rt.path, rt.policy())
		}
	}
	if new(route).policy() == anybody || access.Local().Check(new(route).policy()) == nil {
		t.Error("a route without a policy lets somebody in")
	}
}

var plainPath = strings.NewReplacer("{stream}", "s", "{requestId}", "r", "{projection}", "p", "{key}", "k", "{name}", "p", "{generation}", "1", "{position}", "1", "{id}", "i")

// Each route is refused to who is not known, and to whoever lacks its role, which the
// answer names; and the one role lets in.
func TestEveryRouteIsGuarded(t *testing.T) {
	s := start(t, Options{Authenticator: roleTokens{}, NoteActions: true})
	var roles []string
	for _, r := range access.Roles() {
		roles = append(roles, string(r))
	}
	for _, rt := range routes {
		path, role := plainPath.Replace(rt.path), string(rt.policy())
		if rt.policy() == anybody {
			for _, header := range []string{"X: y", bearing("wrong"), bearing("none"), bearing("outage")} {
				if status, _, text := s.do(t, rt.method, path, "", header); status != 200 {
					t.Errorf("%s %s with %s: %d %s", rt.method, path, header, status, text)
				}
			}
			continue
		}
		for _, header := range []string{"X: y", bearing("wrong"), "Authorization: Basic cmVhZDpyZWFk", "Authorization: Bearer", "Authorization: read"} {
			status, h, text := s.do(t, rt.method, path, "", header)
			if status != 401 || !strings.HasPrefix(h.Get("WWW-Authenticate"), "Bearer ") || !strings.Contains(text, `"code":"unauthorized"`) || strings.Contains(text, "wrong") {
				t.Errorf("%s %s with %s: %d %s", rt.method, path, header, status, text)
			}
		}
		others := strings.Join(slices.DeleteFunc(slices.Clone(roles), func(r string) bool { return r == role }), ",")
		for _, token := range []string{"none", others} {
			status, h, text := s.do(t, rt.method, path, "", bearing(token))
			if status != 403 || !strings.Contains(text, "role "+role) || !strings.Contains(h.Get("WWW-Authenticate"), `scope="`+role+`"`) {
				t.Errorf("%s %s with %s: %d %s", rt.method, path, token, status, text)
			}
		}
		if status, _, text := s.do(t, rt.method, path, "", bearing(role)); status == 401 || status == 403 {
			t.Errorf("%s %s with its role: %d %s", rt.method, path, status, text)
		}
		if status, _, text := s.do(t, rt.method, path, "", bearing("outage")); status != 503 {
			t.Errorf("%s %s while nobody can be recognized: %d %s", rt.method, path, status, text)
		}
	}
	if status, _, _ := s.do(t, "GET", "/healthz", "", "Authorization: bearer read"); status != 200 {
		t.Error("the scheme in small letters")
	}
}

// Stored data is on the console's origin: no browser is to take it for a page.
func TestNoBrowserGuessesTypes(t *testing.T) {
	s := start(t, Options{Authenticator: roleTokens{}})
	for _, path := range []string{"/", "/healthz", "/v1/events", "/v1/nothing"} {
		if _, h, _ := s.do(t, "GET", path, "", bearing("read")); h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, h)
		}
	}
}

// What is refused changes nothing, and two tokens are no token.
func TestRefusedRequestsStoreNothing(t *testing.T) {
	s := start(t, Options{Authenticator: roleTokens{}})
	for _, path := range []string{"/v1/streams/a/events", "/v1/ingest", "/v1/commands"} {
		for _, headers := range [][]string{{isJSON}, {isJSON, bearing("read,operate")}, {isJSON, bearing("append"), bearing("append")}} {
			if status, _, _ := s.do(t, "POST", path, `{"aggregateId":"a","eventType":"T","eventData":1}`, headers...); status != 401 && status != 403 {
				t.Errorf("%s with %v: %d", path, headers, status)
			}
		}
	}
	if end, err := s.store.End(t.Context()); end != 0 || err != nil {
		t.Errorf("the log ends at %d, %v", end, err)
	}
}

// Who appends can't write what operators did or decided.
func TestOwnStreamsTakeAnOperator(t *testing.T) {
	s := start(t, Options{Authenticator: roleTokens{}})
	if !slices.Contains(appendable, aggregate.SnapshotPrefix) {
		t.Errorf("snapshots are in %s", aggregate.SnapshotPrefix)
	}
	for stream, free := range map[string]bool{
		access.Stream: false, "annals.repairs/h": false, "annals.playbacks/p": false, "annals.other": false,
		"orders": true, "annals-orders": true, "annals.snapshots/order/7": true, "annals.effects/h/o@1": true,
	} {
		event := `{"id":"%d","type":"T","data":1}`
		command := fmt.Sprintf(`{"aggregateId":%q,"eventType":"T","eventData":1}`, stream)
		hidden := strings.Replace(command, "annals", `\u0061nnals`, 1)
		batch := "[" + command + "," + command + "]"
		for i, c := range []struct{ path, body string }{
			{"/v1/streams/" + stream + "/events", fmt.Sprintf(event, 1)}, {"/v1/commands", command}, {"/v1/ingest", command}, {"/v1/ingest", hidden}, {"/v1/ingest", batch},
		} {
			status, _, text := s.do(t, "POST", c.path, c.body, isJSON, bearing("append"))
			if (status < 300) != free || !free && (status != 403 || !strings.Contains(text, "role operate")) {
				t.Errorf("%s %d with append: %d %s", stream, i, status, text)
			}
			if status, _, text = s.do(t, "POST", c.path, c.body, isJSON, bearing("append,operate")); status >= 300 {
				t.Errorf("%s %d with operate: %d %s", stream, i, status, text)
			}
		}
	}
}

// What operators do, and what is refused to others, is noted with who did it, from where
// and what came of it; what is only asked about or malformed is not.
func TestActionsAreNoted(t *testing.T) {
	s := keepWith(t, Options{Authenticator: roleTokens{}, NoteActions: true})
	operator := bearing("read,operate")
	for _, c := range []struct {
		method, path, token string
		status              int
	}{
		{"POST", "/v1/projections/orders/pause", bearing("read"), 403},
		{"GET", "/v1/projections", operator, 200},
		{"POST", "/v1/projections/orders/switch?dryRun=true", operator, 409},
		{"POST", "/v1/projections/orders/switch?dryRun=1", operator, 409},
		{"DELETE", "/v1/projections/orders?dryRun=true", operator, 200},
		{"POST", "/v1/projections/orders/pause", operator, 200},
		{"POST", "/v1/projections/orders/resume", operator, 200},
		{"DELETE", "/v1/projections/orders/generations/1", operator, 409},
		{"POST", "/v1/projections/none/switch?force=true", operator, 404},
		{"DELETE", "/v1/consumers/orders/parked/x", operator, 400},
		{"DELETE", "/v1/consumers/orders@1/parked/7?reason=broken+by+hand", operator, 404},
	} {
		if status, _, text := s.do(t, c.method, c.path, "", c.token); status != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, text)
		}
	}
	page, _, err := access.Actions(t.Context(), s.store, nil)
	var got []string
	for _, a := range slices.Backward(page) {
		got = append(got, fmt.Sprintf("%s %s %s %v", a.What, a.Target, a.Detail, a.Error != ""))
		if a.Who != "holder of read,operate" && a.Version > 1 || a.Who != "holder of read" && a.Version == 1 || a.Address != "127.0.0.1" || !a.At.Equal(storetest.Epoch) {
			t.Errorf("%+v", a)
		}
	}
	want := "projection.pause orders  true; projection.pause orders  false; projection.resume orders  false; projection.delete orders@1  true; projection.switch none force=true true; parked.drop orders@1/7 reason=broken+by+hand true"
	if strings.Join(got, "; ") != want || err != nil {
		t.Errorf("got  %s\nwant %s, %v", strings.Join(got, "; "), want, err)
	}
}

func TestOpenAPITellsTheRoles(t *testing.T) {
	s := start(t, Options{Authenticator: roleTokens{}})
	_, _, text := s.do(t, "GET", "/openapi.json", "", bearing("read"))
	var doc struct {
		Paths map[string]map[string]struct {
			Security  []map[string][]string
			Responses map[string]any
		}
		Components struct {
			SecuritySchemes map[string]struct{ Type, Scheme string }
		}
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	if b := doc.Components.SecuritySchemes["bearer"]; b.Type != "http" || b.Scheme != "bearer" {
		t.Errorf("the scheme is %+v", b)
	}
	for _, rt := range routes {
		op := doc.Paths[rt.path][strings.ToLower(rt.method)]
		switch {
		case op.Security == nil:
			t.Errorf("%s %s says nothing", rt.method, rt.path)
		case rt.policy() == anybody && len(op.Security) > 0:
			t.Errorf("%s %s takes %v", rt.method, rt.path, op.Security)
		case rt.policy() != anybody && (len(op.Security) != 1 || op.Security[0]["bearer"][0] != string(rt.policy()) || op.Responses["401"] == nil || op.Responses["403"] == nil):
			t.Errorf("%s %s takes %v, answers %v", rt.method, rt.path, op.Security, slices.Collect(maps.Keys(op.Responses)))
		}
	}
}
