package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/view"
)

// playing is a command's work on one playback.
type playing struct {
	app   *app
	ctx   context.Context
	leave bool
	views viewing
}

// A playbackBeginning starts or resumes a playback, in this process or at a server.
type playbackBeginning struct {
	check func(*annals.Store) error // before a target is made; nil for a resume
	here  func(*annals.Store, playback.Target, *playback.Options) (*playback.Run, error)
	there func(*client.Playbacks) (playback.Playback, error)
}

// begin begins a playback where its target can be written, and waits for its end.
func (w *playing) begin(to playback.Destination, b playbackBeginning) error {
	if w.app.isRemote() && to.Kind != playback.KindFile && to.Kind != playback.KindStore {
		if w.views != (viewing{}) {
			return usage("--projections and --views are those of the server "+w.app.store, "leave them out, or give them to annals serve")
		}
		return w.serve(b)
	}
	return w.app.with(w.ctx, false, func(store *annals.Store) error { return w.run(store, to, b) })
}

// resume is begin for a playback that is recorded.
func (w *playing) resume(id string, b playbackBeginning) error {
	return w.app.with(w.ctx, false, func(store *annals.Store) error {
		p, err := playback.Show(w.ctx, store, id, w.app.playbackOptions())
		if err != nil {
			return err
		}
		if w.app.isRemote() {
			return w.begin(p.Target, b)
		}
		return w.run(store, p.Target, b)
	})
}

// run sends the events from this process.
func (w *playing) run(store *annals.Store, to playback.Destination, b playbackBeginning) error {
	if w.leave {
		return usage("--no-wait needs a server that goes on sending", "leave it out, or name a server with --store http://… and a target that it can write")
	}
	switch to.Kind {
	case playback.KindFile:
		return w.send(store, playback.ToFile(to.Name), b)
	case playback.KindStream:
		return w.send(store, playback.ToStream(to.Name), b)
	case playback.KindStore:
		if b.check != nil {
			if err := b.check(store); err != nil {
				return err
			}
		}
		there, address, err := w.app.openTarget(w.ctx, to.Name)
		if err != nil {
			return err
		}
		return errors.Join(w.send(store, playback.ToStore(there, address), b), there.Close())
	case playback.KindKinesis:
		targets, err := w.app.kinesisTarget(w.ctx)
		if err != nil {
			return err
		}
		target, err := targets(to)
		if err != nil {
			return err
		}
		return w.send(store, target, b)
	case playback.KindProjection:
		return w.build(store, to.Name, b)
	}
	return w.send(store, nil, b)
}

// build runs the projections of this process while one of them builds a generation.
func (w *playing) build(store *annals.Store, name string, b playbackBeginning) error {
	definitions, err := w.views.load()
	if err != nil {
		return err
	}
	open := func(views view.Store) (*projection.Set, error) {
		return w.app.commandSet(w.ctx, store, views, definitions)
	}
	return w.app.withSet(w.ctx, &w.views, open, func(set *projection.Set) error {
		return whileRunning(w.ctx, set, func() error { return w.send(store, httpapi.IntoProjection(set, name), b) })
	})
}

// send works on the playback, and shows how far it is.
func (w *playing) send(store *annals.Store, target playback.Target, b playbackBeginning) error {
	what := "counting"
	if target != nil {
		what = "sending to " + target.Destination().String()
	}
	opts, bar := w.app.playbackOptions(), w.app.progress(1, what)
	opts.Progress = func(p *playback.Playback) { bar.of(p.Position, p.End) }
	run, err := b.here(store, target, opts)
	if err != nil {
		bar.close()
		return err
	}
	p, err := run.Run(w.ctx)
	bar.close()
	if err != nil {
		return w.ended(&p, err)
	}
	return w.app.printSent(&p)
}

// ended words why a playback ended before its end.
func (w *playing) ended(p *playback.Playback, err error) error {
	next := "annals playback resume " + p.ID + " goes on from there"
	switch {
	case w.ctx.Err() != nil && errors.Is(err, w.ctx.Err()):
		return &annals.Error{Code: annals.CodeCanceled, Message: fmt.Sprintf("interrupted, with %s of playback %s sent, up to position %d of %d", plural(int(p.Count), "event"), p.ID, p.Position, p.End), Hint: next}
	case errors.Is(err, playback.ErrNotOwner):
		return err
	}
	return &annals.Error{Code: annals.CodeOf(err), Message: fmt.Sprintf("playback %s failed at position %d of %d", p.ID, p.Position, p.End), Err: err, Hint: "mend it; " + next}
}

