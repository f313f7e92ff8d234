package lambda

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/httpapi"
)

const (
	// maxAnswer is what Lambda lets a function answer with, as JSON.
	maxAnswer = 6 << 20
	// longPoll is how long a request without an end of its own may wait: API Gateway
	// gives up after 30 s.
	longPoll = 20 * time.Second
)

// An exchange is one HTTP request while it is worked on.
type exchange struct {
	report      *report
	stream      string // that it appended to
	correlation string // the request that it belongs to
}

type exchangeKey struct{}

// stored notes what a request appended; it is httpapi.Options.Stored.
func stored(ctx context.Context, c annals.Commit, appended []annals.Event) {
	x, is := ctx.Value(exchangeKey{}).(*exchange)
	if !is {
		return
	}
	x.stream = c.Stream
	if c.Replayed {
		x.report.count("Replayed", len(appended))
	} else {
		x.report.count("Stored", len(appended))
	}
	for i := range appended {
		if appended[i].Correlation != "" {
			x.correlation = appended[i].Correlation
			return
		}
	}
}

// serveHTTP answers a request of API Gateway's HTTP API, or of a function URL, by h.
// The answer is sent as a whole: what h could not finish becomes a problem.
func serveHTTP(ctx context.Context, in *invocation, h http.Handler) (any, error) {
	var given events.APIGatewayV2HTTPRequest
	var wrong *json.UnmarshalTypeError
	// The rest is read all the same where what an authorizer says has another form.
	if err := json.Unmarshal(in.payload, &given); err != nil && !(errors.As(err, &wrong) && strings.HasPrefix(wrong.Field, "requestContext.authorizer")) {
		return nil, &annals.Error{Code: annals.CodeInvalidJSON, Message: "the payload is no request of API Gateway", Err: err, Hint: "set the payload format of the integration to 2.0"}
	}
	x := &exchange{report: in.report, correlation: headerOf(&given, "x-request-id")}
	if x.correlation == "" {
		x.correlation = given.RequestContext.RequestID
	}
	in.report.count("Received", 1)
	w := &answerWriter{header: http.Header{}}
	if r, err := newRequest(context.WithValue(ctx, exchangeKey{}, x), &given); err != nil {
		w.problem(err)
	} else {
		w.serve(h, r)
	}
	answer := w.answer()
	level := slog.LevelDebug
	if answer.StatusCode >= http.StatusInternalServerError {
		level = slog.LevelError
		in.report.count("Failed", 1)
	} else if answer.StatusCode >= http.StatusBadRequest {
		level = slog.LevelWarn
		in.report.count("Refused", 1)
	}
	args := []any{"method", given.RequestContext.HTTP.Method, "path", given.RawPath, "status", answer.StatusCode, "stream", x.stream, "traceparent", headerOf(&given, "traceparent")}
	if level > slog.LevelDebug {
		args = append(args, "error", w.detail())
	}
	in.report.message(ctx, level, "request", x.correlation, args...)
	return answer, nil
}

// headerOf finds a header, whose names API Gateway writes in small letters.
func headerOf(given *events.APIGatewayV2HTTPRequest, name string) string {
	for k, v := range given.Headers {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return ""
}

// newRequest is the request as a server would have got it.
func newRequest(ctx context.Context, given *events.APIGatewayV2HTTPRequest) (*http.Request, error) {
	body := []byte(given.Body)
	if given.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(given.Body); err != nil {
			return nil, annals.Invalid("body", "is not base64, as the request says: %v", err)
		}
	}
	u, err := urlOf(given)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, given.RequestContext.HTTP.Method, "/", bytes.NewReader(body))
	if err != nil {
		return nil, annals.Invalid("method", "is %q", given.RequestContext.HTTP.Method)
	}
	r.URL, r.RequestURI, r.RemoteAddr = u, u.RequestURI(), given.RequestContext.HTTP.SourceIP
	for name, value := range given.Headers {
		r.Header.Add(name, value)
	}
	if len(given.Cookies) > 0 {
		r.Header.Set("Cookie", strings.Join(given.Cookies, "; "))
	}
	if r.Host = r.Header.Get("Host"); r.Host == "" {
		r.Host = given.RequestContext.DomainName
	}
	return r, nil
}

