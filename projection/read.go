package projection

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/projection/fold"
	"github.com/eb901187/annals/view"
)

// ReadOptions changes how documents are read; nil means the live generation as it
// is now.
type ReadOptions struct {
	// Wait is a position that the answer must reflect: the read waits for it until
	// its context ends. With the position of a commit, one reads one's own writes.
	Wait int64
	// Generation is another generation than the live one; 0 is the live one.
	Generation int
}

// A Snapshot says what an answer reflects.
type Snapshot struct {
	Generation int
	// Position is that of the last event that the answer is sure to reflect.
	Position int64
}

// Get returns the document of a projection under key.
// Errors: annals.ErrNotFound where there is none.
func (s *Set) Get(ctx context.Context, name, key string, opts *ReadOptions) (view.Document, Snapshot, error) {
	if err := view.CheckKey(key); err != nil {
		return view.Document{}, Snapshot{}, err
	}
	space, at, err := s.reading(ctx, name, opts)
	if err != nil {
		return view.Document{}, at, err
	}
	found, err := s.views.Get(ctx, space, key)
	if err != nil {
		return view.Document{}, at, err
	}
	doc, ok := found[key]
	if !ok {
		return doc, at, &annals.Error{
			Code: annals.CodeNotFound, Message: fmt.Sprintf("projection %s has no document %q at position %d", name, key, at.Position),
			Hint: "annals view " + name + " lists its documents; wait for the position of an append to see what it made",
		}
	}
	return doc, at, nil
}

// Scan reads the documents of a projection by key.
func (s *Set) Scan(ctx context.Context, name string, r view.Range, opts *ReadOptions) (iter.Seq2[view.Document, error], Snapshot, error) {
	space, at, err := s.reading(ctx, name, opts)
	if err != nil {
		return nil, at, err
	}
	return s.views.Scan(ctx, space, r), at, nil
}

// reading finds the space to read, and waits until it reflects what is asked for.
// The position is taken before the documents are read.
func (s *Set) reading(ctx context.Context, name string, opts *ReadOptions) (space string, at Snapshot, err error) {
	var o ReadOptions
	if opts != nil {
		o = *opts
	}
	g, err := s.existing(ctx, name)
	if err != nil {
		return "", at, err
	}
	s.mu.Lock()
	p := s.projections[name]
	s.mu.Unlock()
	if p != nil && p.sql != nil {
		return "", at, annals.Invalid("projection", "%s keeps tables, not documents: read them with SQL", name)
	}
	if at.Generation = o.Generation; at.Generation == 0 {
		at.Generation = g.Live
	}
	if g.find(at.Generation) == nil {
		return "", at, &annals.Error{Code: annals.CodeNotFound, Message: fmt.Sprintf("projection %s has no generation %d", name, at.Generation), Hint: "annals projection show " + name}
	}
	at.Position, err = s.waitFor(ctx, name, at.Generation, o.Wait)
	return generationName(name, at.Generation), at, err
}

// Rules are the folds of a projection that is defined in a file, for folding one
// stream by itself.
func (s *Set) Rules(name string) (*fold.Rules, error) {
	p, err := s.defined(name)
	if err == nil && p.rules == nil {
		err = annals.Invalid("projection", "%s is Go code; only the folds of a file can be applied to a single stream", name)
	}
	if err != nil {
		return nil, err
	}
	return p.rules, nil
}

// WaitFor waits until the live view reflects every event up to position. Unlike
// reads, it works for projections into tables too.
func (s *Set) WaitFor(ctx context.Context, name string, position int64) error {
	g, err := s.existing(ctx, name)
	if err == nil {
		_, err = s.waitFor(ctx, name, g.Live, position)
	}
	return err
}

// waitFor returns how far a generation has come, once that is at least position.
func (s *Set) waitFor(ctx context.Context, name string, n int, position int64) (int64, error) {
	for {
		status, err := s.reflected(ctx, name, n, position)
		if err != nil || status >= position {
			return status, err
		}
		const poll = 100 * time.Millisecond // of what another process does
		timer := time.NewTimer(poll)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if err := ctx.Err(); err != nil {
			return status, &annals.Error{
				Code: annals.CodeTimeout, Message: fmt.Sprintf("projection %s is at position %d and did not reach %d in time", name, status, position), Err: err,
				Hint: "annals projection show " + name + " says whether it runs",
			}
		}
	}
}

// reflected is how far a generation has come; where this process works on it, it
// waits for position first.
func (s *Set) reflected(ctx context.Context, name string, n int, position int64) (int64, error) {
	if r := s.runnerOf(name, n); r != nil {
		if position > r.runner.Position() {
			select {
			case <-r.done:
				return r.runner.Position(), r.err
			default:
				// Its error is told by the caller, with the position reached.
				_ = r.runner.WaitFor(ctx, position)
			}
		}
		if at := r.runner.Position(); at >= 0 {
			return at, nil
		}
	}
	return s.control(name, n).Position(ctx)
}
