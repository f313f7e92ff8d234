package playback

import (
	"context"
	"iter"
	"time"

	"golang.org/x/time/rate"

	"github.com/eb901187/annals"
)

// Subscribe yields the events of a playback behind the position after, 0 for the start,
// marked, in order, up to the playback's end. It needs no Run and waits for none: it
// reads the source by the recorded selection, so that every subscriber gets the same,
// whenever it comes. The playback's rate holds for each. The sequence ends after its
// first error.
func Subscribe(ctx context.Context, store *annals.Store, id string, after int64, opts *Options) iter.Seq2[annals.Event, error] {
	return func(yield func(annals.Event, error) bool) {
		p, err := Show(ctx, store, id, opts)
		if err != nil {
			yield(annals.Event{}, err)
			return
		}
		r := newRun(store, nil, opts)
		r.p = p
		if p.Rate > 0 {
			r.limit = rate.NewLimiter(rate.Limit(p.Rate), burst(p.Rate))
		}
		for part, err := range r.parts(ctx, max(after, p.Selection.From-1, 0)) {
			if err != nil {
				yield(annals.Event{}, err)
				return
			}
			for _, e := range part.events {
				if err := r.wait(ctx); err != nil {
					yield(annals.Event{}, err)
					return
				}
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// wait waits until a subscriber may be given one more event.
func (r *Run) wait(ctx context.Context) error {
	if r.limit == nil {
		return ctx.Err()
	}
	now := r.opts.Clock()
	for left := r.limit.ReserveN(now, 1).DelayFrom(now); left > 0 && ctx.Err() == nil; left -= time.Second {
		r.opts.Sleep(ctx, min(left, time.Second))
	}
	return ctx.Err()
}
