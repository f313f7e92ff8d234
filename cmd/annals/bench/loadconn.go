package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eb901187/annals"
)

// A wire is one connection to a server, for one request at a time. It costs less
// processor time than net/http's client, whose three goroutines a connection would
// take from the server that is measured on the same cores. It dials when it is
// first used and after a failure.
type wire struct {
	address string // host and port
	timeout time.Duration
	c       net.Conn
	in      *bufio.Reader
	used    bool // c has had an answer
}

const wireTimeout = 30 * time.Second

func newWire(url string) *wire {
	return &wire{address: strings.TrimPrefix(url, "http://"), timeout: wireTimeout}
}

func newWires(url string, n int) []*wire {
	all := make([]*wire, n)
	for i := range all {
		all[i] = newWire(url)
	}
	return all
}

func closeWires(all []*wire) {
	for _, w := range all {
		w.close()
	}
}

func (w *wire) close() {
	if w.c != nil {
		_ = w.c.Close() // nothing is expected from it any more
		w.c = nil
	}
}

// dial connects, if it is not connected.
func (w *wire) dial(ctx context.Context) error {
	if w.c != nil {
		return nil
	}
	dialer := net.Dialer{Timeout: w.timeout}
	c, err := dialer.DialContext(ctx, "tcp", w.address)
	if err != nil {
		return err
	}
	w.c, w.in, w.used = c, bufio.NewReaderSize(c, 16<<10), false
	return nil
}

// request writes the head and the body of one. headers are whole lines.
func (w *wire) request(method, path, headers string, body []byte) []byte {
	b := make([]byte, 0, 256+len(body))
	b = fmt.Appendf(b, "%s %s HTTP/1.1\r\nHost: %s\r\n%s", method, path, w.address, headers)
	if body != nil {
		b = fmt.Appendf(b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	return append(append(b, "\r\n"...), body...)
}

// errSilent is the cause where a connection ended before an answer began.
var errSilent = errors.New("no answer")

// send sends a request and returns the answer's header, and its body where it is no
// 2xx. A server may close a connection that rests: where one that was used before
// ends without an answer, the request is sent again once by another, which is safe
// as events have ids.
func (w *wire) send(ctx context.Context, request []byte) (*http.Response, []byte, error) {
	again := w.used
	answer, body, err := w.sendOnce(ctx, request)
	if err != nil && again && errors.Is(err, errSilent) {
		answer, body, err = w.sendOnce(ctx, request)
	}
	return answer, body, err
}

func (w *wire) sendOnce(ctx context.Context, request []byte) (answer *http.Response, body []byte, err error) {
	if err := w.dial(ctx); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil || answer.Close {
			w.close()
		}
	}()
	if err := w.c.SetDeadline(time.Now().Add(w.timeout)); err != nil {
		return nil, nil, err
	}
	if _, err = w.c.Write(request); err == nil {
		_, err = w.in.Peek(1)
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, nil, fmt.Errorf("%w: %w", errSilent, err)
	}
	if err != nil {
		return nil, nil, err
	}
	if answer, err = http.ReadResponse(w.in, nil); err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	w.used = true
	if answer.StatusCode/100 == 2 {
		_, err = io.Copy(io.Discard, answer.Body)
	} else {
		body, err = io.ReadAll(answer.Body)
	}
	return answer, body, err
}

// ask sends a request of a kind and says how it ended.
func (w *wire) ask(ctx context.Context, kind string, request []byte) (outcome, *http.Response) {
	answer, body, err := w.send(ctx, request)
	o := outcome{kind: kind}
	if err != nil {
		o.code = lostCode(err)
		return o, nil
	}
	o.code = strconv.Itoa(answer.StatusCode)
	if answer.StatusCode/100 != 2 {
		o.code = problemCode(o.code, body)
	}
	seconds, err := strconv.Atoi(answer.Header.Get("Retry-After"))
	o.retryAfter = err == nil && seconds > 0
	return o, answer
}

// forCapacity are the problems that promise that nothing was done.
var forCapacity = [][]byte{
	fmt.Appendf(nil, `"code":%q`, annals.CodeOverloaded), fmt.Appendf(nil, `"code":%q`, annals.CodeRateLimited),
}

// problemCode is the outcome's code for a status and a problem. Refusals are many,
// and looked at without decoding.
func problemCode(status string, body []byte) string {
	if slices.ContainsFunc(forCapacity, func(code []byte) bool { return bytes.Contains(body, code) }) {
		return status
	}
	var problem struct{ Code annals.Code }
	if err := json.Unmarshal(body, &problem); err != nil {
		return status + " without a problem"
	}
	return status + " " + string(problem.Code)
}

// lostCode names why no answer came.
func lostCode(err error) string {
	var dial *net.OpError
	switch {
	case errors.As(err, &dial) && dial.Op == "dial":
		return "no connection"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	}
	return "cut off"
}

// told is the fate of events whose append ended so.
func (o outcome) told() fate {
	switch {
	case o.ok():
		return acknowledged
	case o.shed(), o.code == "no connection":
		return refused
	}
	return unknown
}
