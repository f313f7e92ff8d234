package playback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
)

// The types of the events in effect.ForkStream.
const (
	ForkStarted    = "fork-started"    // a Part, and its id is the fork's
	ForkProgressed = "fork-progressed" // Copied
	ForkFinished   = "fork-finished"   // Copied
)

// A Part says what of the source a fork holds. See ForkOptions.
type Part struct {
	Source     string    `json:"source"`
	Until      int64     `json:"until,string,omitempty"`
	UntilTime  time.Time `json:"untilTime,omitzero"`
	Streams    []string  `json:"streams,omitempty"`
	Types      []string  `json:"types,omitempty"`
	Mask       string    `json:"mask,omitempty"`
	MaskSHA256 string    `json:"maskSha256,omitempty"`
	// End is the last position of the source that is looked at.
	End int64 `json:"end,string"`
	// WithoutSnapshots says that the snapshots of aggregates were left out: they are
	// made again.
	WithoutSnapshots bool `json:"withoutSnapshots,omitempty"`
}

// Copied says how far a fork has come. All numbers are exact once it is finished.
type Copied struct {
	Position      int64 `json:"position,string"` // of the source: all before is done
	Events        int64 `json:"events"`
	Placeholders  int64 `json:"placeholders"` // of type Omitted, not among Events
	CopiedStreams int64 `json:"copiedStreams"`
}

// A Manifest says what a fork was made of.
type Manifest struct {
	ID string `json:"id"` // of this fork
	Part
	Copied
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"` // zero while the fork is not whole
	// Repeated says of Fork's result that the fork was there already.
	Repeated bool `json:"repeated,omitempty"`
}

// ReadManifest reads what a store is a fork of. Errors: annals.ErrNotFound if it is
// none; annals.ErrDamaged.
func ReadManifest(ctx context.Context, store *annals.Store) (Manifest, error) {
	m, _, err := readManifest(ctx, store)
	return m, err
}

// readManifest returns the version of the manifest's stream too.
func readManifest(ctx context.Context, store *annals.Store) (m Manifest, version int64, err error) {
	for e, err := range store.Stream(ctx, effect.ForkStream, &annals.StreamOptions{Limit: 1}) {
		if err != nil {
			return m, 0, err
		}
		if err := json.Unmarshal(e.Data, &m.Part); err != nil || e.Type != ForkStarted {
			return m, 0, badManifest(&e, err)
		}
		m.ID, m.Started, version = e.ID, e.Time, e.Version
	}
	if version == 0 {
		return m, 0, &annals.Error{Code: annals.CodeNotFound, Message: "the store is no fork", Hint: "annals fork --to STORE makes one"}
	}
	for e, err := range store.Stream(ctx, effect.ForkStream, &annals.StreamOptions{Backward: true, Limit: 1}) {
		if err != nil {
			return m, 0, err
		}
		if e.Version == 1 {
			break
		}
		if err := json.Unmarshal(e.Data, &m.Copied); err != nil || e.Type != ForkProgressed && e.Type != ForkFinished {
			return m, 0, badManifest(&e, err)
		}
		if version = e.Version; e.Type == ForkFinished {
			m.Finished = e.Time
		}
	}
	return m, version, nil
}

func badManifest(e *annals.Event, cause error) error {
	return &annals.Error{
		Code: annals.CodeDamaged, Err: cause, Message: fmt.Sprintf("event %s@%d is none of a fork's manifest", e.Stream, e.Version),
		Hint: "something else has written into this stream; fork into another, empty store",
	}
}

// resume finds an earlier run of the same fork; without one, version stays 0.
func (f *fork) resume(ctx context.Context) error {
	m, version, err := readManifest(ctx, f.to)
	if annals.CodeOf(err) == annals.CodeNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	// A store that is reached by two names is found out by what it holds.
	if own, err := ReadManifest(ctx, f.from); err == nil && own.ID == m.ID {
		return sameStore()
	} else if err != nil && annals.CodeOf(err) != annals.CodeNotFound {
		return err
	}
	if differs := f.differs(&m.Part); differs != "" {
		return &annals.Error{
			Code: annals.CodeConflict, Message: "the target was forked from " + m.Source + " with another " + differs,
			Hint: "run the command as it was then, or name another, empty store",
		}
	}
	end, err := f.from.End(ctx)
	if err != nil {
		return err
	}
	if end < m.End {
		return &annals.Error{
			Code: annals.CodeConflict, Message: fmt.Sprintf("the target was forked from a log of %d events, and the source has %d", m.End, end),
			Hint: "the source is another store now; fork into another, empty store",
		}
	}
	f.Manifest, f.version = m, version
	f.Repeated = !m.Finished.IsZero()
	return nil
}

// differs names what was asked for otherwise; empty if nothing was.
func (f *fork) differs(was *Part) string {
	p := &f.Part
	switch {
	case p.Source != was.Source:
		return "source"
	case p.Until != was.Until, !p.UntilTime.Equal(was.UntilTime):
		return "end: --until"
	case !slices.Equal(p.Streams, was.Streams):
		return "choice of --streams"
	case !slices.Equal(p.Types, was.Types):
		return "choice of --types"
	case p.MaskSHA256 != was.MaskSHA256:
		return "mask: --mask"
	}
	return ""
}

// start writes the manifest into an empty target.
func (f *fork) start(ctx context.Context) error {
	if err := f.plan(ctx); err != nil {
		return err
	}
	end, err := f.to.End(ctx)
	if err != nil {
		return err
	}
	if end > 0 {
		return notEmpty(end)
	}
	if err := f.record(ctx, ForkStarted, f.Part); err != nil {
		return err
	}
	m, _, err := readManifest(ctx, f.to)
	if err != nil {
		return err
	}
	f.ID, f.Started = m.ID, m.Started
	return f.opts.At(ForkStepStarted)
}

func notEmpty(end int64) error {
	return &annals.Error{
		Code: annals.CodeConflict, Message: fmt.Sprintf("the target is not empty: it holds %d events and is no fork", end),
		Hint: "fork into an empty store, for example a new directory",
	}
}

func sameStore() error {
	return &annals.Error{Code: annals.CodeInvalid, Message: "the target is the source", Hint: "name another store with --to"}
}

// finish records that the fork is whole.
func (f *fork) finish(ctx context.Context) error {
	f.Position = f.End
	if err := f.record(ctx, ForkFinished, f.Copied); err != nil {
		return err
	}
	m, _, err := readManifest(ctx, f.to)
	if err != nil {
		return err
	}
	f.Finished = m.Finished
	f.opts.Progress(&f.Manifest)
	return f.opts.At(ForkStepFinished)
}

// record appends to the manifest at the version that was seen last, so that a second
// process is noticed. Those who are at the same place write the same.
func (f *fork) record(ctx context.Context, typ string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	e := annals.Event{Type: typ, Source: forkSource, Data: text}
	if f.version > 0 {
		e.ID = fmt.Sprint(f.ID, "-", f.version+1)
	}
	commit, err := f.to.Append(ctx, effect.ForkStream, f.version, e)
	if errors.Is(err, annals.ErrConflict) || errors.Is(err, annals.ErrIDReused) {
		return &annals.Error{
			Code: annals.CodeConflict, Err: err, Message: "another process forks into this store too",
			Hint: "wait until it has ended, then run the command again",
		}
	}
	if err == nil {
		f.version = commit.Version
	}
	return err
}
