package projection

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
)

// Control steers a consumer by its name: that of a generation, such as orders@3,
// or of a reaction. Call Wake afterwards, so that it notices at once if this
// process works on it.
func (s *Set) Control(name string) *consumer.Control {
	return consumer.NewControl(s.store, s.views, name, &s.opts.Consumer)
}

// ConsumerName is the consumer that people mean by name: that of a projection's
// live generation, or the one that has this very name.
// Errors: annals.ErrNotFound where neither is known.
func (s *Set) ConsumerName(ctx context.Context, name string) (string, error) {
	if err := consumer.CheckName(name); err != nil {
		return "", err
	}
	if checkName(name) == nil {
		g, err := readGenerations(ctx, s.views, name)
		if err != nil {
			return "", err
		}
		if g.Live > 0 {
			return generationName(name, g.Live), nil
		}
	}
	known, err := consumer.Names(ctx, s.views)
	if err != nil || slices.Contains(known, name) {
		return name, err
	}
	return "", &annals.Error{Code: annals.CodeNotFound, Message: "there is no consumer " + name, Hint: "annals parked list names those that have parked events; a consumer is known once it has run"}
}

// Consumers says where every consumer stands that the view store knows, by name:
// generations and reactions.
func (s *Set) Consumers(ctx context.Context) ([]consumer.Status, error) {
	names, err := consumer.Names(ctx, s.views)
	if err != nil {
		return nil, err
	}
	all := make([]consumer.Status, len(names))
	for i, name := range names {
		if all[i], err = s.Status(ctx, name); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// check refuses views that reflect events which the store does not hold: new
// events would be taken for handled.
func (s *Set) check(ctx context.Context) error {
	all, err := s.Consumers(ctx)
	if err != nil {
		return err
	}
	for _, c := range all {
		if c.Position > c.End {
			return &annals.Error{
				Code: annals.CodeDamaged, Message: fmt.Sprintf("the view of %s reflects position %d, and the store ends at %d: they are not of the same store", c.Name, c.Position, c.End),
				Hint: "if the store was restored from a backup, remove the views, which are then built again; else name the right ones with --views",
			}
		}
	}
	return nil
}

// Status says where a consumer stands, as this process sees it if it works on it.
func (s *Set) Status(ctx context.Context, name string) (consumer.Status, error) {
	r := s.at(name)
	if r == nil {
		return s.Control(name).Status(ctx)
	}
	return r.status(ctx)
}

// status is that of the runner, or why it ended by itself.
func (r *running) status(ctx context.Context) (consumer.Status, error) {
	status, err := r.runner.Status(ctx)
	if r.finished() && r.err != nil && !errors.Is(r.err, context.Canceled) {
		status.State, status.Error = consumer.Stalled, r.err.Error()
	}
	return status, err
}
