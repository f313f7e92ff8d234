package local_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/eb901187/annals/awstest/local"
)

// proxied is the part of a request's payload that the tests look at.
type proxied struct {
	Version, RouteKey, RawPath, RawQueryString, Body string
	Headers, QueryStringParameters, PathParameters   map[string]string
	Cookies                                          []string
	IsBase64Encoded                                  bool
	RequestContext                                   struct{ HTTP struct{ Method, Path string } }
}

func TestHTTPAPILeadsRequestsByItsRoutes(t *testing.T) {
	t.Parallel()
	d := local.Deploy(t, local.Stack{
		Functions: []local.Function{{Name: "f"}},
		Routes: []local.Route{
			{Key: "GET /{proxy+}", Function: "f"}, {Key: "GET /", Function: "f"}, {Key: "POST /v1/streams/{proxy+}", Function: "f"},
			{Key: "ANY /v1/{proxy+}", Function: "f"}, {Key: "PUT /v1/ingest", Function: "f"}, {Key: "GET /v1/of/{id}", Function: "f"},
		},
	}, local.Options{Bootstrap: self(t)})
	for _, test := range []struct{ method, path, route string }{
		{"GET", "/", "GET /"}, {"GET", "/x/y", "GET /{proxy+}"}, {"POST", "/v1/streams/a/events", "POST /v1/streams/{proxy+}"},
		{"PUT", "/v1/ingest", "PUT /v1/ingest"}, {"PUT", "/v1/other", "ANY /v1/{proxy+}"}, {"GET", "/v1/of/7", "GET /v1/of/{id}"},
		{"POST", "/v2", ""}, {"POST", "/v1/streams/", "ANY /v1/{proxy+}"},
	} {
		status, body := request(t, test.method, d.API+test.path, "", nil)
		var got proxied
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Errorf("%s %s: %d %s", test.method, test.path, status, body)
		}
		if got.RouteKey != test.route || (test.route == "") != (status == http.StatusNotFound) {
			t.Errorf("%s %s: %d by %q, want %q", test.method, test.path, status, got.RouteKey, test.route)
		}
	}
}

func request(t *testing.T, method, url, body string, header map[string]string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	all, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got.StatusCode, string(all)
}

func TestHTTPAPIHandsOverPayload2(t *testing.T) {
	t.Parallel()
	d := local.Deploy(t, local.Stack{
		Functions: []local.Function{{Name: "f"}}, Routes: []local.Route{{Key: "POST /v1/{proxy+}", Function: "f"}},
	}, local.Options{Bootstrap: self(t)})
	_, body := request(t, "POST", d.API+"/v1/a%2Fb%3Fc?x=1&x=%20", `{"a":"ä"}`, map[string]string{"Content-Type": "application/json", "Cookie": "a=1; b=2", "If-Match": "7"})
	var got proxied
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if got.Version != "2.0" || got.RawPath != "/v1/a/b" || got.RawQueryString != "x=1&x=%20" || got.Body != `{"a":"ä"}` || got.IsBase64Encoded ||
		got.Headers["if-match"] != "7" || got.QueryStringParameters["x"] != "1, " || got.PathParameters["proxy"] != "a/b?c" ||
		strings.Join(got.Cookies, "|") != "a=1|b=2" || got.RequestContext.HTTP.Method != "POST" {
		t.Errorf("got %+v", got)
	}
	_, body = request(t, "POST", d.API+"/v1/x", "\xff\x00", map[string]string{"Content-Type": "application/octet-stream"})
	if err := json.Unmarshal([]byte(body), &got); err != nil || !got.IsBase64Encoded || got.Body != "/wA=" {
		t.Errorf("bytes: %+v, %v", got, err)
	}
	if status, _ := request(t, "POST", d.API+"/v1/x", strings.Repeat("x", 6<<20), nil); status != http.StatusRequestEntityTooLarge {
		t.Errorf("6 MiB: %d", status)
	}
	// What the function returns is the answer.
	status, body := request(t, "POST", d.API+"/v1/x", "", map[string]string{"X-Order": "fail"})
	if status != http.StatusOK || !strings.Contains(body, `"rawPath":"/v1/x"`) {
		t.Errorf("an answer without a status: %d %s", status, body)
	}
}
