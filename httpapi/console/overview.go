package console

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/tracking"
)

var overviewScreens = []screen{
	{path: "{$}", template: "overview.html", nav: "Overview", key: "o", read: (*console).overview, live: true},
}

// An overviewPage is the store at a glance.
type overviewPage struct {
	Head int64
	Rate *appendRate

	Storage        string // empty where it is not known
	StorageTrouble string

	Keeps   bool             // this server keeps projections
	Slowest *consumer.Status // nil if there are no consumers
	Parked  int
	Stalled int

	Failing []serviceRow // services with failed calls, those with most first
	More    int          // such services that are not listed
	Calls   int          // of the hour
	State   tracking.BoardState
}

// Behind is the lag of the slowest consumer in seconds.
func (p *overviewPage) Behind() string { return rateText(p.Slowest.Seconds) }

// failingShown is how many failing services are listed.
const failingShown = 8

func (c *console) overview(r *http.Request) (string, any, error) {
	ctx := r.Context()
	head, err := c.store.End(ctx)
	if err != nil {
		return "Overview", nil, err
	}
	p := &overviewPage{Head: head, Keeps: c.opts.Projections != nil}
	if p.Rate, err = c.appendRate(ctx, head); err != nil {
		return "Overview", nil, err
	}
	p.storage(ctx, c)
	if err := p.standing(ctx, c); err != nil {
		return "Overview", nil, err
	}
	services, state, err := c.board.Services(ctx)
	if err != nil {
		return "Overview", nil, err
	}
	p.State = state
	for _, s := range services.Services {
		p.Calls += s.Calls
		if s.Failed > 0 {
			p.Failing = append(p.Failing, serviceRow{s.Service, s.Faults, tracesAddress(s.Service, "", true, nil), newCallCells(s.CallStats)})
		}
	}
	slices.SortStableFunc(p.Failing, func(a, b serviceRow) int {
		return cmp.Or(cmp.Compare(b.Faults, a.Faults), cmp.Compare(b.Failed, a.Failed))
	})
	p.More = max(0, len(p.Failing)-failingShown)
	p.Failing = p.Failing[:len(p.Failing)-p.More]
	return "Overview", p, nil
}

// storage says how much the store takes. A disk that can't be looked at hides nothing
// else.
func (p *overviewPage) storage(ctx context.Context, c *console) {
	if c.opts.Storage == nil {
		return
	}
	n, err := c.opts.Storage(ctx)
	if err != nil {
		p.StorageTrouble = err.Error()
		return
	}
	p.Storage = bytesText(n)
}

// bytesText is a number of bytes with a unit.
func bytesText(n int64) string {
	size, unit := float64(n), 0
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	for ; size >= 1000 && unit < len(units)-1; unit++ {
		size /= 1024
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", size, units[unit])
}

// standing says where consumers stand.
func (p *overviewPage) standing(ctx context.Context, c *console) error {
	if c.opts.Projections == nil {
		return nil
	}
	all, err := c.opts.Projections.Consumers(ctx)
	for i := range all {
		s := &all[i]
		p.Parked += s.Parked
		if s.State == consumer.Stalled {
			p.Stalled++
		}
		if p.Slowest == nil || s.Seconds > p.Slowest.Seconds || s.Seconds == p.Slowest.Seconds && s.Lag > p.Slowest.Lag {
			p.Slowest = s
		}
	}
	return err
}

// rateEvents is how many events a rate is taken over before there are samples.
const rateEvents = 1000

// appendRate is how fast the log grows, by samples that are taken while somebody
// looks or, before there are any, by the time of an event some way back.
func (c *console) appendRate(ctx context.Context, head int64) (*appendRate, error) {
	now := c.opts.Clock()
	rate := c.growth.note(now, head)
	if rate.Known || head == 0 {
		return rate, nil
	}
	back := max(head-rateEvents, 1)
	for e, err := range c.store.Log(ctx, annals.Query{After: back - 1, Until: back}) {
		if err != nil {
			return nil, err
		}
		if took := now.Sub(e.Time); took > 0 && took <= 24*time.Hour {
			rate.set(float64(head-back+1)/took.Seconds(), took)
		}
	}
	return rate, nil
}
