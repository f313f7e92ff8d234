package httpapi

import (
	"context"
	"fmt"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/projection"
)

// IntoProjection is a playback.Target that builds a generation of the projection called
// name from the selection only, beside the live one. Somebody has to run the Set, whose
// Options.Part is playback.ParsePart. The generation's documents are read by its number;
// a resumed playback goes on with it. It reports how far that has come.
func IntoProjection(set *projection.Set, name string) playback.Target {
	return &intoProjection{set: set, name: name}
}

type intoProjection struct {
	set    *projection.Set
	name   string
	number int
}

// Destination implements playback.Target.
func (t *intoProjection) Destination() playback.Destination {
	return playback.Destination{Kind: playback.KindProjection, Name: t.name}
}

// Check implements playback.Target.
func (t *intoProjection) Check(ctx context.Context, _ *annals.Store) error {
	info, err := t.set.Show(ctx, t.name)
	if err != nil {
		return err
	}
	if info.Live == 0 {
		return &annals.Error{Code: annals.CodeConflict, Message: "projection " + t.name + " has no live view beside which a part could be built", Hint: "annals projection rebuild " + t.name + " builds it"}
	}
	if next := info.Building(); next != nil {
		return &annals.Error{
			Code: annals.CodeConflict, Message: fmt.Sprintf("generation %d of projection %s is being built", next.Number, t.name),
			Hint: fmt.Sprintf("switch to it, or annals projection delete %s --generation %d", t.name, next.Number),
		}
	}
	return nil
}

// Open implements playback.Target.
func (t *intoProjection) Open(ctx context.Context, _ *annals.Store, p *playback.Playback, _ bool) error {
	part, err := p.Part()
	if err != nil {
		return err
	}
	t.number, err = t.set.BuildPart(ctx, t.name, part)
	return err
}

// Reached implements playback.Reader.
func (t *intoProjection) Reached(ctx context.Context) (int64, error) {
	info, err := t.set.Show(ctx, t.name)
	if err != nil {
		return 0, err
	}
	g := info.Generation(t.number)
	if g == nil || g.Role == projection.Deleted {
		return 0, &annals.Error{
			Code: annals.CodeConflict, Message: fmt.Sprintf("generation %d of projection %s was deleted meanwhile", t.number, t.name),
			Hint: "resume the playback: that builds another",
		}
	}
	if g.Status.State == consumer.Stalled && g.Status.Error != "" {
		return 0, &annals.Error{
			Code: annals.CodeUnavailable, Message: fmt.Sprintf("generation %d of projection %s stands still at position %d: %s", t.number, t.name, g.Status.Position, g.Status.Error),
			Hint: "mend it, and resume the playback",
		}
	}
	return g.Status.Position, nil
}

// Write implements playback.Target; the generation reads by itself.
func (t *intoProjection) Write(context.Context, []annals.Event) error { return nil }

// Flush implements playback.Target.
func (t *intoProjection) Flush(context.Context) (int64, error) { return 0, nil }

// Close implements playback.Target.
func (t *intoProjection) Close() error { return nil }
