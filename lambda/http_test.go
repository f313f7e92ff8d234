package lambda

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"go.opentelemetry.io/otel/trace/noop"
)

// exchanged is what h saw of a payload, and what was answered.
func exchanged(t *testing.T, payload string, h http.HandlerFunc) (answer, map[string]int64) {
	t.Helper()
	in := &invocation{kind: fromHTTP, payload: []byte(payload), report: newReport(slog.New(slog.DiscardHandler), noop.NewTracerProvider().Tracer(""), time.Now)}
	given, err := serveHTTP(t.Context(), in, h)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > maxAnswer {
		t.Errorf("the answer has %d bytes", len(text))
	}
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatal(err)
	}
	return a, in.report.counts
}

func TestTheHandlerSeesTheRequest(t *testing.T) {
	var given events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal([]byte(request("POST", "/prod/v1/x?a=1&a=2&b=%2F+c", base64.StdEncoding.EncodeToString([]byte("\x00\xff")), "accept: a, b", "traceparent: 00-1")), &given); err != nil {
		t.Fatal(err)
	}
	given.IsBase64Encoded, given.Cookies, given.RequestContext.Stage = true, []string{"a=1", "b=2"}, "prod"
	payload, err := json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	exchanged(t, string(payload), func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		q := r.URL.Query()
		if err != nil || string(body) != "\x00\xff" || r.ContentLength != 2 {
			t.Errorf("body %q, %v", body, err)
		}
		if r.Method != "POST" || r.URL.Path != "/v1/x" || len(q["a"]) != 2 || q.Get("b") != "/ c" {
			t.Errorf("%s %s %v", r.Method, r.URL, q)
		}
		if r.Header.Get("Accept") != "a, b" || r.Header.Get("Cookie") != "a=1; b=2" || r.Host != "api.execute-api.eu-central-1.amazonaws.com" || r.RemoteAddr != "192.0.2.1" {
			t.Errorf("%v, host %s, from %s", r.Header, r.Host, r.RemoteAddr)
		}
	})
}

// Authorizers say what they like about the caller, which nothing here depends on.
func TestAuthorizersAreLeftAlone(t *testing.T) {
	for _, said := range []string{
		`{"jwt":{"claims":{"sub":"u","exp":"1","cognito:groups":"[a b]"},"scopes":["x"]}}`,
		`{"jwt":{"claims":{"exp":1700000000,"roles":["a"],"deep":{"a":null}},"scopes":null}}`,
		`{"jwt":{"claims":{},"scopes":"x y"}}`,
		`{"iam":{"accountId":"1","cognitoIdentity":null,"callerId":7}}`,
		`{"lambda":{"a":[1]}}`, `{"lambda":"x"}`, `null`, `[]`,
	} {
		payload := strings.Replace(request("POST", "/v1/x?a=1", "body"), `"requestContext":{`, `"requestContext":{"authorizer":`+said+`,`, 1)
		a, _ := exchanged(t, payload, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil || string(body) != "body" || r.Method != "POST" || r.URL.String() != "/v1/x?a=1" || r.RemoteAddr == "" {
				t.Errorf("with %s: %s %s %s, %v", said, r.Method, r.URL, body, err)
			}
			w.WriteHeader(204)
		})
		if a.StatusCode != 204 {
			t.Errorf("with %s: %d", said, a.StatusCode)
		}
	}
}

