package playback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eb901187/annals"
)

// A beginning is the data of Started.
type beginning struct {
	Selection Selection   `json:"selection"`
	End       int64       `json:"end,string"`
	Target    Destination `json:"target"`
	Rate      float64     `json:"rate,omitempty"`
	Runner    string      `json:"runner"`
}

// A progress is the data of every later record.
type progress struct {
	Place
	Runner string `json:"runner"`
	Reason string `json:"reason,omitempty"`
	Error  string `json:"error,omitempty"`
}

// record appends an event to the record of a playback at the exact version that p has
// seen last. ErrNotOwner: somebody else has appended since.
func (p *Playback) record(ctx context.Context, store *annals.Store, now time.Time, typ string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	event := annals.Event{Type: typ, Source: source, Time: now, Data: text}
	commit, err := store.Append(ctx, RecordPrefix+p.ID, p.version, event)
	if errors.Is(err, annals.ErrConflict) {
		return p.lost()
	}
	if err != nil {
		return err
	}
	p.version, p.Updated = commit.Version, now.UTC()
	return nil
}

// source is that of the events which record a playback.
const source = "annals/playback"

func (p *Playback) lost() error {
	return &annals.Error{
		Code: annals.CodeConflict, Err: ErrNotOwner, Message: "playback " + p.ID + " ended here",
		Hint: "annals playback show " + p.ID + " says by whom",
	}
}

// advance records progress, or an end.
func (p *Playback) advance(ctx context.Context, store *annals.Store, now time.Time, typ string, to progress) error {
	if err := p.record(ctx, store, now, typ, to); err != nil {
		return err
	}
	p.take(typ, to)
	return nil
}

// take is what a later record says.
func (p *Playback) take(typ string, to progress) {
	p.Place, p.Runner, p.Reason, p.Error = to.Place, to.Runner, to.Reason, to.Error
	switch typ {
	case Stopped:
		p.State = StateStopped
	case Finished:
		p.State = StateFinished
	case Failed:
		p.State = StateFailed
	default:
		p.State = StateRunning
	}
}

// Show reads one playback. On a store that many processes use it is as recorded at the
// time of the call. Errors: annals.ErrNotFound.
func Show(ctx context.Context, store *annals.Store, id string, opts *Options) (Playback, error) {
	if err := checkID(id); err != nil {
		return Playback{}, err
	}
	p := Playback{ID: id}
	for e, err := range store.Stream(ctx, RecordPrefix+id, &annals.StreamOptions{Limit: 1}) {
		if err != nil {
			return p, err
		}
		if err := p.begin(&e); err != nil {
			return p, err
		}
	}
	if p.version == 0 {
		return p, &annals.Error{Code: annals.CodeNotFound, Message: "there is no playback " + id, Hint: "annals playback list names them"}
	}
	for e, err := range store.Stream(ctx, RecordPrefix+id, &annals.StreamOptions{Backward: true, Limit: 1}) {
		if err != nil {
			return p, err
		}
		if e.Version == p.version {
			break
		}
		to := progress{}
		if err := json.Unmarshal(e.Data, &to); err != nil {
			return p, unreadable(&e, err)
		}
		p.version, p.Updated = e.Version, e.Time
		p.take(e.Type, to)
	}
	if p.State == StateRunning && opts.complete().Clock().Sub(p.Updated) > Silence {
		p.State = StateInterrupted
	}
	return p, nil
}

// begin is what the first record says.
func (p *Playback) begin(e *annals.Event) error {
	b := beginning{}
	if err := json.Unmarshal(e.Data, &b); err != nil || e.Type != Started {
		return unreadable(e, err)
	}
	p.State, p.Selection, p.End, p.Target, p.Rate = StateRunning, b.Selection, b.End, b.Target, b.Rate
	p.By, p.Started, p.Runner, p.Updated, p.version = b.Runner, e.Time, b.Runner, e.Time, e.Version
	p.Position = max(0, b.Selection.From-1)
	return nil
}

func unreadable(e *annals.Event, err error) error {
	return &annals.Error{
		Code: annals.CodeDamaged, Err: err, Message: fmt.Sprintf("event %s@%d does not record a playback", e.Stream, e.Version),
		Hint: "something else has written into this stream; start another playback",
	}
}

// List reads all playbacks that the log of the store holds, the newest first. A store that
// numbers its log later lists one a moment after it was started. One whose record can't be
// read is in the list as StateUnreadable.
func List(ctx context.Context, store *annals.Store, opts *Options) ([]Playback, error) {
	all := []Playback{}
	listed := map[string]bool{}
	for e, err := range store.Log(ctx, annals.Query{Prefix: RecordPrefix, Types: []string{Started}}) {
		if err != nil {
			return nil, err
		}
		if id := e.Stream[len(RecordPrefix):]; !listed[id] {
			listed[id] = true
			all = append(all, Playback{ID: id, Started: e.Time, Updated: e.Time})
		}
	}
	slices.Reverse(all)
	for i := range all {
		p, err := Show(ctx, store, all[i].ID, opts)
		switch annals.CodeOf(err) {
		case "":
			all[i] = p
		case annals.CodeDamaged, annals.CodeInvalid:
			// One stream that something else has written to must not hide the others.
			all[i].State, all[i].Error = StateUnreadable, err.Error()
		default:
			return nil, err
		}
	}
	return all, nil
}

// Stop records that a playback is to end where it is, whoever runs it: that Run notices
// within Options.Interval and ends with ErrNotOwner. Resume goes on later.
// Errors: annals.ErrNotFound; annals.ErrConflict where it does not run any more.
func Stop(ctx context.Context, store *annals.Store, id, reason string, opts *Options) (Playback, error) {
	o := opts.complete()
	const tries = 100
	for try := 1; ; try++ {
		p, err := Show(ctx, store, id, o)
		if err != nil {
			return p, err
		}
		if p.State != StateRunning && p.State != StateInterrupted {
			return p, &annals.Error{
				Code: annals.CodeConflict, Message: fmt.Sprintf("playback %s does not run: it is %s. There is nothing to do", id, p.State),
				Hint: "annals playback show " + id + " says more",
			}
		}
		err = p.advance(ctx, store, o.Clock(), Stopped, progress{Place: p.Place, Runner: o.Runner, Reason: reason})
		if !errors.Is(err, ErrNotOwner) || try == tries {
			return p, err
		}
	}
}
