package httpapi

import (
	"bytes"
	"cmp"
	"fmt"
	"iter"
	"net/http"
	"slices"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/ingest"
)

// ingestResult is what became of one message.
type ingestResult struct {
	Number   int           `json:"number"`
	Status   ingest.Status `json:"status"`
	ID       string        `json:"id,omitempty"`
	Stream   string        `json:"stream,omitempty"`
	Version  string        `json:"version,omitempty"`
	Position string        `json:"position,omitempty"`
	Error    *Problem      `json:"error,omitempty"`

	err error
}

// ingested is the answer to an ingest.
type ingested struct {
	Stored   int64          `json:"stored"`
	Replayed int64          `json:"replayed"`
	Refused  int64          `json:"refused"`
	Results  []ingestResult `json:"results"`
}

// A refusedIngest is an ingest that stored nothing, or was broken off.
type refusedIngest struct {
	error
	results []ingestResult
}

func (e *refusedIngest) Unwrap() error { return e.error }

func (s *server) ingest(w http.ResponseWriter, r *request) error {
	items, err := s.items(w, r)
	if err != nil {
		return err
	}
	items = s.openable(appendableBy(access.From(r.Context()), items))
	if s.opts.Accept != nil {
		return s.accept(w, r, items)
	}
	results := []ingestResult{}
	runner := ingest.Runner{Store: s.store, Each: func(result ingest.Result) {
		results = append(results, newIngestResult(result))
		if result.Status == ingest.Stored {
			s.stats.stored.Inc()
		}
	}}
	summary, err := runner.Run(r.Context(), items)
	slices.SortFunc(results, func(a, b ingestResult) int { return cmp.Compare(a.Number, b.Number) })
	switch {
	case err != nil:
		return &refusedIngest{err, results}
	case summary.Total() == 0:
		return annals.Invalid("body", "holds no message")
	case summary.Refused == summary.Total():
		return &refusedIngest{results[0].err, results}
	}
	writeJSON(w, http.StatusOK, mediaJSON, ingested{summary.Stored, summary.Replayed, summary.Refused, results})
	return nil
}

// items reads the messages of the body as they come.
func (s *server) items(w http.ResponseWriter, r *request) (iter.Seq2[ingest.Item, error], error) {
	attributes, err := binaryAttributes(r.Header)
	if err != nil {
		return nil, err
	}
	if attributes == nil {
		if _, err := r.media(); err != nil {
			return nil, err
		}
		return atMost(MaxIngestMessages, ingest.Items(s.newBody(w, r, MaxIngestBytes))), nil
	}
	if err := r.plainBody(); err != nil {
		return nil, err
	}
	body, err := s.read(w, r, MaxAppendBytes)
	if err != nil {
		return nil, err
	}
	m, err := ingest.DecodeBinary(attributes, r.Header.Get("Content-Type"), body, "")
	if err != nil {
		return nil, err
	}
	m.Event.Stream = m.Stream
	structured := m.Event.AppendJSON(nil, true)
	return ingest.Items(bytes.NewReader(structured)), nil
}

// atMost ends items in an error behind the first n.
func atMost(n int, items iter.Seq2[ingest.Item, error]) iter.Seq2[ingest.Item, error] {
	return func(yield func(ingest.Item, error) bool) {
		left := n
		for item, err := range items {
			if left == 0 && err == nil {
				err = &annals.Error{
					Code: annals.CodeTooLarge, Message: fmt.Sprintf("the request holds more than %d messages", n),
					Hint: "send the rest in another request; sending messages with ids again stores nothing twice",
				}
			}
			if left--; !yield(item, err) || err != nil {
				return
			}
		}
	}
}

func newIngestResult(result ingest.Result) ingestResult {
	out := ingestResult{Number: result.Number, Status: result.Status, ID: result.ID, err: result.Err}
	if result.Err != nil {
		p := NewProblem(result.Err)
		out.Error = &p
		return out
	}
	c := result.Commit
	out.Stream, out.Version, out.Position = c.Stream, number(c.Version), number(c.Position)
	return out
}
