package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxPayload is what a synchronous invocation may take and give.
const maxPayload = 6 << 20

// An instance is one process of a function and the Runtime API that it talks to.
type instance struct {
	of      *deployed
	process *exec.Cmd
	api     *httptest.Server
	work    chan *call
	started time.Time
	ready   chan struct{} // closed when it first asks for work
	ended   chan struct{} // closed when the process has ended

	// What the process prints goes to a file, not a pipe: when it answers, all that
	// it has printed before is there.
	printed *os.File
	taken   sync.Mutex
	partial []byte // a line whose end is not printed yet

	mu       sync.Mutex
	current  *call
	initFail string // the error that it reported instead of asking for work
	init     time.Duration
}

// A call is an invocation on its way through an instance.
type call struct {
	id       string
	payload  []byte
	deadline time.Time

	once   sync.Once
	done   chan struct{} // closed with the answer
	answer []byte
	failed bool
}

// end gives the call its answer. Only the first counts.
func (c *call) end(answer []byte, failed bool) {
	c.once.Do(func() {
		c.answer, c.failed = answer, failed
		close(c.done)
	})
}

// start runs a process of the function. What it prints is kept by the function.
func (d *deployed) start() (*instance, error) {
	i := &instance{of: d, work: make(chan *call), ready: make(chan struct{}), ended: make(chan struct{})}
	i.api = httptest.NewServer(i.handler())
	c := exec.Command(d.bootstrap)
	c.Env = append(d.environ[:len(d.environ):len(d.environ)], "AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(i.api.URL, "http://"))
	c.SysProcAttr = endWithUs()
	w, err := os.CreateTemp("", "function-*.log")
	if err == nil {
		i.printed, err = os.Open(w.Name())
		err = errors.Join(err, os.Remove(w.Name()))
		defer w.Close()
	}
	if err != nil {
		i.api.Close()
		return nil, err
	}
	c.Stdout, c.Stderr = w, w
	// The process may ask for work before Start returns.
	i.mu.Lock()
	i.started, i.process = time.Now(), c
	err = c.Start()
	i.mu.Unlock()
	if err != nil {
		i.api.Close()
		return nil, errors.Join(fmt.Errorf("starting %s as the function %s: %w", d.bootstrap, d.f.Name, err), i.printed.Close())
	}
	go i.outlive()
	return i, nil
}

// outlive waits for the end of the process.
func (i *instance) outlive() {
	_ = i.process.Wait() // how it ended is told by the invocation that it broke off
	i.take()
	close(i.ended)
	i.api.CloseClientConnections()
	i.api.Close()
	i.taken.Lock()
	defer i.taken.Unlock()
	_ = i.printed.Close()
}

// take hands the function the lines that were printed since it was last called.
func (i *instance) take() {
	i.taken.Lock()
	defer i.taken.Unlock()
	more, _ := io.ReadAll(i.printed) // closed when the process has ended and all is taken
	lines := bytes.Split(append(i.partial, more...), []byte("\n"))
	i.partial = lines[len(lines)-1]
	request := i.request()
	for _, line := range lines[:len(lines)-1] {
		i.of.print(request, string(line))
	}
}

func (i *instance) request() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.current == nil {
		return ""
	}
	return i.current.id
}

func (i *instance) kill() {
	_ = i.process.Process.Kill() // it may have ended by itself
	<-i.ended
}

func (i *instance) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", i.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) { i.finish(w, r, false) })
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", func(w http.ResponseWriter, r *http.Request) { i.finish(w, r, true) })
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", i.failInit)
	return mux
}

func (i *instance) next(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	if i.init == 0 {
		i.init = max(time.Since(i.started), 1)
		close(i.ready)
	}
	i.mu.Unlock()
	select {
	case c := <-i.work:
		i.mu.Lock()
		i.current = c
		i.mu.Unlock()
		h := w.Header()
		h.Set("Lambda-Runtime-Aws-Request-Id", c.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(c.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", i.of.arn)
		h.Set("Lambda-Runtime-Trace-Id", "Root=1-"+strings.ReplaceAll(c.id, "-", "")[:8]+"-"+strings.ReplaceAll(c.id, "-", "")[8:]+";Sampled=0")
		h.Set("Content-Type", "application/json")
		_, _ = w.Write(c.payload)
	case <-r.Context().Done():
	}
}

func (i *instance) finish(w http.ResponseWriter, r *http.Request, failed bool) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	if err != nil {
		return // the process broke off; its end says so
	}
	i.take()
	i.mu.Lock()
	c := i.current
	if c == nil || c.id != r.PathValue("id") {
		i.mu.Unlock()
		http.Error(w, `{"errorType":"InvalidRequestID"}`, http.StatusBadRequest)
		return
	}
	i.current = nil
	i.mu.Unlock()
	status := http.StatusAccepted
	if len(body) > maxPayload {
		body, failed, status = failure("Function.ResponseSizeTooLarge", "Response payload size exceeded maximum allowed payload size (%d bytes).", maxPayload), true, http.StatusRequestEntityTooLarge
	} else if !failed && len(bytes.TrimSpace(body)) > 0 && !json.Valid(body) {
		body, failed = failure("Runtime.InvalidResponse", "the response is no JSON"), true
	}
	i.of.measure(i)
	w.WriteHeader(status)
	c.end(body, failed)
}

func (i *instance) failInit(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxPayload)) // a part of it is told as it is
	i.mu.Lock()
	i.initFail = string(body)
	i.mu.Unlock()
	w.WriteHeader(http.StatusAccepted)
}

// failure is the payload of a function error that Lambda itself makes.
func failure(kind, format string, args ...any) []byte {
	body, err := json.Marshal(map[string]string{"errorType": kind, "errorMessage": fmt.Sprintf(format, args...)})
	if err != nil {
		panic(err) // two strings
	}
	return body
}

// errEnded says that the process ended before it took the call: another may.
var errEnded = errors.New("the process has ended")

// run hands c to the instance and waits for the answer, the end of the process, or
// the deadline, at which it kills the process.
func (i *instance) run(c *call) error {
	select {
	case i.work <- c:
	case <-i.ended:
		return errEnded
	}
	timer := time.NewTimer(time.Until(c.deadline))
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
		i.kill()
		c.end(failure("Sandbox.Timedout", "RequestId: %s Error: Task timed out after %.2f seconds", c.id, i.of.timeout().Seconds()), true)
	case <-i.ended:
		c.end(failure("Runtime.ExitError", "RequestId: %s Error: Runtime exited: %v", c.id, i.process.ProcessState), true)
	}
	return nil
}

// awaitReady waits until the process asks for work. It ends one that takes longer
// than limit, and tells why one ended instead.
func (i *instance) awaitReady(limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-i.ready:
		return nil
	case <-timer.C:
		i.kill()
		return fmt.Errorf("the function %s did not ask for work within %v", i.of.f.Name, limit)
	case <-i.ended:
		i.mu.Lock()
		defer i.mu.Unlock()
		return fmt.Errorf("the function %s ended before it asked for work (%v): %s", i.of.f.Name, i.process.ProcessState, i.initFail)
	}
}
