package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/view"
)

// ReadOptions changes how documents are read; nil means the live generation as it
// is now.
type ReadOptions struct {
	projection.ReadOptions
	// Patience is how long to wait for the position of Wait, in whole seconds up to
	// a minute; 10 s by default.
	Patience time.Duration
}

func (o *ReadOptions) values() url.Values {
	values := url.Values{}
	if o == nil {
		return values
	}
	bound(values, "wait", o.Wait, 0)
	bound(values, "generation", int64(o.Generation), 0)
	bound(values, "waitSeconds", int64(o.Patience/time.Second), 0)
	return values
}

func viewPath(name string) string { return "/v1/views/" + url.PathEscape(name) }

// Document returns a document of a projection, and what it reflects.
// Errors: annals.ErrNotFound where there is none.
func (p *Projections) Document(ctx context.Context, name, key string, opts *ReadOptions) (view.Document, projection.Snapshot, error) {
	doc, at := view.Document{Key: key}, projection.Snapshot{}
	ctx, cancel := p.driver.scope(ctx)
	defer cancel()
	answer, err := p.driver.get(ctx, p.driver.address(viewPath(name)+"/"+url.PathEscape(key), opts.values()), "application/json")
	if err != nil {
		return doc, at, err
	}
	doc.Data, err = io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return doc, at, p.driver.sendErr(ctx, err, false)
	}
	if doc.Position, at, err = reflected(answer.Header); err != nil {
		err = &annals.Error{
			Code: annals.CodeUnavailable, Err: err, Message: p.driver.base + " answered, and not as an Annals server does",
			Hint: "check the address, and any proxy in between",
		}
	}
	return doc, at, err
}

// reflected reads from the headers of a document its position, and what the answer
// reflects.
func reflected(h http.Header) (position int64, at projection.Snapshot, err error) {
	at.Position, err = strconv.ParseInt(h.Get(httpapi.PositionHeader), 10, 64)
	generation, errToo := strconv.Atoi(h.Get(httpapi.GenerationHeader))
	at.Generation = generation
	position, errThree := httpapi.DocumentPosition(h.Get("ETag"))
	return position, at, errors.Join(err, errToo, errThree)
}

// Documents returns a page of a projection's documents, whose Next is the key to
// go on behind. The Limit of span is that of the page, 0 the server's own.
func (p *Projections) Documents(ctx context.Context, name string, span view.Range, opts *ReadOptions) (page httpapi.Documents, err error) {
	values := opts.values()
	for parameter, text := range map[string]string{"prefix": span.Prefix, "after": span.After} {
		if text != "" {
			values.Set(parameter, text)
		}
	}
	bound(values, "limit", int64(span.Limit), 0)
	return page, p.driver.call(ctx, http.MethodGet, viewPath(name), values, nil, &page)
}

// State returns the state of a stream as of a version or a time; with neither, as
// it is. name is the projection of a file that folds it, or empty to merge the
// events' data.
func (p *Projections) State(ctx context.Context, stream string, version int64, at time.Time, name string) (state httpapi.State, err error) {
	values := url.Values{}
	bound(values, "atVersion", version, 0)
	if !at.IsZero() {
		values.Set("atTime", at.UTC().Format(time.RFC3339Nano))
	}
	if name != "" {
		values.Set("projection", name)
	}
	return state, p.driver.call(ctx, http.MethodGet, "/v1/streams/"+url.PathEscape(stream)+"/state", values, nil, &state)
}
