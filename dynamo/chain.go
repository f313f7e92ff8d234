package dynamo

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/eb901187/annals"
)

// Chain implements annals.Chainer. Pages and runs say which of their events are one
// commit and what that commit names; where an earlier version wrote them, the items
// of the events table do, and reading costs a request for each row of events of one
// stream.
func (d *Driver) Chain(ctx context.Context, after, until int64) iter.Seq2[annals.ChainedCommit, error] {
	return func(yield func(annals.ChainedCommit, error) bool) {
		ctx, done, err := d.begin(ctx, "chain")
		if err != nil {
			yield(annals.ChainedCommit{}, err)
			return
		}
		defer done()
		err = d.chain(ctx, after, until, func(c *annals.ChainedCommit) bool {
			last := c.Events[len(c.Events)-1].Position
			if last <= after {
				return true
			}
			return last <= until && yield(ownedCommit(c), nil)
		})
		if err != nil {
			yield(annals.ChainedCommit{}, d.ended(err))
		}
	}
}

// chain passes the commits of all pages and runs that hold positions past after and up
// to until to f, until that returns false.
func (d *Driver) chain(ctx context.Context, after, until int64, f func(*annals.ChainedCommit) bool) error {
	now, err := d.view.refresh(ctx)
	if err != nil {
		return err
	}
	pass := func(held part, err error) (bool, error) {
		var commits []annals.ChainedCommit
		if err == nil {
			commits, err = d.calls.chained(ctx, held)
		}
		if err != nil {
			return false, err
		}
		for i := range commits {
			if err := context.Cause(ctx); err != nil {
				return false, err
			}
			if !f(&commits[i]) {
				return false, nil
			}
		}
		return true, nil
	}
	for _, r := range between(now.runs, after+1, until) {
		if goOn, err := pass(d.view.run(ctx, r)); !goOn {
			return err
		}
	}
	for _, p := range now.pages {
		if p.last <= after || p.first > until {
			continue
		}
		if goOn, err := pass(p.part, nil); !goOn {
			return err
		}
	}
	return nil
}

// ownedCommit is a copy that its reader may change.
func ownedCommit(c *annals.ChainedCommit) annals.ChainedCommit {
	own := *c
	own.Events = make([]annals.Event, len(c.Events))
	for i := range own.Events {
		own.Events[i] = owned(&c.Events[i])
	}
	return own
}

// ties are those of the part's events, in their order.
func (p *part) parse() ([]tie, error) {
	ties, err := parseTies(p.ties, len(p.events))
	if err == nil {
		events := p.events
		for _, t := range ties {
			if t.kind != inItems && len(rows(events[:t.count])) > 1 {
				err = fmt.Errorf("position %d begins a commit of several streams", events[0].Position)
			}
			events = events[t.count:]
		}
	}
	if err != nil {
		return nil, damaged(fmt.Sprintf("the log at position %d", p.events[0].Position), err)
	}
	return ties, nil
}

// chained cuts a part of the log into its commits.
func (c *calls) chained(ctx context.Context, p part) (commits []annals.ChainedCommit, err error) {
	ties, err := p.parse()
	if err != nil {
		return nil, err
	}
	events := p.events
	for _, t := range ties {
		own := events[:t.count]
		events = events[t.count:]
		if t.kind != inItems {
			commits = append(commits, annals.ChainedCommit{Previous: t.previous, Unchained: t.kind == untied, Events: own})
			continue
		}
		found, err := c.lookUpTies(ctx, own)
		if err != nil {
			return nil, err
		}
		commits = append(commits, found...)
	}
	return commits, nil
}

// rows cuts events where the stream changes or its versions do not go on. No
// commit is in two of them.
func rows(events []annals.Event) (rows [][]annals.Event) {
	for len(events) > 0 {
		n := 1
		for n < len(events) && events[n].Stream == events[0].Stream && events[n].Version == events[n-1].Version+1 {
			n++
		}
		rows, events = append(rows, events[:n]), events[n:]
	}
	return rows
}

// lookUpTies cuts events of the log into commits as the events table has them. It
// asks for each row by itself, which needs no right that reading does not need.
func (c *calls) lookUpTies(ctx context.Context, events []annals.Event) ([]annals.ChainedCommit, error) {
	all := rows(events)
	found := make([][]annals.ChainedCommit, len(all))
	err := c.each(len(all), func(i int) error {
		row := all[i]
		for s, err := range c.commits(ctx, row[0].Stream, row[0].Version, row[len(row)-1].Version, false) {
			if err != nil {
				return err
			}
			if len(row) == 0 || s.first != row[0].Version || s.count > int64(len(row)) {
				return damaged(s.at(), fmt.Errorf("the log has the commit's events at other places than behind each other"))
			}
			found[i] = append(found[i], s.chainedCommit(row[:s.count]))
			row = row[s.count:]
		}
		if len(row) > 0 {
			return damaged(eventName(row[0].Stream, row[0].Version), fmt.Errorf("the log has it at position %d, and the events table does not", row[0].Position))
		}
		return nil
	})
	return slices.Concat(found...), err
}
