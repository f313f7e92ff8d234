package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/projection"
)

func (a *app) projectionRebuild() *cobra.Command {
	var v viewing
	r := rebuilding{app: a}
	c := &cobra.Command{
		Use: "rebuild [NAME]", Short: "Build a view anew beside the live one", Args: takes, ValidArgsFunction: a.completeProjections,
		Long: "Build a view anew beside the live one, by the definition as it is now, and wait until it\n" +
			"has caught up. The live view answers reads until annals projection switch, or --switch,\n" +
			"which does it then. After an interruption run it again: it goes on. With --all, build\n" +
			"every view anew; with --switch each is switched as it catches up.",
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case (len(args) == 1) == r.all:
				return usage("projection rebuild needs a NAME or --all", "annals projection list names the projections")
			case r.leave && r.switchOver:
				return usage("--no-wait can't switch to what is not built yet", "leave one of --no-wait and --switch out")
			case r.leave && !a.isRemote():
				return usage("--no-wait needs a server that goes on building", "leave it out, or name a server with --store http://…")
			}
			r.ctx, r.names = cmd.Context(), args
			return a.withProjections(cmd.Context(), &v, true, r.run)
		},
	}
	v.addFlags(c)
	c.Flags().BoolVar(&r.all, "all", false, "all projections")
	c.Flags().BoolVar(&r.switchOver, "switch", false, "let reads be answered from it once it has caught up")
	c.Flags().BoolVar(&r.leave, "no-wait", false, "begin it and let the server build it (http:// only)")
	return c
}

// A rebuilding is one run of the command.
type rebuilding struct {
	app                    *app
	ctx                    context.Context
	names                  []string
	all, switchOver, leave bool
	repair                 *effect.RepairOptions // nil for a rebuild

	builds []*build
	bar    bar
}

// A build is a generation on its way.
type build struct {
	name   string
	number int
	info   projection.Info // at the last look
	end    int64           // of the log at the look before that
	done   bool
	err    error
}

// generation is the one that is built; nil once somebody has deleted it.
func (b *build) generation() *projection.Generation {
	if g := b.info.Generation(b.number); g != nil && g.Role != projection.Deleted {
		return g
	}
	return nil
}

func (r *rebuilding) run(p *client.Projections) error {
	if r.all {
		all, err := p.List(r.ctx)
		if err != nil {
			return err
		}
		for i := range all {
			if all[i].Revision != "" {
				r.names = append(r.names, all[i].Name)
			}
		}
	}
	for _, name := range r.names {
		info, err := r.begin(p, name)
		if err != nil {
			return r.interrupted(err)
		}
		b := &build{name: name, number: info.Live, info: info, end: -1}
		if next := info.Building(); next != nil {
			b.number = next.Number
		}
		r.builds = append(r.builds, b)
	}
	if !r.leave {
		if err := r.wait(p); err != nil {
			return r.interrupted(err)
		}
	}
	return errors.Join(r.report(), r.verdict())
}

func (r *rebuilding) begin(p *client.Projections, name string) (projection.Info, error) {
	if r.repair != nil {
		return p.Repair(r.ctx, name, *r.repair)
	}
	return p.Rebuild(r.ctx, name)
}

// wait looks at the builds until all have caught up or failed.
func (r *rebuilding) wait(p *client.Projections) error {
	r.bar = r.app.progress(1, "building "+strings.Join(r.names, ", "))
	defer r.bar.close()
	for {
		left, at, total := 0, int64(0), int64(0)
		for _, b := range r.builds {
			if !b.done {
				if err := r.look(p, b); err != nil {
					return err
				}
			}
			if g := b.generation(); g != nil {
				at, total = at+g.Status.Position, total+g.Status.End
			}
			if !b.done {
				left++
			}
		}
		if left == 0 {
			return nil
		}
		r.bar.of(at, total)
		if err := pause(r.ctx, commandPoll); err != nil {
			return err
		}
	}
}

