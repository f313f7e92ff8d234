package playback

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/eb901187/annals"
)

// Recent reads the playbacks that were started up to the position until of the log, 0
// for its end, the newest first: at most limit of them. older is the position from which
// the next older ones are read; 0 where there are none. It reads three events of the
// store for each. See List for stores that number their log later.
func Recent(ctx context.Context, store *annals.Store, until int64, limit int, opts *Options) (page []Playback, older int64, err error) {
	if limit < 1 {
		return nil, 0, annals.Invalid("limit", "must be at least 1")
	}
	q := annals.Query{Prefix: RecordPrefix, Types: []string{Started}, Until: until, Backward: true, Limit: limit + 1}
	for e, err := range store.Log(ctx, q) {
		if err != nil {
			return nil, 0, err
		}
		if len(page) == limit {
			return page, e.Position, nil
		}
		p, err := Show(ctx, store, e.Stream[len(RecordPrefix):], opts)
		if err != nil {
			return nil, 0, err
		}
		page = append(page, p)
	}
	return page, 0, nil
}

// A Pace is how fast a playback came forward lately.
type Pace struct {
	Events float64 // a second
	// Left is how long it takes to the end if it goes on so; 0 where that can't be
	// told, or there is nothing left.
	Left time.Duration
}

// pacedBy is how many records a Pace is made of.
const pacedBy = 10

// ReadPace measures p by its last records, as far as they are of the present run; it is
// zero where those are too few, or p does not run.
func ReadPace(ctx context.Context, store *annals.Store, p *Playback) (Pace, error) {
	if p.State != StateRunning {
		return Pace{}, nil
	}
	type point struct {
		Place
		at time.Time
	}
	var points []point // the newest first
	for e, err := range store.Stream(ctx, RecordPrefix+p.ID, &annals.StreamOptions{Backward: true, Limit: pacedBy}) {
		if err != nil {
			return Pace{}, err
		}
		if !slices.Contains([]string{Started, Resumed, Progressed}, e.Type) {
			break
		}
		at := point{at: e.Time}
		switch {
		case e.Type == Started:
			at.Position = max(0, p.Selection.From-1)
		default:
			var to progress
			if err := json.Unmarshal(e.Data, &to); err != nil {
				return Pace{}, unreadable(&e, err)
			}
			at.Place = to.Place
		}
		points = append(points, at)
		if e.Type != Progressed {
			break
		}
	}
	if len(points) < 2 {
		return Pace{}, nil
	}
	now, then := points[0], points[len(points)-1]
	seconds, positions := now.at.Sub(then.at).Seconds(), float64(now.Position-then.Position)
	if seconds <= 0 || positions <= 0 {
		return Pace{}, nil
	}
	left := max(0, float64(p.End-now.Position)) / positions * seconds
	const most = 100 * 365 * 24 * time.Hour // beyond that nobody waits, and a Duration ends
	return Pace{Events: float64(now.Count-then.Count) / seconds, Left: time.Duration(min(left*float64(time.Second), float64(most)))}, nil
}
