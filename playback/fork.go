package playback

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
)

const (
	// Omitted is the type of the placeholder that stands in a fork for an event whose
	// type was not wanted, so that those behind it keep their versions. It has the
	// event's id and time, and no data.
	Omitted = annals.OwnPrefix + "omitted"
	// snapshotPrefix is aggregate.SnapshotPrefix.
	snapshotPrefix = annals.OwnPrefix + "snapshots/"
	// forkSource is that of the events that Fork itself makes.
	forkSource = "annals/fork"
)

// ForkOptions says what a fork holds; nil means all of the source.
type ForkOptions struct {
	// Source names the source in the manifest, for example by its address. It must
	// hold no secrets.
	Source string
	// Until is the last position that is copied; 0 is the end of the log as it is when
	// the fork is begun.
	Until int64
	// UntilTime copies each stream up to its first event whose own time is later, as
	// annals state --at-time sees it. Zero is no limit.
	UntilTime time.Time
	// Streams are names of streams, or what names start with and a trailing *. None
	// means all, also Annals' own, such as the journal of effects; any leaves out own
	// streams that it does not name by annals.OwnPrefix.
	Streams []string
	// Types are the types of events that are copied; none means all. See Omitted.
	Types []string
	// Mask changes each event; may be nil. Snapshots are left out then, because they
	// hold the state that unmasked events have made, and so they are with Types.
	Mask *Mask
	// Progress, if set, is told how far the fork is, after each part that is copied.
	Progress func(m *Manifest)
	// Every is after how many events progress is recorded; 32,768 by default.
	Every int64
	// At, in tests, is called at each ForkStep; an error stops the fork there as a
	// crash would.
	At func(ForkStep) error

	batch int // events that are copied at once; copyEvents by default
}

// A ForkStep is a point between two actions of Fork, for tests that crash it there.
type ForkStep string

// The steps.
const (
	ForkStepStarted    ForkStep = "started"    // the manifest was written
	ForkStepCopied     ForkStep = "copied"     // a part of the events is there
	ForkStepProgressed ForkStep = "progressed" // that was recorded
	ForkStepFinished   ForkStep = "finished"   // the end was recorded
)

const defaultForkEvery = 32_768

// Fork copies the log of from, or a part of it, to the empty store to, and returns
// the manifest, which to keeps in the stream effect.ForkStream: an effect.Gateway over
// to sends nothing outside. The manifest comes first in the log, so that no outside
// call leaves a fork that is half made.
//
// Events have the same ids, streams, versions, times and order as in from; positions
// differ, by the manifest's own events and by what was left out. A store that numbers
// its log later keeps the order of each stream, and causes before effects. Commits that
// held several events may be others. The fork of a fork has a manifest of its own.
//
// After an interruption, also a crash, the same call goes on. Once finished, it does
// nothing, and says so by Manifest.Repeated.
//
// Errors: annals.ErrConflict if to is not empty, was forked with other options, or is
// written to by somebody else; annals.ErrInvalid for what can't be copied: to is from,
// Until is past the end, a type or a name that no event can have, an event that the mask
// can't be used on; ErrNothing if no event is selected. But for an event that the mask
// refuses later on, nothing was written then.
func Fork(ctx context.Context, from, to *annals.Store, opts *ForkOptions) (Manifest, error) {
	f := newFork(from, to, opts)
	if from == to {
		return Manifest{}, sameStore()
	}
	if err := f.check(); err != nil {
		return Manifest{}, err
	}
	err := f.resume(ctx)
	if f.version == 0 && err == nil {
		err = f.start(ctx)
	}
	if err != nil || f.Repeated {
		return f.Manifest, err
	}
	if err := f.copy(ctx); err != nil {
		return f.Manifest, err
	}
	return f.Manifest, f.finish(ctx)
}

// CheckFork reports what would keep Fork from beginning a fork of from into an empty
// store.
func CheckFork(ctx context.Context, from *annals.Store, opts *ForkOptions) error {
	f := newFork(from, nil, opts)
	if err := f.check(); err != nil {
		return err
	}
	return f.plan(ctx)
}

// A fork is one Fork under way.
type fork struct {
	Manifest
	from, to *annals.Store
	opts     ForkOptions
	streams  Selection
	version  int64 // of the manifest's stream
}

