package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/eb901187/annals"
)

// Limits of requests.
const (
	// MaxAppendBytes is what a commit at its limit can take: every byte of its
	// fields escaped by another one, and the names of their members.
	MaxAppendBytes = 10 << 20
	// MaxIngestBytes is the limit of an ingest's body.
	MaxIngestBytes = 64 << 20
	// MaxIngestMessages is how many messages one ingest may hold: each is
	// answered for.
	MaxIngestMessages = 20_000
)

// A bodyReader reads a request's body up to a limit, from a client that sends at
// least progressBytes within each timeout.
type bodyReader struct {
	body    io.ReadCloser
	control *http.ResponseController
	timeout time.Duration
	limit   int64
	unpaid  int64 // bytes read since the deadline was moved
}

const progressBytes = 64 << 10

func (s *server) newBody(w http.ResponseWriter, r *request, limit int64) *bodyReader {
	b := &bodyReader{body: http.MaxBytesReader(w, r.Body, limit), control: http.NewResponseController(w), timeout: s.opts.BodyTimeout, limit: limit}
	b.extend()
	return b
}

// extend moves the deadline. A connection that can't have one, as in a test, has
// no slow client.
func (b *bodyReader) extend() {
	b.unpaid = 0
	_ = b.control.SetReadDeadline(time.Now().Add(b.timeout))
}

// Read implements io.Reader. Its errors are the client's to mend.
func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if b.unpaid += int64(n); b.unpaid >= progressBytes {
		b.extend()
	}
	if err == io.EOF {
		_ = b.control.SetReadDeadline(time.Time{}) // what follows is the server's time
	}
	return n, b.err(err)
}

func (b *bodyReader) err(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil || err == io.EOF:
		return err
	case errors.As(err, &tooLarge):
		return &annals.Error{
			Code: annals.CodeTooLarge, Message: fmt.Sprintf("the body is larger than %d bytes", b.limit), Hint: "send it in parts",
		}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &annals.Error{
			Code: annals.CodeTimeout, Err: err, Message: fmt.Sprintf("%d bytes of the body, or its end, did not come within %v", progressBytes, b.timeout),
			Hint: "send it again",
		}
	}
	return &annals.Error{Code: annals.CodeInvalid, Err: err, Message: "the body ended early or is malformed", Hint: "send it again as a whole"}
}

func (s *server) read(w http.ResponseWriter, r *request, limit int64) ([]byte, error) {
	return io.ReadAll(s.newBody(w, r, limit))
}