// look sees how far b is, and finishes it when it has caught up with where the log
// ended at the look before.
func (r *rebuilding) look(p *client.Projections, b *build) error {
	info, err := p.Show(r.ctx, b.name)
	if err != nil {
		return err
	}
	b.info = info
	g := b.generation()
	switch {
	case g == nil:
		b.fail(annals.CodeConflict, "generation %d of projection %s was deleted meanwhile", "annals projection rebuild "+b.name+" begins another", b.number, b.name)
	case g.Status.State == consumer.Stalled && g.Status.Error != "":
		b.fail(annals.CodeUnavailable, "generation %d of projection %s stands still at position %d: %s", "mend it and run the command again: it goes on", b.number, b.name, g.Status.Position, g.Status.Error)
	case g.Status.State == consumer.Paused:
		b.fail(annals.CodeConflict, "generation %d of projection %s is paused at position %d", "annals projection resume "+b.name, b.number, b.name, g.Status.Position)
	case b.end >= 0 && g.Status.Position >= b.end:
		b.done = true
		if r.switchOver && g.Role == projection.Building {
			info, err := p.Switch(r.ctx, b.name, b.number, false)
			if r.ctx.Err() != nil {
				return r.ctx.Err()
			}
			if b.err = err; err == nil {
				b.info = info
			}
		}
	default:
		b.end = g.Status.End
	}
	return nil
}

func (b *build) fail(code annals.Code, format, hint string, args ...any) {
	b.done = true
	b.err = &annals.Error{Code: code, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// interrupted is err, or how to go on if it is an interrupt.
func (r *rebuilding) interrupted(err error) error {
	if r.ctx.Err() == nil {
		return err
	}
	stands := ""
	for _, b := range r.builds {
		if g := b.generation(); g != nil && !b.done {
			stands += fmt.Sprintf(", generation %d of %s at position %d of %d", g.Number, b.name, g.Status.Position, g.Status.End)
		}
	}
	hint := "run the same command again: it goes on from there"
	if r.app.isRemote() {
		hint = "the server goes on building; annals projection list shows how far it is"
	}
	return &annals.Error{Code: annals.CodeCanceled, Message: "interrupted" + stands, Hint: hint}
}

// report prints what came of each build.
func (r *rebuilding) report() error {
	if r.app.asJSON {
		if !r.all {
			return r.app.printJSON(r.builds[0].info)
		}
		all := httpapi.Projections{Projections: []projection.Info{}}
		for _, b := range r.builds {
			all.Projections = append(all.Projections, b.info)
		}
		return r.app.printJSON(all)
	}
	if len(r.builds) == 0 {
		_, err := fmt.Fprintln(r.app.out, "no projection is defined here")
		return err
	}
	for _, b := range r.builds {
		if b.err != nil {
			continue // told by the verdict
		}
		if _, err := fmt.Fprintln(r.app.out, r.outcome(b)); err != nil {
			return err
		}
		if r.repair != nil {
			fmt.Fprintln(r.app.out, repaired(b))
		}
	}
	return nil
}

func (r *rebuilding) outcome(b *build) string {
	g := b.generation()
	parked := ""
	if g.Status.Parked > 0 {
		parked = fmt.Sprintf(", with %s parked (annals parked list %s@%d)", plural(g.Status.Parked, "event"), b.name, b.number)
	}
	switch {
	case r.leave && g.Status.Lag > 0:
		return fmt.Sprintf("generation %d of %s is being built; annals projection show %s says how far it is", b.number, b.name, b.name)
	case g.Role == projection.Live:
		return fmt.Sprintf("generation %d of %s is live at position %d%s", b.number, b.name, g.Status.Position, parked)
	}
	return fmt.Sprintf("generation %d of %s is built up to position %d%s; annals projection switch %s makes it live", b.number, b.name, g.Status.Position, parked, b.name)
}

// verdict is what kept builds from their end.
func (r *rebuilding) verdict() error {
	var failed []error
	for _, b := range r.builds {
		if b.err != nil {
			failed = append(failed, b.err)
		}
	}
	if len(failed) == 1 {
		return failed[0]
	}
	return errors.Join(failed...)
}

// pause waits, or ends early in the error of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	return ctx.Err()
}