// HTTP APIs decode the path once before they hand it on; function URLs don't.
func TestPaths(t *testing.T) {
	for _, c := range []struct{ domain, stage, raw, path, escaped string }{
		{"x.execute-api.eu-central-1.amazonaws.com", "$default", "/v1/streams/a/b c/events", "/v1/streams/a/b c/events", "/v1/streams/a/b%20c/events"},
		{"api.example.com", "$default", "/v1/streams/50%/events", "/v1/streams/50%/events", "/v1/streams/50%25/events"},
		{"api.example.com", "$default", "/v1/streams/a%2Fb/events", "/v1/streams/a%2Fb/events", "/v1/streams/a%252Fb/events"},
		{"api.example.com", "prod", "/prod/v1/position", "/v1/position", "/v1/position"},
		{"api.example.com", "prod", "/prod", "/", "/"},
		{"api.example.com", "prod", "/production", "/production", "/production"},
		{"api.example.com", "", "", "/", "/"},
		{"x.lambda-url.eu-central-1.on.aws", "$default", "/v1/streams/a%2Fb/events", "/v1/streams/a/b/events", "/v1/streams/a%2Fb/events"},
	} {
		u, err := urlOf(&events.APIGatewayV2HTTPRequest{RawPath: c.raw, RequestContext: events.APIGatewayV2HTTPRequestContext{DomainName: c.domain, Stage: c.stage}})
		if err != nil || u.Path != c.path || u.EscapedPath() != c.escaped {
			t.Errorf("%s: %+v, %v", c.raw, u, err)
		}
	}
}

func TestTheAnswer(t *testing.T) {
	a, counts := exchanged(t, request("GET", "/", ""), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.Header().Add("Vary", "x")
		w.Header().Add("Vary", "y")
		w.WriteHeader(201)
		_, _ = io.WriteString(w, "ä")
		w.WriteHeader(500) // too late
	})
	if a.StatusCode != 201 || a.Body != "ä" || a.IsBase64Encoded || a.Headers["Vary"] != "x, y" || len(a.Cookies) != 2 || counts["Received"] != 1 || counts["Failed"] != 0 {
		t.Errorf("%+v %v", a, counts)
	}
	a, _ = exchanged(t, request("GET", "/", ""), func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte{0, 0xff}) })
	if a.StatusCode != 200 || !a.IsBase64Encoded || a.Body != "AP8=" {
		t.Errorf("%+v", a)
	}
	a, _ = exchanged(t, request("GET", "/", ""), func(http.ResponseWriter, *http.Request) {})
	if a.StatusCode != 200 || a.Body != "" {
		t.Errorf("%+v", a)
	}
}

func TestAnswersThatCannotBeSent(t *testing.T) {
	for name, c := range map[string]struct {
		h      http.HandlerFunc
		status int
		says   string
	}{
		"too large": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("x", maxAnswer))
		}, 413, `"code":"too_large"`},
		"too large once it is JSON": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat(`"`, maxAnswer/2))
		}, 413, "ask for a part"},
		"too large once it is escaped": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("\u2028", maxAnswer/4))
		}, 413, "ask for a part"},
		"too large once it is base64": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("\xff", maxAnswer*4/5))
		}, 413, "ask for a part"},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "[1,")
			panic(http.ErrAbortHandler)
		}, 408, "could not be finished"},
	} {
		a, counts := exchanged(t, request("GET", "/", ""), c.h)
		if a.StatusCode != c.status || !strings.Contains(a.Body, c.says) || counts["Refused"] != 1 || a.Headers["Content-Type"] != "application/problem+json" {
			t.Errorf("%s: %d %.300s %v", name, a.StatusCode, a.Body, counts)
		}
	}
	a, _ := exchanged(t, strings.Replace(request("POST", "/", "%"), `"isBase64Encoded":false`, `"isBase64Encoded":true`, 1), func(http.ResponseWriter, *http.Request) { t.Error("it was called") })
	if a.StatusCode != 400 || !strings.Contains(a.Body, "base64") {
		t.Errorf("%+v", a)
	}
	a, _ = exchanged(t, request("GET X", "/", ""), func(http.ResponseWriter, *http.Request) { t.Error("it was called") })
	if a.StatusCode != 400 {
		t.Errorf("%+v", a)
	}
	// What is just small enough goes through.
	for _, body := range []string{strings.Repeat("x", maxAnswer-16<<10), strings.Repeat("\xff", (maxAnswer-16<<10)/4*3)} {
		a, _ = exchanged(t, request("GET", "/", ""), func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, body)
		})
		if a.StatusCode != 200 {
			t.Errorf("%d %.200s", a.StatusCode, a.Body)
		}
	}
}
