package dynamo

import (
	"context"
	"math"

	"github.com/eb901187/annals"
)

// End implements annals.Driver. While it waits it looks for new pages every
// Options.Poll.
func (d *Driver) End(ctx context.Context, after int64) (int64, error) {
	name := "end"
	if after >= 0 {
		name = "follow"
	}
	ctx, done, err := d.begin(ctx, name)
	if err != nil {
		return 0, err
	}
	defer done()
	for times := int64(math.MaxInt64); ; {
		var now snapshot
		var err error
		if now, times, err = d.view.since(ctx, times); err != nil {
			return 0, d.ended(err)
		}
		if end := now.end(); end > after {
			return end, nil
		}
		if err := d.calls.pause(ctx, d.poll); err != nil {
			return 0, d.ended(err)
		}
	}
}

// Wait implements annals.Sequencer.
func (d *Driver) Wait(ctx context.Context, commit annals.Commit) (annals.Commit, error) {
	ctx, done, err := d.begin(ctx, "wait")
	if err != nil {
		return commit, err
	}
	defer done()
	looked, sealed := int64(0), int64(0)
	for times := int64(math.MaxInt64); ; {
		var now snapshot
		var err error
		if now, times, err = d.view.since(ctx, times); err != nil {
			return commit, d.ended(err)
		}
		commit.Position = positionIn(now.pages, looked, commit)
		if commit.Position == 0 && now.sealed() > sealed {
			sealed = now.sealed()
			commit.Position, err = d.calls.positionOf(ctx, commit.Stream, commit.Version)
		}
		if commit.Position > 0 || err != nil {
			return commit, d.ended(err)
		}
		looked = now.end()
		if err := d.calls.pause(ctx, d.poll); err != nil {
			return commit, d.ended(err)
		}
	}
}

// positionIn looks for a commit's last event in pages behind a position.
func positionIn(pages []page, after int64, commit annals.Commit) int64 {
	for i := range pages {
		if pages[i].last <= after {
			continue
		}
		for k := range pages[i].events {
			if e := &pages[i].events[k]; e.Version == commit.Version && e.Stream == commit.Stream {
				return e.Position
			}
		}
	}
	return 0
}

// positionOf looks an event up in the index of sealed runs; 0 if it is not there.
func (c *calls) positionOf(ctx context.Context, stream string, version int64) (int64, error) {
	for i, err := range c.query(ctx, c.logTable(), span{pk: byStream + stream, from: 1, to: math.MaxInt64, backward: true, few: 2}) {
		if err != nil {
			return 0, err
		}
		p, err := newPosting(i)
		if err != nil {
			return 0, err
		}
		if p.version > version {
			continue
		}
		if at := version - p.version; at < int64(len(p.places)) {
			return p.places[at], nil
		}
		return 0, nil
	}
	return 0, nil
}
