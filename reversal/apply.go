package reversal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/eb901187/annals"
)

// Apply appends what plan says, stream by stream, each at the version that it was
// planned for, and returns the commits. Applying a plan again is harmless: what is
// there already comes back as replayed.
//
// It stops at the first error, with the commits before it. After one that matches
// annals.ErrConflict, somebody has appended to the stream meanwhile: plan again
// with the same ID, see whether the change is still the one that was wanted
// (Plan.Within), and apply the new plan. After any other error, planning again
// with the same ID and target goes on with what is left.
func Apply(ctx context.Context, store *annals.Store, plan *Plan) ([]annals.Commit, error) {
	commits := make([]annals.Commit, 0, len(plan.Streams))
	for i := range plan.Streams {
		s := &plan.Streams[i]
		commit, err := store.Append(ctx, s.Stream, s.Version, s.Events...)
		if err != nil {
			return commits, plan.applyErr(i, err)
		}
		commits = append(commits, commit)
	}
	return commits, nil
}

func (p *Plan) applyErr(i int, err error) error {
	s := &p.Streams[i]
	message := fmt.Sprintf("the reversal %s stopped at stream %s, with %d of %d streams done", p.ID, s.Stream, i, len(p.Streams))
	hint := fmt.Sprintf("plan the same again with the id %s: it goes on with what is left", p.ID)
	if conflict := (*annals.ConflictError)(nil); errors.As(err, &conflict) {
		message += fmt.Sprintf(": the stream was at version %d when it was planned, and is at %d", s.Version, conflict.Actual)
		return &annals.Error{Code: annals.CodeConflict, Message: message, Hint: hint, Err: err}
	}
	return &annals.Error{Code: annals.CodeOf(err), Message: message, Hint: hint, Err: err}
}

// Within reports that p, planned later with the same ID, appends nothing but what
// earlier would have: the same events to some or all of its streams, whatever the
// versions and states of these.
func (p *Plan) Within(earlier *Plan) bool {
	was := map[string]*StreamPlan{}
	for i := range earlier.Streams {
		was[earlier.Streams[i].Stream] = &earlier.Streams[i]
	}
	for i := range p.Streams {
		s := &p.Streams[i]
		w := was[s.Stream]
		if w == nil || len(w.Events) != len(s.Events) {
			return false
		}
		for j := range s.Events {
			if !sameChange(&s.Events[j], &w.Events[j]) {
				return false
			}
		}
	}
	return true
}

func sameChange(a, b *annals.Event) bool {
	return a.ID == b.ID && a.Type == b.Type && a.Source == b.Source && a.Correlation == b.Correlation && a.Causation == b.Causation &&
		a.ContentType == b.ContentType && maps.Equal(a.Attributes, b.Attributes) && bytes.Equal(a.Data, b.Data)
}