func newFork(from, to *annals.Store, opts *ForkOptions) *fork {
	f := &fork{from: from, to: to}
	if opts != nil {
		f.opts = *opts
	}
	if f.opts.Progress == nil {
		f.opts.Progress = func(*Manifest) {}
	}
	if f.opts.Every <= 0 {
		f.opts.Every = defaultForkEvery
	}
	if f.opts.batch == 0 {
		f.opts.batch = copyEvents
	}
	if f.opts.At == nil {
		f.opts.At = func(ForkStep) error { return nil }
	}
	return f
}

// check completes and checks the options by themselves.
func (f *fork) check() error {
	o := &f.opts
	set := func(names []string) []string { return slices.Compact(slices.Sorted(slices.Values(names))) }
	f.streams = Selection{Streams: set(o.Streams)}
	f.Part = Part{
		Source: o.Source, Until: o.Until, UntilTime: o.UntilTime, Streams: f.streams.Streams, Types: set(o.Types),
		WithoutSnapshots: o.Mask != nil || len(o.Types) > 0,
	}
	if !o.UntilTime.IsZero() {
		f.UntilTime = o.UntilTime.UTC().Round(0)
	}
	if o.Mask != nil {
		f.Mask, f.MaskSHA256 = o.Mask.Name, o.Mask.SHA256
	}
	if o.Until < 0 {
		return annals.Invalid("until", "must be 0 or a position")
	}
	return (&Selection{Streams: f.Part.Streams, Types: f.Types}).Check()
}

// plan finds where the fork ends, and refuses what could only fail once it has begun.
func (f *fork) plan(ctx context.Context) error {
	end, err := f.from.End(ctx)
	if err != nil {
		return err
	}
	if f.Until > end {
		return &annals.Error{
			Code: annals.CodeInvalid, Message: fmt.Sprintf("position %d is past the end of the source's log, which is at %d", f.Until, end),
			Hint: fmt.Sprintf("choose a position up to %d, or leave it out", end),
		}
	}
	if f.End = f.Until; f.Until == 0 {
		f.End = end
	}
	m, err := ReadManifest(ctx, f.from)
	if err == nil && m.Finished.IsZero() {
		return &annals.Error{
			Code: annals.CodeConflict, Message: "the source is itself a fork of " + m.Source + " that is not finished",
			Hint: "run annals fork for it again, or fork what it is a fork of",
		}
	}
	if err != nil && annals.CodeOf(err) != annals.CodeNotFound {
		return err
	}
	begins := false // a stream does: one that is read behind its end is left out
	for e, err := range f.selected(ctx) {
		if err != nil {
			return err
		}
		if begins = begins || e.Version == 1; !begins || e.Type == Omitted {
			continue
		}
		if f.opts.Mask != nil {
			_, err = f.opts.Mask.Apply(e)
		}
		return err
	}
	return &annals.Error{
		Code: annals.CodeNotFound, Err: ErrNothing, Message: fmt.Sprintf("nothing to do: no event of the source up to position %d is to be copied", f.End),
		Hint: "annals log shows the source's events; leave out --streams, --types or --until, or change them",
	}
}

// copy copies what is selected behind the position that is reached.
func (f *fork) copy(ctx context.Context) error {
	recorded := f.Events + f.Placeholders
	c := copier{to: f.to, gaps: !f.UntilTime.IsZero(), done: f.count}
	for batch, err := range ahead(f.masked(inBatches(f.selected(ctx), f.opts.batch))) {
		if err != nil {
			return err
		}
		if err := c.write(ctx, batch); err != nil {
			return f.refused(err)
		}
		// Placeholders have no position of their own.
		for i := range batch {
			f.Position = max(f.Position, batch[i].Position)
		}
		f.opts.Progress(&f.Manifest)
		if err := f.opts.At(ForkStepCopied); err != nil {
			return err
		}
		// Placeholders at the end of a batch would be counted again behind this position.
		if n := f.Events + f.Placeholders; n-recorded >= f.opts.Every && batch[len(batch)-1].Position > 0 {
			recorded = n
			if err := f.record(ctx, ForkProgressed, f.Copied); err != nil {
				return err
			}
			if err := f.opts.At(ForkStepProgressed); err != nil {
				return err
			}
		}
	}
	return nil
}