// urlOf is the path without its stage, and the query.
//
// API Gateway's HTTP APIs hand a path on that is decoded already, so that an
// escaped slash is a plain one, and an escaped question mark has cut the path off.
// Function URLs hand it on as it came.
func urlOf(given *events.APIGatewayV2HTTPRequest) (*url.URL, error) {
	path := given.RawPath
	if stage := given.RequestContext.Stage; stage != "" && stage != "$default" {
		if rest, is := strings.CutPrefix(path, "/"+stage); is && (rest == "" || rest[0] == '/') {
			path = rest
		}
	}
	if path == "" {
		path = "/"
	}
	u := &url.URL{Path: path, RawQuery: given.RawQueryString}
	if strings.Contains(given.RequestContext.DomainName, ".lambda-url.") {
		plain, err := url.PathUnescape(path)
		if err != nil {
			return nil, annals.Invalid("path", "is not validly percent-encoded")
		}
		u.Path, u.RawPath = plain, path
	}
	return u, nil
}

// An answerWriter gathers an answer.
type answerWriter struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *answerWriter) Header() http.Header { return w.header }

func (w *answerWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *answerWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// Flush is for handlers that send an answer in parts; here it is sent at the end.
func (w *answerWriter) Flush() {}

// serve calls h. An answer that h cuts off must not pass for a whole one.
func (w *answerWriter) serve(h http.Handler, r *http.Request) {
	defer func() {
		switch cause := recover(); cause {
		case nil:
		case http.ErrAbortHandler:
			w.problem(&annals.Error{Code: annals.CodeTimeout, Message: "the answer could not be finished", Hint: "ask for less at once, or ask again"})
		default:
			panic(cause)
		}
	}()
	h.ServeHTTP(w, r)
}

// problem replaces the answer.
func (w *answerWriter) problem(err error) {
	p := httpapi.NewProblem(err)
	text, failed := json.Marshal(p)
	if failed != nil {
		panic(failed) // it is made of texts and numbers
	}
	w.header, w.status = http.Header{"Content-Type": {"application/problem+json"}}, p.Status
	w.body.Reset()
	w.body.Write(append(text, '\n'))
}

// detail is what a problem says, for the log.
func (w *answerWriter) detail() string {
	var p httpapi.Problem
	if err := json.Unmarshal(w.body.Bytes(), &p); err != nil {
		return http.StatusText(w.status)
	}
	return p.Detail
}

// answer is what API Gateway makes the response of.
func (w *answerWriter) answer() events.APIGatewayV2HTTPResponse {
	w.WriteHeader(http.StatusOK)
	text := utf8.Valid(w.body.Bytes())
	if n := w.size(text); n > maxAnswer {
		text = true
		w.problem(&annals.Error{
			Code: annals.CodeTooLarge, Message: fmt.Sprintf("the answer takes %d bytes, and a function may answer with %d", n, maxAnswer),
			Hint: "ask for a part: limit, and from or after",
		})
	}
	a := events.APIGatewayV2HTTPResponse{StatusCode: w.status, Headers: map[string]string{}, Cookies: w.header["Set-Cookie"]}
	for name, values := range w.header {
		if name != "Set-Cookie" && name != "Content-Length" && name != "Connection" {
			a.Headers[name] = strings.Join(values, ", ")
		}
	}
	if a.Body = w.body.String(); !text {
		a.Body, a.IsBase64Encoded = base64.StdEncoding.EncodeToString(w.body.Bytes()), true
	}
	return a
}

// size is that of the body within the answer's JSON, and of a little more. What is
// no text goes as Base64.
func (w *answerWriter) size(text bool) int {
	const rest = 8 << 10
	if !text {
		return rest + base64.StdEncoding.EncodedLen(w.body.Len())
	}
	// JSON escapes the separators of lines and paragraphs, which take three bytes.
	n := rest + 3*(bytes.Count(w.body.Bytes(), []byte("\u2028"))+bytes.Count(w.body.Bytes(), []byte("\u2029")))
	for _, c := range w.body.Bytes() {
		n++
		if c == '"' || c == '\\' || c == '\n' || c == '\t' || c == '\r' {
			n++
		} else if c < ' ' || c == '<' || c == '>' || c == '&' {
			n += 5
		}
	}
	return n
}
