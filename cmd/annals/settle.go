package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/consumer"
)

// A settlement follows what becomes of parked events that are tried again, and of
// those that wait behind them.
type settlement struct {
	ctx      context.Context
	api      *client.Projections
	consumer string

	before map[string]int    // parked events, by the stream of one that is tried
	now    []consumer.Parked // of these streams
	status consumer.Status
}

// settled is what --json prints of it.
type settled struct {
	Consumer string            `json:"consumer"`
	Handled  int               `json:"handled"`
	Asked    int               `json:"asked"`  // streams not tried yet: behind another event, the consumer is paused, or runs elsewhere
	Failed   []consumer.Parked `json:"failed"` // again
	Parked   int               `json:"parked"` // events that are parked now
}

// newSettlement looks at what is parked before it is tried again: the events at
// positions, or all that failed if there are none.
func newSettlement(ctx context.Context, api *client.Projections, name string, positions []int64) (*settlement, error) {
	page, err := api.Parked(ctx, name, 0, 1) // says which consumer is meant
	if err != nil {
		return nil, err
	}
	s := &settlement{ctx: ctx, api: api, consumer: page.Consumer}
	all, err := parkedEvents(ctx, api, s.consumer)
	if err != nil {
		return nil, err
	}
	s.before = map[string]int{}
	for i := range all {
		if p := &all[i]; len(positions) == 0 && !p.Waiting || slices.Contains(positions, p.Position) {
			s.before[p.Stream] = 0
		}
	}
	for i := range all {
		if n, concerned := s.before[all[i].Stream]; concerned {
			s.before[all[i].Stream] = n + 1
		}
	}
	return s, nil
}

// parkedEvents lists all parked events of a consumer.
func parkedEvents(ctx context.Context, api *client.Projections, name string) ([]consumer.Parked, error) {
	const pageLength = 1000
	var all []consumer.Parked
	for after := int64(0); ; {
		page, err := api.Parked(ctx, name, after, pageLength)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Parked...)
		if after = page.Next; after == 0 {
			return all, nil
		}
	}
}

// settle waits until the events have been tried, if somebody works on that, and
// prints what came of them.
func (a *app) settle(s *settlement) error {
	for {
		left, err := s.look()
		if err != nil {
			return err
		}
		if left == 0 {
			return a.printSettled(s, 0)
		}
		works, err := s.working()
		if err != nil {
			return err
		}
		if !works {
			return a.printSettled(s, left)
		}
		if err := pause(s.ctx, commandPoll); err != nil {
			return &annals.Error{Code: annals.CodeCanceled, Message: "interrupted before the events were tried again", Hint: "the request stands; annals parked list " + s.consumer + " shows what came of it"}
		}
	}
}

// look returns how many streams have an event that is still to be tried.
func (s *settlement) look() (left int, err error) {
	all, err := parkedEvents(s.ctx, s.api, s.consumer)
	if err != nil {
		return 0, err
	}
	s.now = s.now[:0]
	seen := map[string]bool{}
	for i := range all {
		p := &all[i]
		if _, concerned := s.before[p.Stream]; !concerned {
			continue
		}
		if s.now = append(s.now, *p); !seen[p.Stream] && (p.Retry || p.Waiting) {
			left++
		}
		seen[p.Stream] = true
	}
	return left, nil
}

// working reports whether the consumer is run by whom this command asks, and is
// not paused: a projection that is defined there.
func (s *settlement) working() (bool, error) {
	if err := s.stands(); err != nil || s.status.State == consumer.Paused {
		return false, err
	}
	name, _, _ := strings.Cut(s.status.Name, "@")
	info, err := s.api.Show(s.ctx, name)
	if errors.Is(err, annals.ErrNotFound) {
		return false, nil // a reaction, which another program runs
	}
	if err == nil && s.status.State == consumer.Stalled && s.status.Error != "" {
		err = &annals.Error{Code: annals.CodeUnavailable, Message: "consumer " + s.status.Name + " stands still: " + s.status.Error, Hint: "mend it; the request stands"}
	}
	return info.Revision != "", err
}

// stands looks where the consumer stands.
func (s *settlement) stands() error {
	all, err := s.api.Consumers(s.ctx)
	for _, c := range all {
		if c.Name == s.consumer {
			s.status = c
		}
	}
	return err
}

// result is what came of it, with left streams that are still to be tried.
func (s *settlement) result(left int) settled {
	r := settled{Consumer: s.status.Name, Asked: left, Failed: []consumer.Parked{}, Parked: s.status.Parked}
	for _, n := range s.before {
		r.Handled += n
	}
	r.Handled = max(0, r.Handled-len(s.now)) // more may have come to wait meanwhile
	for i := range s.now {
		if p := &s.now[i]; !p.Retry && !p.Waiting {
			r.Failed = append(r.Failed, *p)
		}
	}
	return r
}

func (a *app) printSettled(s *settlement, left int) error {
	if err := s.stands(); err != nil {
		return err
	}
	r := s.result(left)
	if a.asJSON {
		if err := a.printJSON(r); err != nil {
			return err
		}
	} else if err := a.saySettled(&r, s.status.State == consumer.Paused); err != nil {
		return err
	}
	if len(r.Failed) == 0 {
		return nil
	}
	return &annals.Error{
		Code: annals.CodeInvalid, Message: fmt.Sprintf("%s failed again: %s", plural(len(r.Failed), "event"), worded(r.Failed[0].Error)),
		Hint: "annals parked list " + r.Consumer + " shows the errors; mend the definition and rebuild, or annals parked edit or drop",
	}
}

func (a *app) saySettled(r *settled, paused bool) (err error) {
	if r.Handled+r.Asked+len(r.Failed) == 0 {
		_, err = fmt.Fprintf(a.out, "%s has no event to try again\n", r.Consumer)
	}
	if r.Handled > 0 {
		_, err = fmt.Fprintf(a.out, "%s of %s handled, %d parked now\n", plural(r.Handled, "event"), r.Consumer, r.Parked)
	}
	if r.Asked > 0 && err == nil {
		why := "by whoever runs " + r.Consumer
		if paused {
			why = "once " + r.Consumer + " is resumed"
		}
		_, err = fmt.Fprintf(a.out, "events of %s to be tried again %s\n", plural(r.Asked, "stream"), why)
	}
	return err
}

// worded is the text of an error in which each layer names itself.
func worded(text string) string {
	return strings.TrimPrefix(strings.ReplaceAll(text, ": annals: ", ": "), "annals: ")
}
