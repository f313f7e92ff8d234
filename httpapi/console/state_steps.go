package console

import (
	"iter"
	"time"

	"github.com/eb901187/annals"
)

// stateSteps reads a stream once for the two states that a page compares: the last
// event is held back from the fold of those before it.
type stateSteps struct {
	opts  annals.StreamOptions
	until time.Time     // no event that is later, nor any behind one; zero for no bound
	last  *annals.Event // once before was read to its end; nil where there is no event
}

// before yields the events but for the last one.
func (s *stateSteps) before(events iter.Seq2[annals.Event, error]) iter.Seq2[annals.Event, error] {
	return func(yield func(annals.Event, error) bool) {
		for e, err := range events {
			if err != nil {
				yield(annals.Event{}, err)
				return
			}
			if !s.until.IsZero() && e.Time.After(s.until) {
				return
			}
			if s.last != nil && !yield(*s.last, nil) {
				return
			}
			s.last = &e
		}
	}
}
