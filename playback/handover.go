package playback

import (
	"context"
	"errors"

	"github.com/eb901187/annals"
)

// ErrHandOver is for processes that end before a playback does and have another one go
// on at once. Where it is the cause that ends the context of Run.Run, the playback stays
// recorded as running, at the place that it has come to, and Run returns ErrHandOver.
// Continue goes on.
var ErrHandOver = errors.New("the playback is to be continued by another process")

// Continue is Resume for the process to which the Runner called after has handed a
// playback over, or has left it by a crash. It takes nothing away from anybody else: the
// error is ErrNotOwner where the playback does not run any more, or where the last to
// record was neither that Runner nor Options.Runner itself, by an earlier Continue.
func Continue(ctx context.Context, store *annals.Store, id, after string, target Target, opts *Options) (*Run, error) {
	return takeOver(ctx, store, id, target, opts, func(r *Run) error {
		running := r.p.State == StateRunning || r.p.State == StateInterrupted
		if running && (r.p.Runner == after || r.p.Runner == r.opts.Runner) {
			return nil
		}
		return r.p.lost()
	})
}
