package console

import (
	"io"
	"net/http"
	"time"
)

// The times of a console outside of tests. The answer's is the longer one, as net/http may
// first wait for the rest of the form.
const (
	formTime   = 30 * time.Second
	answerTime = time.Minute
)

// timely is w and r for a browser that sends its form, and takes the answer, in time.
func (c *console) timely(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *http.Request) {
	control := http.NewResponseController(w)
	if r.Body != nil && r.Body != http.NoBody {
		// Where nobody reads the body net/http does, before it answers. A connection that
		// can't have deadlines, as in a test, has no slow browser.
		_ = control.SetReadDeadline(time.Now().Add(c.formTime))
		timed := *r
		timed.Body = &timelyBody{r.Body, control}
		r = &timed
	}
	return &timelyAnswer{ResponseWriter: w, control: control, time: c.answerTime}, r
}

// timelyBody takes the deadline away at its end: what follows is the server's time.
type timelyBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *timelyBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// timelyAnswer has a deadline from its beginning on.
type timelyAnswer struct {
	http.ResponseWriter
	control *http.ResponseController
	time    time.Duration
	begun   bool
}

func (a *timelyAnswer) WriteHeader(status int) {
	if !a.begun {
		a.begun = true
		_ = a.control.SetWriteDeadline(time.Now().Add(a.time))
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *timelyAnswer) Write(b []byte) (int, error) {
	if !a.begun {
		a.WriteHeader(http.StatusOK)
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (a *timelyAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
