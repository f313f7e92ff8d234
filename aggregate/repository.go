package aggregate

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math"
	"time"

	"github.com/eb901187/annals"
)

// A Repository keeps the aggregates of one Type in a store. It holds no state of
// its own and is safe for concurrent use, also beside other programs.
type Repository[S, E any] struct {
	store *annals.Store
	typ   *Type[S, E]
	opts  RepositoryOptions
}

// RepositoryOptions changes how a Repository works; nil means the defaults.
type RepositoryOptions struct {
	// Attempts is how often Execute decides before it gives up on a stream that
	// others keep appending to; 5 by default.
	Attempts int
	// SnapshotFailed is told of snapshots that could not be written or read, which
	// make loads slower and nothing else; slog.Default is by default. It is called
	// before Execute or Load returns, and may be called by several at once.
	SnapshotFailed func(ctx context.Context, stream string, err error)
}

// NewRepository makes a Repository over store.
func NewRepository[S, E any](store *annals.Store, t *Type[S, E], opts *RepositoryOptions) *Repository[S, E] {
	r := &Repository[S, E]{store: store, typ: t}
	if opts != nil {
		r.opts = *opts
	}
	if r.opts.Attempts <= 0 {
		r.opts.Attempts = 5
	}
	if r.opts.SnapshotFailed == nil {
		r.opts.SnapshotFailed = func(ctx context.Context, stream string, err error) {
			slog.WarnContext(ctx, "a snapshot failed; loads read more events until the next one", "stream", stream, "error", err)
		}
	}
	return r
}

// CommandOptions are what a command has beside its decision; nil means none of
// it.
type CommandOptions struct {
	// IdempotencyKey makes the command harmless to repeat: up to MaxKeyBytes of
	// printable UTF-8, unique among the commands of its aggregate. Another command
	// with the same key is not executed, but answered as that one was.
	IdempotencyKey string
	// Correlation, Causation, Source and Time are those of annals.Event, for each
	// event of the command.
	Correlation string
	Causation   string
	Source      string
	Time        time.Time
	// Attributes are further attributes of each event.
	Attributes map[string]string
}

// A Result is what a command led to.
type Result[S any] struct {
	// State is that of the aggregate right after the command's events.
	State S
	// Commit is what was appended; Store.Wait takes it. Of a command without
	// events it says where the stream was, with Count 0. Replayed says that the
	// command had been executed before under its key: this is its result of then.
	annals.Commit
}

// Execute loads the aggregate, calls decide with its state, and appends the
// events that decide returns, if no others came in between: else it reads those
// and decides again. decide must not change the state. It may be called up to
// RepositoryOptions.Attempts times, and not at all for a command whose key is
// stored already.
//
// Nothing is appended where decide returns an error, which Execute returns as it
// is, or no events. Other errors: *annals.ConflictError after the last attempt;
// annals.ErrUnknownOutcome, where the same command with the same key may safely
// be executed again, and without a key must not be; those of Load and of
// annals.Store.Append. After any of these but ErrUnknownOutcome, nothing was
// appended.
func (r *Repository[S, E]) Execute(ctx context.Context, id string, decide func(S) ([]E, error), opts *CommandOptions) (Result[S], error) {
	c := command[S, E]{Repository: r, decide: decide}
	if opts != nil {
		c.opts = *opts
	}
	stream, err := r.typ.Stream(id)
	if err == nil {
		err = c.check()
	}
	if err != nil {
		return Result[S]{}, err
	}
	c.key = key(c.opts.IdempotencyKey)
	at, err := r.load(ctx, stream, math.MaxInt64, c.key)
	if err == nil {
		err = r.ask(ctx, at, c.key)
	}
	for attempt := 1; err == nil; attempt++ {
		if at.keyed > 0 {
			return r.replay(ctx, stream, c.key, at.keyed)
		}
		result, again, failed := c.try(ctx, at)
		if !again || attempt == r.opts.Attempts {
			return result, failed
		}
		err = r.read(ctx, at, math.MaxInt64, c.key)
	}
	return Result[S]{}, err
}

// A command is one call of Execute.
type command[S, E any] struct {
	*Repository[S, E]
	decide func(S) ([]E, error)
	opts   CommandOptions
	key    key
}

func (c *command[S, E]) check() error {
	if c.decide == nil {
		return annals.Invalid("decide", "must not be nil")
	}
	if _, taken := c.opts.Attributes[VersionAttribute]; taken {
		return annals.Invalid("attributes", "must not have %s, which says how the data is stored", VersionAttribute)
	}
	return checkKey(c.opts.IdempotencyKey)
}

// try decides once. again says that others were faster.
func (c *command[S, E]) try(ctx context.Context, at *loaded[S]) (result Result[S], again bool, err error) {
	decided, err := c.decide(at.state)
	if err != nil {
		return result, false, err
	}
	if len(decided) == 0 {
		return Result[S]{at.state, annals.Commit{Stream: at.stream, Version: at.version, Position: at.position}}, false, nil
	}
	events, read, err := c.events(decided)
	if err != nil {
		return result, false, err
	}
	commit, err := c.store.Append(ctx, at.stream, at.version, events...)
	var duplicate *annals.DuplicateError
	switch {
	case errors.Is(err, annals.ErrConflict):
		return result, true, err
	case errors.As(err, &duplicate):
		// The same command was faster elsewhere, and decided otherwise.
		if i := c.key.index(duplicate.ID); i >= 0 {
			result, err = c.replay(ctx, at.stream, c.key, duplicate.Version-int64(i))
		}
		return result, false, err
	case err != nil:
		return result, false, err
	}
	// Without a key nobody can have executed this command before: what was found
	// stored is this call's own append, whose answer was lost.
	commit.Replayed = commit.Replayed && c.key != ""
	at.state = c.typ.Evolve(at.state, read...)
	at.version, at.position = commit.Version, commit.Position
	for i := range events {
		at.subjects.add(&events[i])
	}
	c.snapshot(ctx, at)
	return Result[S]{at.state, commit}, false, nil
}

// events encodes what was decided, and returns it also as it will be read.
func (c *command[S, E]) events(decided []E) ([]annals.Event, []E, error) {
	events, read := make([]annals.Event, len(decided)), make([]E, len(decided))
	for i, d := range decided {
		e, as, err := c.typ.schema.encode(d)
		if err != nil {
			return nil, nil, err
		}
		if len(c.opts.Attributes) > 0 {
			attributes := maps.Clone(c.opts.Attributes)
			maps.Copy(attributes, e.Attributes)
			e.Attributes = attributes
		}
		e.ID = c.key.id(i)
		e.Correlation, e.Causation, e.Source, e.Time = c.opts.Correlation, c.opts.Causation, c.opts.Source, c.opts.Time
		events[i], read[i] = e, as
	}
	return events, read, nil
}
