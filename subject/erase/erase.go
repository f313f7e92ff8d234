package erase

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/subject"
)

// Where erasures are noted.
const (
	Stream = annals.OwnPrefix + "erasures"
	// Type is that of its events, whose data is a subject.Receipt.
	Type = annals.OwnPrefix + "subject-erased"
)

// Options are what an erasure works on; Store and Keys must be given.
type Options struct {
	// Store is opened with Keys.
	Store *annals.Store
	Keys  *subject.Keyring
	// Views are those of the store, kept up to date while the erasure runs, by this
	// process or another; nil if there are none.
	Views *projection.Set
	// Pause waits before a view that is being built is looked at again, or until ctx
	// ends; 100 ms by default.
	Pause func(ctx context.Context)
	// Clock stamps receipts; time.Now by default.
	Clock func() time.Time
	// At is called before each Step; an error ends the erasure there. It is for tests.
	At func(Step) error
}

// A Step is a point of an erasure at which a process may die.
type Step string

// The steps, in their order.
const (
	StepFencing    Step = "fencing"
	StepBegun      Step = "noting that it begins"
	StepDestroying Step = "destroying the key"
	StepSearching  Step = "searching the log"
	StepForgetting Step = "removing edits"
	StepRebuilding Step = "rebuilding a view"
	StepSwitching  Step = "switching a view"
	StepDeleting   Step = "deleting a generation"
	StepScrubbing  Step = "scrubbing the views"
	StepDone       Step = "noting the receipt"
)

