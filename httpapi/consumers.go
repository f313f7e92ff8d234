package httpapi

import (
	"context"
	"math"
	"net/http"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/projection"
)

// Consumers is the answer to what consumers there are.
type Consumers struct {
	Consumers []consumer.Status `json:"consumers"`
}

// ParkedPage is some of a consumer's parked events.
type ParkedPage struct {
	Consumer string            `json:"consumer"`
	Parked   []consumer.Parked `json:"parked"`
	Next     int64             `json:"next,string,omitempty"` // the page behind this one is after this position; absent at the end
}

// Asked is the answer to what was asked of a consumer about parked events.
type Asked struct {
	Consumer string `json:"consumer"`
	Retrying int    `json:"retrying"` // events that are tried now; one that waits behind another has its turn later
}

func (s *server) consumers(set *projection.Set, w http.ResponseWriter, r *request) error {
	all, err := set.Consumers(r.Context())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, mediaJSON, Consumers{all})
	return nil
}

func (s *server) pauseConsumer(set *projection.Set, w http.ResponseWriter, r *request) error {
	return s.steer(set, w, r, (*consumer.Control).Pause)
}

func (s *server) resumeConsumer(set *projection.Set, w http.ResponseWriter, r *request) error {
	return s.steer(set, w, r, (*consumer.Control).Resume)
}

func (s *server) steer(set *projection.Set, w http.ResponseWriter, r *request, do func(*consumer.Control, context.Context) error) error {
	name, err := set.ConsumerName(r.Context(), r.vars[0])
	if err != nil {
		return err
	}
	if err := do(set.Control(name), r.Context()); err != nil {
		return err
	}
	set.Wake(name)
	status, err := set.Status(r.Context(), name)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, mediaJSON, status)
	return nil
}

func (s *server) parked(set *projection.Set, w http.ResponseWriter, r *request) error {
	a := args{r: r}
	after, limit := a.number("after"), a.limit()
	if err := a.err(); err != nil {
		return err
	}
	name, err := set.ConsumerName(r.Context(), r.vars[0])
	if err != nil {
		return err
	}
	page := ParkedPage{Consumer: name, Parked: []consumer.Parked{}}
	for p, err := range set.Control(name).ParkedAfter(r.Context(), after) {
		if err != nil {
			return err
		}
		if n := len(page.Parked); n == limit {
			page.Next = page.Parked[n-1].Position
			break
		}
		page.Parked = append(page.Parked, p)
	}
	writeJSON(w, http.StatusOK, mediaJSON, page)
	return nil
}

func (s *server) retryAll(set *projection.Set, w http.ResponseWriter, r *request) error {
	return s.ask(set, w, r, nil, func(c *consumer.Control, ctx context.Context, _ int64) (int, error) { return c.Retry(ctx) })
}

func (s *server) retryOne(set *projection.Set, w http.ResponseWriter, r *request) error {
	return s.ask(set, w, r, &args{r: r}, func(c *consumer.Control, ctx context.Context, position int64) (int, error) {
		return c.Retry(ctx, position)
	})
}

func (s *server) edit(set *projection.Set, w http.ResponseWriter, r *request) error {
	a := args{r: r}
	reason := a.text("reason")
	if err := r.plainBody(); err != nil {
		return err
	}
	data, err := s.read(w, r, annals.MaxDataBytes)
	if err != nil {
		return err
	}
	return s.ask(set, w, r, &a, func(c *consumer.Control, ctx context.Context, position int64) (int, error) {
		return decided(ctx, c, position, func() error { return c.Edit(ctx, position, data, reason) })
	})
}

func (s *server) drop(set *projection.Set, w http.ResponseWriter, r *request) error {
	a := args{r: r}
	reason := a.text("reason")
	return s.ask(set, w, r, &a, func(c *consumer.Control, ctx context.Context, position int64) (int, error) {
		return decided(ctx, c, position, func() error { return c.Drop(ctx, position, reason) })
	})
}

// decided does what was decided about a parked event, and returns 1 if it is
// tried at once.
func decided(ctx context.Context, c *consumer.Control, position int64, do func() error) (int, error) {
	p, err := c.ParkedAt(ctx, position)
	if err != nil {
		return 0, err
	}
	retrying := 1
	if p.Waiting {
		retrying = 0
	}
	return retrying, do()
}

// ask asks something of a consumer; a is nil where the path names no position.
func (s *server) ask(set *projection.Set, w http.ResponseWriter, r *request, a *args, do func(*consumer.Control, context.Context, int64) (int, error)) error {
	position := int64(0)
	if a != nil {
		if position = a.parse("position", r.vars[1], math.MaxInt64); position == 0 && len(a.violations) == 0 {
			a.bad("position", "must be that of a parked event")
		}
		if err := a.err(); err != nil {
			return err
		}
	}
	name, err := set.ConsumerName(r.Context(), r.vars[0])
	if err != nil {
		return err
	}
	retrying, err := do(set.Control(name), r.Context(), position)
	if err != nil {
		return err
	}
	set.Wake(name)
	writeJSON(w, http.StatusOK, mediaJSON, Asked{name, retrying})
	return nil
}
