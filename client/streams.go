package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/httpapi"
)

// streamsPage is the most streams that a server lists at once.
const streamsPage = 1000

// Streams implements annals.StreamLister, for servers whose store is one.
func (d *driver) Streams(ctx context.Context, q annals.StreamsQuery) iter.Seq2[annals.StreamInfo, error] {
	return func(yield func(annals.StreamInfo, error) bool) {
		for left := q.Limit; ; {
			page, err := d.streams(ctx, q, left)
			if err != nil {
				yield(annals.StreamInfo{}, err)
				return
			}
			for _, s := range page.Streams {
				if err := d.ended(ctx); err != nil {
					yield(annals.StreamInfo{}, err)
					return
				}
				if !yield(annals.StreamInfo{Name: s.Stream, Version: s.Version}, nil) {
					return
				}
			}
			left -= len(page.Streams)
			if page.Next == "" || q.Limit > 0 && left <= 0 {
				return
			}
			q.After = page.Next
		}
	}
}

// ended is why nothing more is to be read, if that is so.
func (d *driver) ended(ctx context.Context) error {
	if d.ctx.Err() != nil {
		return annals.ErrClosed
	}
	return ctx.Err()
}

func (d *driver) streams(ctx context.Context, q annals.StreamsQuery, left int) (page httpapi.Streams, err error) {
	limit := streamsPage
	if q.Limit > 0 {
		limit = min(limit, left)
	}
	values := url.Values{}
	for name, text := range map[string]string{"prefix": q.Prefix, "after": q.After} {
		if text != "" {
			values.Set(name, text)
		}
	}
	bound(values, "limit", int64(limit), 0)
	return page, d.call(ctx, http.MethodGet, "/v1/streams", values, nil, &page)
}
