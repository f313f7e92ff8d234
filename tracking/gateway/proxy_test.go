package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/eb901187/annals/tracking"
)

// named answers its name, and the path and query that it got.
func named(t *testing.T, name string) string {
	return serviceAt(t, func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, name, " ", r.RequestURI) })
}

func TestRoutes(t *testing.T) {
	w := begin(t, fmt.Sprintf(`
services: {root: {to: %s}, orders: {to: %s/base}, old: {to: %s}, shop: {to: %s}}
routes:
- {service: root}
- {path: /orders, service: orders}
- {path: /orders/old, strip: true, service: old}
- {host: shop.example, path: /orders, strip: true, service: shop}
`, named(t, "root"), named(t, "orders"), named(t, "old"), named(t, "shop")))
	for _, c := range [][3]string{
		{"", "/", "root /"},
		{"", "/ordersx", "root /ordersx"},
		{"", "/orders", "orders /base/orders"},
		{"", "/orders/", "orders /base/orders/"},
		{"", "/orders/7/lines?a=1;b=%zz", "orders /base/orders/7/lines?a=1;b=%zz"},
		{"", "/orders/old", "old /"},
		{"", "/orders/old/", "old /"},
		{"", "/orders/old/7//8", "old /7//8"},
		{"", "/orders/olde", "orders /base/orders/olde"},
		{"", "/%6frders/7", "orders /base/%6frders/7"},
		{"", "/orders%2Fold/7", "root /orders%2Fold/7"},
		{"", "/orders/old/a%2Fb%20c", "old /a%2Fb%20c"},
		{"", "/%6frders/%6fld/a%2Fb", "old /a%2Fb"},
		{"shop.example", "/orders/7", "shop /7"},
		{"SHOP.example.:8080", "/orders", "shop /"},
		{"shop.example", "/carts", "root /carts"},
		{"other.example", "/orders", "orders /base/orders"},
	} {
		if got := get(t, w.url+c[1], "Host", c[0]); got.body != c[2] {
			t.Errorf("%s%s came to %q, not %q", c[0], c[1], got.body, c[2])
		}
	}
}

func TestNoRoute(t *testing.T) {
	w := begin(t, "services: {a: {to: "+named(t, "a")+"}}\nroutes: [{path: /a, service: a}]\n")
	for path, status := range map[string]int{"/b": 404, "/": 404, "/ab": 404, "/a/../b": 400, "/a/%2e%2e/b": 400, "/a/.": 400, "/a/..b": 200, "/a/.b": 200,
		"/a/..%2fb": 400, "/a/x%2F..%2F..%2Fb": 400, "/a/..%5cb": 400, `/a/x\..\..\b`: 400, "/a/..;/b": 400, "/a/.;x=1/b": 400, "/a/%2e.%3b/b": 400,
		"/a/b;x=1": 200, "/a/..%25": 200, "/a/x%2Fb": 200,
	} {
		x := get(t, w.url+path)
		if status == 200 && x.status == 200 {
			continue
		}
		if p := problemOf(t, x, status); p.Detail == "" || p.Hint == "" || p.Type != "urn:annals:problem:"+string(p.Code) {
			t.Errorf("%s: %+v", path, p)
		}
	}
	if x := send(t, http.MethodConnect, w.url+"/a", ""); x.status != http.StatusMethodNotAllowed {
		t.Errorf("CONNECT: %+v", x)
	}
	w.recorded(t, 10)
}

// A switch to HTTP/2 would carry calls that no route leads.
func TestNoUpgradeToHTTP2(t *testing.T) {
	w := begin(t, one(serviceAt(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.Header.Get("Connection"), r.Header.Get("Upgrade"), r.Header.Get("Http2-Settings"))
	})))
	for _, protocol := range []string{"h2c", "H2C", "echo, h2c"} {
		x := get(t, w.url, "Connection", "Upgrade, HTTP2-Settings", "Upgrade", protocol, "Http2-Settings", "AAMAAABkAAQAAP__")
		if x.body != "" || x.status != 200 {
			t.Errorf("%s: %+v", protocol, x)
		}
	}
}

// A target that is no path would go on as it is, past the routes.
func TestTargetsThatAreNoPath(t *testing.T) {
	w := begin(t, one(serviceAt(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s came through", r.RequestURI) })+"/base"))
	for _, target := range []string{"x:../admin", "x:admin", "http:admin", "*"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || answer.StatusCode != http.StatusBadRequest || answer.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %+v, %v", target, answer, err)
		}
	}
}

// headers answers those that a service gets.
func headers(w http.ResponseWriter, r *http.Request) {
	r.Header.Set("Host", r.Host)
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range r.Header {
			if !yield(name) {
				return
			}
		}
	})
	for _, name := range names {
		_, _ = fmt.Fprintf(w, "%s: %s\n", name, strings.Join(r.Header[name], ","))
	}
}

