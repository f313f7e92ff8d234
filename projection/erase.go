package projection

import (
	"context"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/view"
)

// Query says which events the projection called name folds, by its definition here; ok
// is false where there is none.
func (s *Set) Query(name string) (q annals.Query, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.current[name]
	if p == nil {
		return annals.Query{}, false
	}
	return p.query, true
}

// EraseTurn waits until no other erasure changes the generations, as they would delete
// one another's, and keeps others waiting until done is called. Other processes are not
// kept. Error: that of ctx.
func (s *Set) EraseTurn(ctx context.Context) (done func(), err error) {
	select {
	case s.erasing <- struct{}{}:
		return func() { <-s.erasing }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Forget removes from the views what operators and failures left about the events at
// positions beside the documents: see consumer.Forget. It returns how many entries were
// changed.
func (s *Set) Forget(ctx context.Context, positions map[int64]bool) (int, error) {
	return consumer.Forget(ctx, s.views, positions)
}

// Scrub frees the files of the views of what was deleted, where view.Scrubber can; see
// there. It reports whether it can.
func (s *Set) Scrub(ctx context.Context) (bool, error) {
	scrubber, ok := s.views.(view.Scrubber)
	if !ok {
		return false, nil
	}
	return true, scrubber.Scrub(ctx)
}
