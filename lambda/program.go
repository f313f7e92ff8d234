package lambda

import (
	"context"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/view"
)

// A Program is what a binary of one's own adds to the roles. The zero Program is
// that of the stock bootstrap: projections come from files, and role react has
// nothing to do and refuses to start.
type Program struct {
	// Projections are those in Go, beside the files of ANNALS_PROJECTIONS. write
	// keeps their views; query and playback know them. Give one in several
	// revisions as projection.Open describes.
	Projections []*projection.Projection
	// Gateway makes the gateway for the outside calls of projections and Reactors;
	// without it they have none, and make calls at every handling.
	Gateway func(ctx context.Context, store *annals.Store) (*effect.Gateway, error)
	// Reactors makes what role react runs: all of them, at once, at each wake-up,
	// until they have handled what the log holds.
	Reactors func(ctx context.Context, w *Workplace) ([]Reactor, error)
}

// A Workplace is what Reactors are made with. Store and Views are closed by the
// function.
type Workplace struct {
	Store   *annals.Store
	Views   view.Store
	Effects *effect.Gateway // nil without Program.Gateway
	// Consumer has the function's log and a pace that suits one that runs for
	// seconds: pass it on in reaction.Options.
	Consumer *consumer.Options
}

// A Reactor is a *reaction.Reaction or a *reaction.Process.
type Reactor interface {
	Name() string
	// CatchUp handles what the log holds and returns; see reaction.Reaction.
	CatchUp(ctx context.Context) error
}
