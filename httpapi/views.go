package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/view"
)

// Headers of a document.
const (
	// PositionHeader is the position of the last event that the answer is sure to
	// reflect.
	PositionHeader = "Annals-Position"
	// GenerationHeader is the generation that it comes from.
	GenerationHeader = "Annals-Generation"
)

// A Document is one document of a page.
type Document struct {
	Key      string          `json:"key"`
	Position int64           `json:"position,string"` // of the last event folded into it
	Document json.RawMessage `json:"document"`
}

// Documents is a page of a projection's documents.
type Documents struct {
	Projection string     `json:"projection"`
	Generation int        `json:"generation"`
	Position   int64      `json:"position,string"` // of the last event that the page is sure to reflect
	Documents  []Document `json:"documents"`
	Next       string     `json:"next,omitempty"` // the page behind this one is after this key; absent at the end
}

// Limits of pages.
const (
	defaultPage = 100
	maxPage     = 1000
	pageBytes   = 4 << 20
)

// Limits of waiting for a position, in seconds.
const (
	defaultWait = 10
	maxWait     = 60
)

// withProjections is the handler of what needs projections.
func withProjections(handle func(s *server, set *projection.Set, w http.ResponseWriter, r *request) error) func(*server, http.ResponseWriter, *request) error {
	return func(s *server, w http.ResponseWriter, r *request) error {
		if s.opts.Projections == nil {
			return noProjections()
		}
		return handle(s, s.opts.Projections, w, r)
	}
}

func noProjections() error {
	return &annals.Error{Code: annals.CodeNotFound, Message: "this server keeps no projections", Hint: "start annals serve with --projections DIR or --state"}
}

// limit is how long a page may be.
func (a *args) limit() int {
	if n := a.small("limit", maxPage); n > 0 {
		return n
	}
	return defaultPage
}

// A reading is what a read of a view asks for.
type reading struct {
	opts projection.ReadOptions
	wait time.Duration
}

func (a *args) reading() reading {
	r := reading{projection.ReadOptions{Wait: a.number("wait"), Generation: a.small("generation", math.MaxInt32)}, defaultWait * time.Second}
	if seconds := a.small("waitSeconds", maxWait); seconds > 0 {
		r.wait = time.Duration(seconds) * time.Second
	}
	return r
}

// limited is a context that ends when the read has waited long enough.
func (s *server) limited(r *request, reading reading) (context.Context, context.CancelFunc) {
	open, ended := s.untilEnding(r)
	ctx, cancel := context.WithTimeout(open, reading.wait)
	return ctx, func() { cancel(); ended() }
}

func (s *server) document(set *projection.Set, w http.ResponseWriter, r *request) error {
	a := args{r: r}
	reading := a.reading()
	if err := a.err(); err != nil {
		return err
	}
	ctx, cancel := s.limited(r, reading)
	defer cancel()
	doc, at, err := set.Get(ctx, r.vars[0], r.vars[1], &reading.opts)
	if err != nil {
		return err
	}
	tag := documentTag(at.Generation, &doc)
	h := w.Header()
	h.Set("ETag", tag)
	h.Set("Cache-Control", "no-cache")
	h.Set(PositionHeader, number(at.Position))
	h.Set(GenerationHeader, strconv.Itoa(at.Generation))
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", mediaJSON)
	h.Set("Content-Length", strconv.Itoa(len(doc.Data)))
	_, err = w.Write(doc.Data)
	return err
}

// documentTag names a document's content: the generation, the last event folded
// into it, and a hash, as a projection that was deleted counts generations anew.
func documentTag(generation int, doc *view.Document) string {
	hash := fnv.New64a()
	_, _ = hash.Write(doc.Data) // never fails
	return fmt.Sprintf(`"%d-%d-%016x"`, generation, doc.Position, hash.Sum64())
}

// DocumentPosition is the position of the last event folded into a document, as
// its ETag says it.
func DocumentPosition(tag string) (int64, error) {
	_, rest, _ := strings.Cut(strings.Trim(tag, `"`), "-")
	position, _, _ := strings.Cut(rest, "-")
	n, err := strconv.ParseInt(position, 10, 64)
	if err != nil {
		return 0, &annals.Error{Code: annals.CodeInvalid, Message: "the ETag " + strconv.Quote(tag) + " is not that of a document", Err: err, Hint: "check any proxy in between"}
	}
	return n, nil
}

func (s *server) documents(set *projection.Set, w http.ResponseWriter, r *request) error {
	a := args{r: r}
	reading, limit := a.reading(), a.limit()
	span := view.Range{Prefix: a.text("prefix"), After: a.text("after"), Limit: limit + 1}
	if err := a.err(); err != nil {
		return err
	}
	ctx, cancel := s.limited(r, reading)
	defer cancel()
	found, at, err := set.Scan(ctx, r.vars[0], span, &reading.opts)
	if err != nil {
		return err
	}
	page := Documents{Projection: r.vars[0], Generation: at.Generation, Position: at.Position, Documents: []Document{}}
	size := 0
	for doc, err := range found {
		if err != nil {
			return err
		}
		if n := len(page.Documents); n == limit || n > 0 && size+len(doc.Data) > pageBytes {
			page.Next = page.Documents[n-1].Key
			break
		}
		page.Documents = append(page.Documents, Document{doc.Key, doc.Position, doc.Data})
		size += len(doc.Data)
	}
	writeJSON(w, http.StatusOK, mediaJSON, page)
	return nil
}
