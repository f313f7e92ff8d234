package playback

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/eb901187/annals"
)

// MaxRunning is how many playbacks a Runner works on at once.
const MaxRunning = 16

// A Runner works on playbacks of one store in the background of a process, such as a
// server. It is safe for concurrent use.
type Runner struct {
	store  *annals.Store
	opts   Options
	logger *slog.Logger

	mu      sync.Mutex
	closed  bool
	begun   int             // what is being started or resumed
	running map[string]*job // by id
	workers sync.WaitGroup
}

// A job is a Run that is under way.
type job struct{ cancel context.CancelFunc }

// NewRunner makes a Runner that works with opts, and reports to logger what fails; nil is
// slog.Default. Close it before the store.
func NewRunner(store *annals.Store, opts *Options, logger *slog.Logger) *Runner {
	if logger == nil {
		logger = slog.Default()
	}
	return &Runner{store: store, opts: *opts.complete(), logger: logger, running: map[string]*job{}}
}

// Start is Start with id and rate, and Run in the background. Errors: also
// annals.ErrUnavailable where MaxRunning playbacks run here.
func (r *Runner) Start(ctx context.Context, selection Selection, target Target, id string, rate float64) (Playback, error) {
	return r.begin(func(opts *Options) (*Run, error) {
		opts.ID, opts.Rate = id, rate
		return Start(ctx, r.store, selection, target, opts)
	})
}

// Resume is Resume, and Run in the background. Errors: also annals.ErrUnavailable where
// MaxRunning playbacks run here.
func (r *Runner) Resume(ctx context.Context, id string, target Target) (Playback, error) {
	return r.begin(func(opts *Options) (*Run, error) { return Resume(ctx, r.store, id, target, opts) })
}

// Stop is Stop, and ends at once what runs here.
func (r *Runner) Stop(ctx context.Context, id, reason string) (Playback, error) {
	p, err := Stop(ctx, r.store, id, reason, &r.opts)
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if job := r.running[id]; job != nil {
			job.cancel()
			delete(r.running, id)
		}
	}
	return p, err
}

// Close records what runs here as stopped, for Resume, and returns when nothing uses the
// store any more.
func (r *Runner) Close() {
	r.mu.Lock()
	r.closed = true
	for _, job := range r.running {
		job.cancel()
	}
	r.mu.Unlock()
	r.workers.Wait()
}

func (r *Runner) begin(begin func(*Options) (*Run, error)) (Playback, error) {
	// What is begun here counts, so that Close waits for it.
	if err := r.enter(); err != nil {
		return Playback{}, err
	}
	opts := r.opts
	run, err := begin(&opts)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun--
	if err != nil {
		r.workers.Done()
		return Playback{}, err
	}
	p := run.Playback()
	ctx, cancel := context.WithCancel(context.Background())
	mine := &job{cancel}
	if before := r.running[p.ID]; before != nil {
		before.cancel() // it was resumed, and so has lost it
	}
	r.running[p.ID] = mine
	if r.closed {
		cancel()
	}
	go func() {
		defer r.workers.Done()
		defer cancel()
		_, err := run.Run(ctx)
		if err != nil && ctx.Err() == nil && !errors.Is(err, ErrNotOwner) {
			r.logger.Error("a playback failed", "playback", p.ID, "error", err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.running[p.ID] == mine {
			delete(r.running, p.ID)
		}
	}()
	return p, nil
}

func (r *Runner) enter() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return annals.ErrClosed
	case len(r.running)+r.begun >= MaxRunning:
		return &annals.Error{
			Code: annals.CodeUnavailable, Message: fmt.Sprintf("%d playbacks run here already", len(r.running)+r.begun),
			Hint: "wait until one has finished, or stop one",
		}
	}
	r.begun++
	r.workers.Add(1)
	return nil
}