func TestForwardedHeaders(t *testing.T) {
	url := serviceAt(t, headers)
	sent := []string{
		"Host", "shop.example", "X-Forwarded-For", "1.2.3.4", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "front", "Forwarded", "for=9.9.9.9",
		"Connection", "X-Hop", "X-Hop", "1", "Proxy-Authorization", "geheim", "Te", "gzip", "Authorization", "Bearer x", "Accept-Encoding", "br",
	}
	for trust, want := range map[string][]string{
		"":                       {"X-Forwarded-For: 127.0.0.1\n", "X-Forwarded-Proto: http\n", "X-Forwarded-Host: shop.example\n"},
		"trust: [127.0.0.0/8]\n": {"X-Forwarded-For: 1.2.3.4, 127.0.0.1\n", "X-Forwarded-Proto: https\n", "X-Forwarded-Host: front\n"},
		"trust: [10.0.0.0/8]\n":  {"X-Forwarded-For: 127.0.0.1\n"},
	} {
		got := get(t, begin(t, one(url)+trust).url+"/x", sent...)
		for _, line := range append(want, "Authorization: Bearer x\n", "Accept-Encoding: br\n", "Host: "+strings.TrimPrefix(url, "http://")+"\n", "Traceparent: 00-", "X-Request-Id: ") {
			if !strings.Contains(got.body, line) {
				t.Errorf("%q: no %q in\n%s", trust, line, got.body)
			}
		}
		for _, name := range []string{"Forwarded: ", "X-Hop", "Proxy-", "Te: ", "Connection"} {
			if strings.HasPrefix(got.body, name) || strings.Contains(got.body, "\n"+name) {
				t.Errorf("%q: %s came through:\n%s", trust, name, got.body)
			}
		}
	}
}

func TestRequestIDs(t *testing.T) {
	w := begin(t, one(serviceAt(t, headers)))
	const trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for _, c := range []struct {
		sent []string
		want string // empty for a made one
	}{
		{[]string{"Traceparent", "00-" + trace + "-" + parent + "-01", "Tracestate", "v=1", "X-Request-Id", "r-1"}, trace},
		{[]string{"X-Request-Id", "r-1"}, "r-1"},
		{[]string{"Traceparent", "00-" + trace + "-" + strings.Repeat("0", 16) + "-01"}, ""},
		{[]string{"Traceparent", "00-" + trace}, ""},
		{[]string{"Traceparent", "ff-" + trace + "-" + parent + "-01"}, ""},
		{[]string{"Traceparent", strings.Repeat("x", 9000)}, ""},
		{[]string{"X-Request-Id", strings.Repeat("x", 9000)}, ""},
		{[]string{"X-Request-Id", "a b\tc"}, ""},
		{nil, ""},
	} {
		x := get(t, w.url+"/", c.sent...)
		id := x.header.Get("X-Request-Id")
		if c.want != "" && id != c.want || len(id) < 3 || len(id) > 200 || x.status != 200 {
			t.Errorf("%.100q: request id %q", c.sent, id)
		}
		if len(c.sent) == 6 && (!strings.Contains(x.body, "Traceparent: 00-"+trace+"-") || strings.Contains(x.body, parent) || !strings.Contains(x.body, "v=1")) {
			t.Errorf("trace context is not passed on:\n%s", x.body)
		}
	}
	w.recorded(t, 18)
}

// A service calls another through the gateway, and that a third: a tree.
func TestNestedCallsFormATree(t *testing.T) {
	var w *world
	through := func(to string) http.HandlerFunc {
		return func(answer http.ResponseWriter, r *http.Request) {
			x := get(t, w.url+to, "Traceparent", r.Header.Get("Traceparent"), "Tracestate", r.Header.Get("Tracestate"), "X-Request-Id", r.Header.Get("X-Request-Id"))
			answer.WriteHeader(x.status)
			_, _ = io.WriteString(answer, x.body)
		}
	}
	w = begin(t, fmt.Sprintf(`
name: Edge
services: {A: {to: %s}, B: {to: %s}, C: {to: %s}}
routes: [{path: /a, service: A}, {path: /b, service: B}, {path: /c, service: C}]
`, serviceAt(t, through("/b")), serviceAt(t, through("/c")), serviceAt(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })))
	if x := get(t, w.url+"/a?secret=1", "X-Request-Id", "r-1"); x.status != 500 || x.header.Get("X-Request-Id") != "r-1" {
		t.Fatalf("%+v", x)
	}
	by := map[string]message{}
	for _, m := range w.recorded(t, 6) {
		by[m.Type+m.Name] = m
		if m.RequestID != "r-1" || m.Source != "Edge" || m.Method != "GET" || len(m.Path) != 2 {
			t.Errorf("%+v", m)
		}
	}
	a, b, c := by[tracking.ResponseType+"A"], by[tracking.ResponseType+"B"], by[tracking.ResponseType+"C"]
	if a.ParentID != "" || b.ParentID != a.CallID || c.ParentID != b.CallID || a.CallID == "" || c.Status != 500 || by["MICROSERVICE_REQUESTC"].CallID != c.CallID {
		t.Errorf("%+v\n%+v\n%+v", a, b, c)
	}
}

func TestLimits(t *testing.T) {
	var called atomic.Int32
	w := begin(t, one(serviceAt(t, func(_ http.ResponseWriter, r *http.Request) {
		called.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
	}))+"limits: {body: 10, header: 4KiB}\n")
	if x := send(t, http.MethodPost, w.url, "0123456789"); x.status != 200 {
		t.Fatalf("%+v", x)
	}
	problemOf(t, send(t, http.MethodPost, w.url, "0123456789a"), http.StatusRequestEntityTooLarge)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, w.url, io.MultiReader(strings.NewReader("0123456789"), strings.NewReader("a")))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := transport(t).RoundTrip(request)
	if err != nil || answer.StatusCode != http.StatusRequestEntityTooLarge {
		t.Fatalf("%v, %v", answer, err)
	}
	_ = answer.Body.Close()
	if x := get(t, w.url, "X-Long", strings.Repeat("x", 9<<10)); x.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Fatalf("%+v", x)
	}
}