// refused says of an event that the mask has made invalid whose fault that is.
func (f *fork) refused(err error) error {
	if f.opts.Mask == nil || annals.CodeOf(err) != annals.CodeInvalid && annals.CodeOf(err) != annals.CodeTooLarge {
		return err
	}
	return &annals.Error{Code: annals.CodeOf(err), Err: err, Message: f.opts.Mask.file + ": the mask makes an event that no store takes", Hint: startOver}
}

// startOver is what to do about a fork that needs another mask.
const startOver = "mend the mask and fork into another, empty store: this one holds events as the mask was"

func (f *fork) count(events []annals.Event) {
	for i := range events {
		if events[i].Version == 1 {
			f.CopiedStreams++
		}
		if events[i].Type == Omitted {
			f.Placeholders++
		} else {
			f.Events++
		}
	}
}

// masked masks batches.
func (f *fork) masked(batches iter.Seq2[[]annals.Event, error]) iter.Seq2[[]annals.Event, error] {
	if f.opts.Mask == nil {
		return batches
	}
	return func(yield func([]annals.Event, error) bool) {
		for batch, err := range batches {
			if err == nil {
				if err = f.opts.Mask.applyAll(batch); err != nil && f.version > 0 {
					err = &annals.Error{Code: annals.CodeOf(err), Err: err, Message: "the fork is not finished", Hint: startOver}
				}
			}
			if !yield(batch, err) || err != nil {
				return
			}
		}
	}
}

// selected yields the events behind the position that is reached, in order, with
// placeholders, whose position is 0, right before the event that needs them.
func (f *fork) selected(ctx context.Context) iter.Seq2[annals.Event, error] {
	q := annals.Query{Types: f.Types, After: f.Position, Until: f.End, Prefix: commonPrefix(f.Part.Streams)}
	if !f.UntilTime.IsZero() {
		q.Before = f.UntilTime.Add(1)
	}
	return func(yield func(annals.Event, error) bool) {
		if f.End <= f.Position {
			return
		}
		for e, err := range f.from.Log(ctx, q) {
			if err == nil && !f.takes(e.Stream) {
				continue
			}
			first := e.Version
			if err == nil && len(f.Types) > 0 && e.Version > 1 {
				first, err = f.gap(ctx, &e)
			}
			if err != nil {
				yield(e, err)
				return
			}
			if first == 0 {
				continue
			}
			if first < e.Version && !f.placeholders(ctx, e.Stream, first, e.Version-1, yield) || !yield(e, nil) {
				return
			}
		}
	}
}

// takes reports whether a stream is copied.
func (f *fork) takes(stream string) bool {
	if stream == effect.ForkStream || f.WithoutSnapshots && strings.HasPrefix(stream, snapshotPrefix) {
		return false
	}
	return len(f.Part.Streams) == 0 || f.streams.matchStream(stream)
}

// gap finds the first of the events right before e whose types are not wanted; it is
// e's own version if there are none, and 0 if one of them is too late, and e with it.
func (f *fork) gap(ctx context.Context, e *annals.Event) (first int64, err error) {
	first = e.Version
	for before, err := range f.from.Stream(ctx, e.Stream, &annals.StreamOptions{To: e.Version - 1, Backward: true}) {
		switch {
		case err != nil:
			return 0, err
		case slices.Contains(f.Types, before.Type):
			return first, nil
		case !f.UntilTime.IsZero() && before.Time.After(f.UntilTime):
			return 0, nil
		}
		first = before.Version
	}
	return first, nil
}

func (f *fork) placeholders(ctx context.Context, stream string, from, to int64, yield func(annals.Event, error) bool) bool {
	for e, err := range f.from.Stream(ctx, stream, &annals.StreamOptions{From: from, To: to}) {
		if err != nil {
			yield(e, err)
			return false
		}
		if !yield(annals.Event{ID: e.ID, Type: Omitted, Source: forkSource, Time: e.Time, Stream: e.Stream, Version: e.Version}, nil) {
			return false
		}
	}
	return true
}
