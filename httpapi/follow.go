package httpapi

import (
	"context"
	"math"
	"time"

	"github.com/eb901187/annals"
)

// After a flush a follower waits for its next events for followShare for each other
// one that follows, and at most for followPace, so that what arrives meanwhile is
// read and written together. One that follows alone waits for nothing; a thousand
// have 50 events in each flush at 500 events a second, which takes a third of the
// processor time of one event in each.
const (
	followShare = 100 * time.Microsecond
	followPace  = 100 * time.Millisecond
)

// followLog writes the events of the log, and then new ones as they come, until ctx
// ends, the query's end, or an error. Where many follow, events may come up to
// followPace late.
func (s *server) followLog(ctx context.Context, o *eventWriter, q annals.Query) error {
	s.following.Add(1)
	defer s.following.Add(-1)
	check := q
	check.After, check.Until = math.MaxInt64, 0
	for _, err := range s.store.Log(ctx, check) { // a query that is refused begins no answer
		if err != nil {
			return err
		}
	}
	stop, err := o.beating()
	if err != nil {
		return err
	}
	defer stop()
	last, limit := q.After, q.Limit
	for q.Until == 0 || last < q.Until {
		end, err := s.store.WaitPast(ctx, last)
		if err != nil {
			return unlessGone(ctx, err)
		}
		next := q
		if next.After, next.Limit = last, limit; q.Until == 0 || end < q.Until {
			next.Until = end
		}
		n, err := o.together(s.store.Log(ctx, next))
		if err != nil {
			return unlessGone(ctx, err)
		}
		if limit > 0 {
			if limit -= n; limit == 0 {
				return nil
			}
		}
		last = next.Until
		select {
		case <-time.After(min(time.Duration(s.following.Load()-1)*followShare, followPace)):
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// unlessGone is err, but for that of a client that is gone or a server that ends.
func unlessGone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