// New makes an Eraser. Error: *annals.InvalidError for what is missing.
func New(opts Options) (subject.Eraser, error) {
	if opts.Store == nil || opts.Keys == nil || !opts.Store.Seals() {
		return nil, annals.Invalid("options", "must have Keys, and a Store that was opened with them")
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Pause == nil {
		opts.Pause = pause
	}
	if opts.At == nil {
		opts.At = func(Step) error { return nil }
	}
	return func(ctx context.Context, r subject.Request) (subject.Receipt, error) {
		e := erasure{Options: opts, positions: map[int64]bool{}}
		err := e.run(ctx, r)
		return e.receipt, err
	}, nil
}

func pause(ctx context.Context) {
	timer := time.NewTimer(100 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// notCovered is what no erasure reaches.
var notCovered = []string{
	"names of streams, types, ids, attributes, and the name of the subject itself, which are kept for ever",
	"events that hold data of the subject and do not name it",
	"views that are kept elsewhere than those that are listed",
	"copies that were made in clear before: exports, playbacks, Kinesis streams, dead letters, logs, other systems",
	"copies of the keys, in other places or backups; backups and forks of the store stay sealed without them",
	"state that programs keep elsewhere, such as documents of reactions of their own",
}

// An erasure is one under way.
type erasure struct {
	Options
	receipt   subject.Receipt
	positions map[int64]bool // of events that projections may fold
	affected  []annals.Event // without data: one for each type, source and stream that projections may ask for
}

func (e *erasure) run(ctx context.Context, r subject.Request) error {
	if err := subject.CheckName(r.Subject); err != nil {
		return err
	}
	const maxReason = 1000
	if len(r.Reason) > maxReason {
		return annals.Invalid("reason", "must have at most %d bytes", maxReason)
	}
	e.receipt = subject.Receipt{
		Subject: r.Subject, Reason: r.Reason, By: r.By, DryRun: r.DryRun, Begun: e.now(),
		Keys: e.Keys.Place(), Master: e.Keys.Master(), NotCovered: notCovered,
	}
	if r.DryRun {
		return e.look(ctx)
	}
	if err := e.destroy(ctx); err != nil {
		return broken(err)
	}
	if err := e.search(ctx); err != nil {
		return broken(err)
	}
	if e.Views != nil {
		if err := e.views(ctx); err != nil {
			return broken(err)
		}
	}
	e.receipt.Done = e.now()
	e.receipt.Complete = e.receipt.InClear == 0 && e.receipt.OtherKeys == 0 && !slices.ContainsFunc(e.receipt.Views, func(v subject.ViewReceipt) bool { return v.Outcome == subject.Left })
	return broken(e.note(ctx, StepDone))
}

func (e *erasure) now() time.Time { return e.Clock().UTC().Round(0) }

// broken says what to do after an error.
func broken(err error) error {
	if err == nil {
		return nil
	}
	return &annals.Error{
		Code: annals.CodeOf(err), Err: err, Message: "the erasure was broken off",
		Hint: "ask for it again: it begins anew and ends the same; once the key is fenced nothing is sealed or read for the subject any more",
	}
}

// look is a dry run.
func (e *erasure) look(ctx context.Context) error {
	record, err := e.Keys.Record(ctx, e.receipt.Subject)
	if err != nil {
		return err
	}
	e.receipt.Key = record.Receipt()
	if err := e.search(ctx); err != nil || e.Views == nil {
		return err
	}
	all, err := e.Views.List(ctx)
	if err != nil {
		return err
	}
	for i := range all {
		e.receipt.Views = append(e.receipt.Views, e.plan(&all[i]))
	}
	return nil
}

// destroy ends the life of the key.
func (e *erasure) destroy(ctx context.Context) error {
	if err := e.At(StepFencing); err != nil {
		return err
	}
	if err := e.ours(ctx); err != nil {
		return err
	}
	record, err := e.Keys.Fence(ctx, e.receipt.Subject)
	if err != nil {
		return err
	}
	e.receipt.Key = record.Receipt()
	if err := e.note(ctx, StepBegun); err != nil {
		return err
	}
	if err := e.At(StepDestroying); err != nil {
		return err
	}
	if record, err = e.Keys.Destroy(ctx, e.receipt.Subject); err != nil {
		return err
	}
	e.receipt.Key = record.Receipt()
	return nil
}

// ours refuses keys that have never sealed for the subject where others have: a tombstone
// among them would pass for an erasure.
func (e *erasure) ours(ctx context.Context) error {
	record, err := e.Keys.Record(ctx, e.receipt.Subject)
	if err != nil || record.State != subject.None {
		return err
	}
	for _, err := range e.Store.Log(ctx, annals.Query{}) {
		if err != nil {
			return err // of what is sealed and has no key here
		}
	}
	return nil
}

// note appends the receipt as it is.
func (e *erasure) note(ctx context.Context, step Step) error {
	if err := e.At(step); err != nil {
		return err
	}
	data, err := json.Marshal(&e.receipt)
	if err != nil {
		return err
	}
	commit, err := e.Store.Append(ctx, Stream, annals.Any, annals.Event{Type: Type, Data: data})
	if err != nil {
		return err
	}
	// What was appended before is mostly in the log by then.
	commit, err = e.Store.Wait(ctx, commit)
	e.receipt.LogEnd = max(e.receipt.LogEnd, commit.Position)
	return err
}

// search counts the events that name the subject.
func (e *erasure) search(ctx context.Context) error {
	if err := e.At(StepSearching); err != nil {
		return err
	}
	end, err := e.Store.End(ctx)
	if err != nil {
		return err
	}
	e.receipt.LogEnd = end
	streams, copies, seen := map[string]int64{}, map[string]int64{}, map[string]bool{}
	for event, err := range e.Store.Log(ctx, annals.Query{Until: max(end, 1)}) {
		if err != nil {
			return err
		}
		if event.Subject() != e.receipt.Subject {
			continue
		}
		e.positions[event.Position] = true
		switch {
		case e.receipt.DryRun:
		case !event.Erased():
			e.receipt.InClear++
		case e.receipt.Key.Fingerprint == "":
			e.receipt.OtherKeys++
		}
		if own, ok := strings.CutPrefix(event.Stream, annals.OwnPrefix); ok {
			kind, _, _ := strings.Cut(own, "/")
			copies[annals.OwnPrefix+kind]++
		} else {
			e.receipt.Events++
			streams[event.Stream]++
		}
		if key := event.Stream + "\n" + event.Type + "\n" + event.Source + "\n" + event.Correlation; !seen[key] {
			seen[key] = true
			event.Data = nil
			e.affected = append(e.affected, event)
		}
	}
	e.receipt.Streams = len(streams)
	for stream, n := range streams {
		e.receipt.ByStream = append(e.receipt.ByStream, subject.StreamCount{Stream: stream, Events: n})
	}
	slices.SortFunc(e.receipt.ByStream, func(a, b subject.StreamCount) int { return cmp.Compare(a.Stream, b.Stream) })
	e.receipt.ByStream = e.receipt.ByStream[:min(len(e.receipt.ByStream), subject.MaxStreams)]
	for kind, n := range copies {
		e.receipt.Copies = append(e.receipt.Copies, subject.CopyCount{Kind: kind, Events: n})
	}
	slices.SortFunc(e.receipt.Copies, func(a, b subject.CopyCount) int { return cmp.Compare(a.Kind, b.Kind) })
	return nil
}

// plan says what is to become of a projection.
func (e *erasure) plan(info *projection.Info) subject.ViewReceipt {
	v := subject.ViewReceipt{Projection: info.Name, Generation: info.Live}
	query, known := e.Views.Query(info.Name)
	older := func(g projection.Generation) bool { return g.Revision != info.Revision } // who knows what it has folded
	switch {
	case len(e.affected) == 0 || len(info.Generations) == 0:
		v.Outcome = subject.Untouched
	case !known:
		v.Outcome, v.Note = subject.Left, "this process has no definition of it: the program that has is to rebuild it, switch, and delete the older generations"
	case slices.ContainsFunc(info.Generations, older) || slices.ContainsFunc(e.affected, func(event annals.Event) bool { return asks(query, &event) }):
		v.Outcome = subject.Planned
	default:
		v.Outcome = subject.Untouched
	}
	return v
}

// asks reports whether q may match an event like this one, whenever that was: each
// stands for several.
func asks(q annals.Query, event *annals.Event) bool {
	q.Since, q.Before, q.After, q.Until = time.Time{}, time.Time{}, 0, 0
	if strings.HasPrefix(event.Stream, annals.OwnPrefix) && !strings.HasPrefix(q.Prefix, annals.OwnPrefix) {
		return false
	}
	return q.Match(event)
}

// isConflict reports whether a view is only not ready yet, or is so no more.
func isConflict(err error) bool { return errors.Is(err, annals.ErrConflict) }
