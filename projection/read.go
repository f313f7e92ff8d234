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
	at, tables, err := s.waitFor(ctx, name, o.Generation, o.Wait)
	if err == nil && tables {
		err = annals.Invalid("projection", "%s keeps tables, not documents: read them with SQL", name)
	}
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
	_, _, err := s.waitFor(ctx, name, 0, position)
	return err
}

// waitFor says how far a generation has come, the live one for 0, once that is at
// least position. Which one is live is asked again and again, so that a wait
// survives a switch.
func (s *Set) waitFor(ctx context.Context, name string, number int, position int64) (at Snapshot, tables bool, err error) {
	for {
		g, err := s.existing(ctx, name)
		if err != nil {
			return at, false, err
		}
		if at.Generation = number; number == 0 {
			at.Generation = g.Live
		}
		of := g.find(at.Generation)
		if of == nil {
			return at, false, noGeneration(name, at.Generation)
		}
		reflected, err := s.reflected(ctx, name, at.Generation, position)
		if err == nil {
			at.Position = reflected
		}
		if err == nil && reflected >= position || err != nil && ctx.Err() == nil {
			return at, len(of.Tables) > 0, err
		}
		if err := ctx.Err(); err != nil {
			return at, false, &annals.Error{
				Code: annals.CodeTimeout, Message: fmt.Sprintf("projection %s is at position %d and did not reach %d in time", name, at.Position, position), Err: err,
				Hint: "annals projection show " + name + " says whether it runs",
			}
		}
	}
}

// reflected says how far a generation has come. If that is not yet position it
// waits for a while: where this process works on it, until it is there.
func (s *Set) reflected(ctx context.Context, name string, n int, position int64) (int64, error) {
	const poll = 100 * time.Millisecond // of what another process does, and for switches
	waiting, cancel := context.WithTimeout(ctx, poll)
	defer cancel()
	if r := s.runnerOf(name, n); r != nil && !r.finished() {
		// Whether it came so far is asked next.
		_ = r.runner.WaitFor(waiting, position)
		if at := r.runner.Position(); at >= 0 {
			return at, nil
		}
	}
	at, err := s.control(name, n).Position(ctx)
	if err == nil && at < position {
		<-waiting.Done()
	}
	return at, err
}
