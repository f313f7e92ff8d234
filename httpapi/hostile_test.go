package httpapi

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// hostileNames stand for names in paths, escaped.
var hostileNames = []string{
	"%00", "%0A", "%0D%0A", "%7F", "%1B", "%FF", "%C3%28", "%ED%A0%80", "%2F", "%2F%2F", "..%2F..%2Fetc", "%2e%2e", ".", "..", "%20", "+", "a%20b", "@", "orders@", "@1",
	"orders@0", "orders@-1", "orders@1@2", "orders@99999999999999999999", "annals.consumers", "annals.projections", "annals.parked/orders@1", "%22", "%27", "%5C",
	"%3Cscript%3E", "%E2%80%AE", "%F0%9F%98%80", "0", "-1", "9223372036854775808", "99999999999999999999", "1e9", "NaN", "", strings.Repeat("x", 700), strings.Repeat("%C3%A4", 300),
}

var hostileValues = append([]string{
	"-9223372036854775808", "9223372036854775807", "4294967296", "2147483648", "1.5", "0x10", "true", "yes", "2020-05-01", "%2520", "a&a=b",
}, hostileNames...)

// A refusal is a client's error, told as a problem.
func (k *kept) wantRefusal(t *testing.T, method, path string) {
	t.Helper()
	status, h, text := k.do(t, method, path, "{}")
	var p Problem
	switch {
	case status >= 500:
		t.Errorf("%s %s: %d %s", method, path, status, text)
	case status >= 400 && (h.Get("Content-Type") != mediaProblem || json.Unmarshal([]byte(text), &p) != nil || p.Detail == ""):
		t.Errorf("%s %s is no problem: %d %s", method, path, status, text)
	}
}

// viewsOperations are the routes of views, projections and consumers.
func viewsOperations() []route { return slices.Concat(viewRoutes, projectionRoutes, consumerRoutes) }

// filled is the route's path with value for one variable, and harmless values for
// the others.
func filled(rt *route, variable, value string) string {
	harmless := map[string]string{"stream": "order-1", "projection": "orders", "key": "order-1", "name": "orders", "generation": "7", "position": "7"}
	path := rt.path
	for _, name := range rt.variables() {
		with := harmless[name]
		if name == variable {
			with = value
		}
		path = strings.Replace(path, "{"+name+"}", with, 1)
	}
	return path
}

func TestHostileNamesAreRefused(t *testing.T) {
	k := keep(t)
	k.append(t, "order-1", "placed", `{"total":1}`)
	for _, rt := range viewsOperations() {
		for _, variable := range rt.variables() {
			for _, name := range hostileNames {
				path := filled(&rt, variable, name)
				status, _, text := k.do(t, rt.method, path, "{}")
				if status < 400 || status >= 500 {
					t.Errorf("%s %.80q with %.40q: %d %.300s", rt.method, rt.path, name, status, text)
				}
			}
		}
	}
}

func TestHostileParametersAreRefused(t *testing.T) {
	k := keep(t)
	k.append(t, "order-1", "placed", `{"total":1}`)
	for _, rt := range viewsOperations() {
		for _, p := range rt.query {
			if p.name == "wait" {
				continue // waits, and is below
			}
			for _, value := range hostileValues {
				if rt.method != "GET" && (value == "" || value == "0") {
					continue // says no, so that something is done
				}
				k.wantRefusal(t, rt.method, filled(&rt, "", "")+"?"+p.name+"="+value)
			}
			k.wantRefusal(t, rt.method, filled(&rt, "", "")+"?"+p.name+"=1&"+p.name+"=2")
		}
		k.wantRefusal(t, rt.method, filled(&rt, "", "")+"?unknown=1")
	}
	for _, value := range []string{"-1", "9223372036854775808", "x", "1.5"} {
		k.want(t, "GET /v1/views/orders?wait="+value, 400, `"field":"wait"`)
		k.want(t, "GET /v1/views/orders?waitSeconds="+value, 400, `"field":"waitSeconds"`)
	}
	k.want(t, "GET /v1/views/orders?waitSeconds=61", 400, `"field":"waitSeconds"`)
	k.want(t, "GET /v1/views/orders?limit=1001", 400, `"field":"limit"`)
	k.want(t, "GET /v1/views/orders?prefix=%00", 400, `"field":"prefix"`)
	k.want(t, "GET /v1/views/orders?after=%FF", 400, `"field":"after"`)
}

// Data that is too large for a decision is refused before it is kept.
func TestLargeEditsAreRefused(t *testing.T) {
	k := keep(t)
	k.parkedOf(t, k.append(t, "order-1", "placed", `{"total":"x"}`))
	for _, size := range []int{300 << 10, 2 << 20} {
		k.want(t, "PUT /v1/consumers/orders/parked/1?reason=r {\"total\":\""+strings.Repeat("x", size)+"\"}", 413, `"code":"too_large"`)
	}
}

// A server that keeps no views says how to start one that does.
func TestWithoutProjections(t *testing.T) {
	s := start(t, Options{})
	for _, rt := range viewsOperations() {
		if rt.id == "state" {
			continue // needs none
		}
		status, _, text := s.do(t, rt.method, filled(&rt, "", ""), "{}")
		if status != 404 || !strings.Contains(text, "start annals serve with --projections DIR or --state") {
			t.Errorf("%s %s: %d %s", rt.method, rt.path, status, text)
		}
	}
	status, _, text := s.do(t, "GET", "/v1/streams/a/state?projection=orders", "")
	if status != 404 || !strings.Contains(text, "--projections") {
		t.Errorf("%d %s", status, text)
	}
}
