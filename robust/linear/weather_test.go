package linear

import (
	"context"
	"iter"
	"sync"

	"github.com/eb901187/annals"
)

// weather is a driver that fails at random. It also holds appends back, so that they
// land long after their caller was told that nobody knows.
type weather struct {
	annals.Driver
	*dice
	calls counter
	late  sync.WaitGroup
}

var ofAppends = []chance{{"append lost", 60}, {"answer lost", 70}, {"append late", 40}, {"append refused", 20}, {"append held", 20}}

func newWeather(driver annals.Driver, seed uint64) *weather {
	return &weather{Driver: driver, dice: newDice(seed, "append lost", "answer lost", "append late", "append refused", "append held", "read refused")}
}

func (w *weather) Append(ctx context.Context, stream string, expected int64, events []annals.Event) (annals.Commit, error) {
	defer w.calls.add()
	switch w.fall(ofAppends) {
	case "append lost":
		return annals.Commit{}, annals.ErrUnknownOutcome
	case "append refused":
		return annals.Commit{}, annals.ErrUnavailable
	case "append held":
		select {
		case <-w.calls.after(1 + w.below(4)):
		case <-ctx.Done(): // all are held
		}
		ctx = context.WithoutCancel(ctx)
	case "append late":
		landing := w.calls.after(1 + w.below(40))
		w.late.Go(func() {
			<-landing
			_, _ = w.Driver.Append(context.WithoutCancel(ctx), stream, expected, events) // nobody asks any more
		})
		return annals.Commit{}, annals.ErrUnknownOutcome
	case "answer lost":
		if c, err := w.Driver.Append(ctx, stream, expected, events); err != nil {
			return c, err
		}
		return annals.Commit{}, annals.ErrUnknownOutcome
	}
	return w.Driver.Append(ctx, stream, expected, events)
}

// Stream refuses every fourth read, so that looking for an append often fails too.
func (w *weather) Stream(ctx context.Context, stream string, from, to int64, backward bool) iter.Seq2[annals.Event, error] {
	defer w.calls.add()
	if w.fall([]chance{{"read refused", 250}}) != "" {
		return func(yield func(annals.Event, error) bool) { yield(annals.Event{}, annals.ErrUnavailable) }
	}
	return w.Driver.Stream(ctx, stream, from, to, backward)
}

// direct is a world of one driver in this process.
type direct struct {
	*weather
	shared *annals.Store
}

func newDirect(driver annals.Driver, seed uint64) *direct {
	w := newWeather(driver, seed)
	return &direct{w, annals.New(w, w.options())}
}

func (d *direct) begin(int) {
	d.calls.hold()
	d.quiet(false)
}

func (d *direct) store(int) *annals.Store { return d.shared }
func (d *direct) planted() map[string]int { return d.counts() }

func (d *direct) calm() *annals.Store {
	d.quiet(true)
	d.calls.release()
	d.late.Wait()
	return d.shared
}