// serve lets the server run the playback, and looks how far it is.
func (w *playing) serve(b playbackBeginning) error {
	p := playback.Playback{}
	err := w.app.withPlaybacks(func(api *client.Playbacks) (err error) {
		p, err = b.there(api)
		return err
	})
	if err != nil {
		return err
	}
	if w.leave {
		return w.app.printPlayback(&p)
	}
	return w.app.with(w.ctx, false, func(store *annals.Store) error {
		bar := w.app.progress(1, "sending to "+p.Target.String())
		err := w.wait(store, &p, bar)
		bar.close()
		if err != nil {
			return err
		}
		return w.app.printSent(&p)
	})
}

// wait looks at a playback until it has ended.
func (w *playing) wait(store *annals.Store, p *playback.Playback, bar bar) error {
	for {
		now, err := playback.Show(w.ctx, store, p.ID, w.app.playbackOptions())
		if err == nil {
			*p = now
			bar.of(p.Position, p.End)
		}
		switch {
		case err != nil && w.ctx.Err() == nil:
			return err
		case p.State == playback.StateFinished:
			return nil
		case p.State == playback.StateFailed:
			return &annals.Error{Code: annals.CodeUnavailable, Message: "playback " + p.ID + " failed: " + worded(p.Error), Hint: "mend it, and annals playback resume " + p.ID}
		case p.State == playback.StateStopped:
			return &annals.Error{Code: annals.CodeConflict, Message: "playback " + p.ID + " was stopped by " + p.Runner, Hint: "annals playback resume " + p.ID + " goes on"}
		case p.State == playback.StateInterrupted:
			return &annals.Error{Code: annals.CodeUnavailable, Message: "nobody runs playback " + p.ID + " any more", Hint: "annals playback resume " + p.ID + " goes on"}
		}
		if err := pause(w.ctx, commandPoll); err != nil {
			return &annals.Error{
				Code: annals.CodeCanceled, Message: fmt.Sprintf("interrupted, with playback %s at position %d of %d", p.ID, p.Position, p.End),
				Hint: "the server goes on; annals playback stop " + p.ID + " stops it",
			}
		}
	}
}

func (a *app) printSent(p *playback.Playback) error {
	if a.asJSON {
		return a.printJSON(p)
	}
	what := fmt.Sprintf("%s sent to %s", plural(int(p.Count), "event"), p.Target)
	switch p.Target.Kind {
	case playback.KindKinesis:
		what += fmt.Sprintf("; annals playback read --kinesis %s --playback %s shows them", p.Target.Name, p.ID)
	case playback.KindProjection:
		what += fmt.Sprintf("; annals projection show %s has the generation", p.Target.Name)
	case "":
		what = fmt.Sprintf("%s for subscribers: GET /v1/playbacks/%s/events", plural(int(p.Count), "event"), p.ID)
	}
	_, err := fmt.Fprintf(a.out, "playback %s has finished: %s\n", p.ID, what)
	return err
}

// withPlaybacks runs f on the server that --store names.
func (a *app) withPlaybacks(f func(*client.Playbacks) error) error {
	if err := a.known(); err != nil {
		return err
	}
	opts, err := a.remote()
	if err != nil {
		return err
	}
	p, err := client.OpenPlaybacks(a.store, opts)
	if err != nil {
		return err
	}
	return errors.Join(f(p), p.Close())
}

// openTarget opens the store that a playback goes to, made if it is a directory without
// one, and returns the address that is recorded.
func (a *app) openTarget(ctx context.Context, address string) (*annals.Store, string, error) {
	to := a.other(address)
	if err := errors.Join(a.known(), to.known()); err != nil {
		return nil, "", err
	}
	here, there := a.canonical(), to.canonical()
	inside := a.scheme() == "" && to.scheme() == "" && (sameFile(a.store, to.store) || strings.HasPrefix(there, here+string(filepath.Separator)))
	if here == there || inside {
		return nil, "", &annals.Error{
			Code: annals.CodeInvalid, Message: "--to-store " + address + " is the store that is played back, or lies in it",
			Hint: "name another store, or use --to-stream",
		}
	}
	if !to.isDynamo() { // whose address names a bucket too
		to.store = there
	}
	store, err := to.open(ctx, true)
	return store, to.store, err
}

func sortedKeys(m map[string]int64) []string { return slices.Sorted(maps.Keys(m)) }
