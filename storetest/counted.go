package storetest

import (
	"context"
	"iter"
	"sync/atomic"

	"github.com/eb901187/annals"
)

// A Counted driver counts what is read from it, and fails reads for as long as it is
// told to. It is safe for concurrent use.
type Counted struct {
	annals.Driver

	read    atomic.Int64
	failure atomic.Pointer[error]
}

// Read is how many events of streams and of the log were read, and how many streams were
// listed.
func (c *Counted) Read() int64 { return c.read.Load() }

// FailReads lets every read of a stream, of the log, of its end and of the list of
// streams fail with err; nil ends that.
func (c *Counted) FailReads(err error) {
	if err == nil {
		c.failure.Store(nil)
		return
	}
	c.failure.Store(&err)
}

// Stream implements annals.Driver.
func (c *Counted) Stream(ctx context.Context, stream string, from, to int64, backward bool) iter.Seq2[annals.Event, error] {
	return counted(c, c.Driver.Stream(ctx, stream, from, to, backward))
}

// Log implements annals.Driver.
func (c *Counted) Log(ctx context.Context, q annals.Query) iter.Seq2[annals.Event, error] {
	return counted(c, c.Driver.Log(ctx, q))
}

// Streams implements annals.StreamLister for a driver that does.
func (c *Counted) Streams(ctx context.Context, q annals.StreamsQuery) iter.Seq2[annals.StreamInfo, error] {
	lister, is := c.Driver.(annals.StreamLister)
	if !is {
		return func(yield func(annals.StreamInfo, error) bool) { yield(annals.StreamInfo{}, annals.ErrNotFound) }
	}
	return counted(c, lister.Streams(ctx, q))
}

// End implements annals.Driver.
func (c *Counted) End(ctx context.Context, after int64) (int64, error) {
	if failure := c.failure.Load(); failure != nil {
		return 0, *failure
	}
	return c.Driver.End(ctx, after)
}

func counted[T any](c *Counted, all iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if failure := c.failure.Load(); failure != nil {
			var none T
			yield(none, *failure)
			return
		}
		for v, err := range all {
			if err == nil {
				c.read.Add(1)
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

// AsDriver makes a Driver of an opened store, so that another store can be opened over
// it: one with another name, or with a Counted driver between the two.
type AsDriver struct{ *annals.Store }

// Append implements annals.Driver.
func (a AsDriver) Append(ctx context.Context, stream string, expected int64, events []annals.Event) (annals.Commit, error) {
	return a.Store.Append(ctx, stream, expected, events...)
}

// Stream implements annals.Driver.
func (a AsDriver) Stream(ctx context.Context, stream string, from, to int64, backward bool) iter.Seq2[annals.Event, error] {
	return a.Store.Stream(ctx, stream, &annals.StreamOptions{From: from, To: to, Backward: backward})
}

// End implements annals.Driver.
func (a AsDriver) End(ctx context.Context, after int64) (int64, error) {
	if after < 0 {
		return a.Store.End(ctx)
	}
	return a.WaitPast(ctx, after)
}
