package local

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// apiTimeout is how long an HTTP API waits for a function.
const apiTimeout = 30 * time.Second

// maxRequest is the largest body that an HTTP API takes.
const maxRequest = 10 << 20

// An api is an HTTP API: it leads requests to functions by its routes.
type api struct {
	routes    []Route
	functions map[string]*deployed
}

// ServeHTTP answers as API Gateway does.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route, parameters, ok := a.route(r.Method, r.URL.Path)
	if !ok {
		gatewayError(w, http.StatusNotFound, "Not Found")
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	if err != nil {
		return // the client broke off
	}
	payload := proxyRequest(r, route, parameters, body)
	if len(body) > maxRequest || len(payload) > maxPayload {
		gatewayError(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	}
	type end struct {
		Result
		err error
	}
	done := make(chan end, 1)
	// The function goes on when the gateway has given up on it.
	go func() {
		result, err := a.functions[route.Function].invoke(r.Context(), payload)
		done <- end{result, err}
	}()
	timer := time.NewTimer(apiTimeout)
	defer timer.Stop()
	select {
	case e := <-done:
		if e.err != nil || e.Failed {
			gatewayError(w, http.StatusInternalServerError, "Internal Server Error")
			return
		}
		answerProxied(w, e.Payload)
	case <-r.Context().Done(): // the client broke off
	case <-timer.C:
		gatewayError(w, http.StatusServiceUnavailable, "Service Unavailable")
	}
}

// route finds the route that fits best: a full match before a greedy one, of those
// the longest, and $default last.
func (a *api) route(method, path string) (best Route, parameters map[string]string, ok bool) {
	score := -1
	for _, route := range a.routes {
		parameters2, s := fit(route.Key, method, path)
		if s > score {
			best, parameters, score, ok = route, parameters2, s, true
		}
	}
	return best, parameters, ok
}

// fit says how well a route key fits, -1 for not at all.
func fit(key, method, path string) (parameters map[string]string, score int) {
	if key == "$default" {
		return nil, 0
	}
	wants, pattern, _ := strings.Cut(key, " ")
	if wants != method && wants != "ANY" {
		return nil, -1
	}
	score = 1
	if wants == method {
		score++
	}
	parameters = map[string]string{}
	want, have := strings.Split(pattern, "/"), strings.Split(path, "/")
	for i, segment := range want {
		name, variable := strings.CutPrefix(segment, "{")
		name = strings.TrimSuffix(name, "}")
		switch greedy, is := strings.CutSuffix(name, "+"); {
		case variable && is:
			rest := strings.Join(have[min(i, len(have)):], "/")
			if rest == "" {
				return nil, -1
			}
			parameters[greedy] = rest
			return parameters, score + 10*i
		case i >= len(have) || !variable && segment != have[i]:
			return nil, -1
		case variable:
			parameters[name] = have[i]
		}
	}
	if len(have) != len(want) {
		return nil, -1
	}
	return parameters, score + 10_000
}

func proxyRequest(r *http.Request, route Route, parameters map[string]string, body []byte) []byte {
	headers := map[string]string{"host": r.Host}
	for name, values := range r.Header {
		if name != "Cookie" {
			headers[strings.ToLower(name)] = strings.Join(values, ",")
		}
	}
	if len(body) > 0 {
		headers["content-length"] = fmt.Sprint(len(body))
	}
	query := map[string]string{}
	for name, values := range r.URL.Query() {
		query[name] = strings.Join(values, ",")
	}
	// It comes decoded, and cut at a question mark that was escaped.
	path, _, _ := strings.Cut(r.URL.Path, "?")
	ip, _, _ := net.SplitHostPort(r.RemoteAddr) // net/http wrote it
	received := time.Now()
	event := map[string]any{
		"version": "2.0", "routeKey": route.Key, "rawPath": path, "rawQueryString": r.URL.RawQuery, "headers": headers,
		"requestContext": map[string]any{
			"accountId": account, "apiId": "local", "domainName": r.Host, "domainPrefix": "local", "requestId": newID(),
			"routeKey": route.Key, "stage": "$default", "time": received.Format("02/Jan/2006:15:04:05 -0700"), "timeEpoch": received.UnixMilli(),
			"http": map[string]string{"method": r.Method, "path": path, "protocol": r.Proto, "sourceIp": ip, "userAgent": r.UserAgent()},
		},
		"isBase64Encoded": false,
	}
	if len(query) > 0 {
		event["queryStringParameters"] = query
	}
	if len(parameters) > 0 {
		event["pathParameters"] = parameters
	}
	if cookies := r.Header.Values("Cookie"); len(cookies) > 0 {
		event["cookies"] = strings.Split(strings.Join(cookies, "; "), "; ")
	}
	if len(body) > 0 {
		if textual(r.Header.Get("Content-Type")) && utf8.Valid(body) {
			event["body"] = string(body)
		} else {
			event["body"], event["isBase64Encoded"] = base64.StdEncoding.EncodeToString(body), true
		}
	}
	payload, err := json.Marshal(event)
	if err != nil {
		panic(err) // texts and numbers
	}
	return payload
}

// textual tells which bodies are handed on as they are.
func textual(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (strings.HasPrefix(kind, "text/") || kind == "application/json" || kind == "application/xml" || kind == "application/javascript")
}

type proxyAnswer struct {
	StatusCode int               `json:"statusCode"`
	Headers    map[string]string `json:"headers"`
	Cookies    []string          `json:"cookies"`
	Body       string            `json:"body"`
	Base64     bool              `json:"isBase64Encoded"`
}

// answerProxied turns the answer of a function into one of HTTP. One without a
// status is the body of a 200.
func answerProxied(w http.ResponseWriter, payload []byte) {
	var out proxyAnswer
	if err := json.Unmarshal(payload, &out); err != nil || out.StatusCode == 0 {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(bytes.TrimSpace(payload)) // to who may have gone
		return
	}
	body := []byte(out.Body)
	if out.Base64 {
		var err error
		if body, err = base64.StdEncoding.DecodeString(out.Body); err != nil {
			gatewayError(w, http.StatusInternalServerError, "Internal Server Error")
			return
		}
	}
	for name, value := range out.Headers {
		w.Header().Set(name, value)
	}
	for _, cookie := range out.Cookies {
		w.Header().Add("Set-Cookie", cookie)
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	w.Header().Del("Content-Length")
	w.WriteHeader(out.StatusCode)
	_, _ = w.Write(body)
}

func gatewayError(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "{%q:%q}", "message", message)
}
