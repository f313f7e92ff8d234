package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/tracking"
)

// A Problem is what the gateway itself answers where a call did not come to a
// service's answer (RFC 9457).
type Problem struct {
	Type      string      `json:"type"` // urn:annals:problem: and the code
	Title     string      `json:"title"`
	Status    int         `json:"status"`
	Detail    string      `json:"detail"`
	Code      annals.Code `json:"code"`
	Retryable bool        `json:"retryable"`
	Hint      string      `json:"hint,omitempty"`
	Service   string      `json:"service,omitempty"` // the one that was called
	RequestID string      `json:"requestId"`         // as in X-Request-Id, and in what is recorded
}

const problemType = "urn:annals:problem:"

func badRequest(r *http.Request) Problem {
	p := Problem{Status: http.StatusBadRequest, Code: annals.CodeInvalid, Detail: "the target is no path, or one with a segment . or ..", Hint: "send the path that is meant"}
	if r.Method == http.MethodConnect {
		p.Status, p.Code, p.Detail, p.Hint = http.StatusMethodNotAllowed, annals.CodeMethod, "the gateway makes no tunnels", ""
	}
	return p
}

func noRoute(r *http.Request) Problem {
	return Problem{
		Status: http.StatusNotFound, Code: annals.CodeNotFound, Detail: "no route leads from host " + strconv.Quote(hostName(r.Host)) + " and path " + strconv.Quote(r.URL.Path),
		Hint: "see routes in the gateway's configuration",
	}
}

func bodyTooLarge(most int64) Problem {
	return Problem{Status: http.StatusRequestEntityTooLarge, Code: annals.CodeTooLarge, Detail: fmt.Sprintf("the body is longer than %d bytes", most), Hint: "limits.body of the gateway's configuration says how long it may be"}
}

// tooManyCalls is for a client that makes many calls at a time on one connection.
var tooManyCalls = Problem{
	Status: http.StatusServiceUnavailable, Code: annals.CodeUnavailable, Retryable: true,
	Detail: "as many calls are under way as there may be connections", Hint: "make fewer at a time, or try again later",
}

// retryAfter is in seconds.
const retryAfter = "1"

// failed answers a call that its service did not answer.
func (g *Gateway) failed(w http.ResponseWriter, r *http.Request, err error) {
	ctx := r.Context()
	c := callOf(ctx)
	s := c.way.service
	broken := c.broken.Load()
	if broken != nil {
		err = broken // which may have ended the context, and so everything else
	}
	p := Problem{Service: s.Name, Code: annals.CodeUnavailable, Retryable: true}
	var tooLarge *http.MaxBytesError
	cause := context.Cause(ctx)
	switch {
	case errors.Is(err, tracking.ErrFull):
		p.Status, p.Detail, p.Hint = http.StatusServiceUnavailable, "the call can't be recorded, and is not made without that", "try again later"
		w.Header().Set("Retry-After", retryAfter)
	case errors.As(err, &tooLarge):
		p = bodyTooLarge(tooLarge.Limit)
		p.Service = s.Name
	case broken != nil && isTimeout(err):
		p.Status, p.Code, p.Detail = http.StatusRequestTimeout, annals.CodeTimeout, "the body did not come in time"
	case broken != nil:
		p.Status, p.Code, p.Detail = http.StatusBadRequest, annals.CodeInvalid, "the body did not come whole"
	case cause == error(errIdle) || cause == error(errTotal):
		p.Status, p.Code, p.Detail = http.StatusGatewayTimeout, annals.CodeTimeout, cause.Error()
	case ctx.Err() != nil:
		s.calls.failed("canceled", g.clock().Sub(c.began))
		panic(http.ErrAbortHandler) // nobody is there to be answered
	case isTimeout(err):
		p.Status, p.Code, p.Detail = http.StatusGatewayTimeout, annals.CodeTimeout, "service "+strconv.Quote(s.Name)+" did not answer in time"
	default:
		// What exactly failed is recorded; it would tell a client of the inside.
		p.Status, p.Detail, p.Hint = http.StatusBadGateway, "service "+strconv.Quote(s.Name)+" could not be reached, or broke off", "the gateway's operator finds the reason under the request's id"
	}
	if c.body != nil && !c.body.ended.Load() {
		w.Header().Set("Connection", "close") // what is left of the body would be taken for a request
	}
	s.calls.failed(strconv.Itoa(p.Status), g.clock().Sub(c.began))
	g.answer(ctx, w, p)
}

// answer sends p.
func (g *Gateway) answer(ctx context.Context, w http.ResponseWriter, p Problem) {
	info := p.Code.Info()
	p.Type, p.Title = problemType+string(p.Code), http.StatusText(p.Status)
	p.RequestID = tracking.RequestID(ctx)
	if p.Hint == "" && p.Service == "" {
		p.Hint = info.Hint
	}
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and numbers
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(text)+1))
	h.Set("X-Request-Id", p.RequestID)
	// A connection without deadlines is not watched; a client that is gone can't be told.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime))
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(text, '\n'))
}

// answerTime is how long a client may take to take a problem.
const answerTime = 30 * time.Second
