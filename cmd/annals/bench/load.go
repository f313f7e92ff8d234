package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/eb901187/annals"
)

// LoadOptions says how a served store is loaded.
type LoadOptions struct {
	Options // Only names parts: rates, soak, overload, followers, size; empty runs all
	// For is how long a part lasts that has no end of its own: an hour of soak, 5
	// minutes of overload, a minute of followers, 30 s of a rate by default.
	For time.Duration
	// Followers is how many follow at once in the part of that name; 1,000 by default.
	Followers int
	// Flags are passed to annals serve.
	Flags []string
	// Log, if set, is told once a minute how a long part stands.
	Log func(string)
}

// A loader measures one part after the other.
type loader struct {
	LoadOptions
	dir   string // removed after the run
	start Start
}

// lasting is how long a part lasts.
func (l *loader) lasting(full, quick time.Duration) time.Duration {
	if l.For > 0 {
		return l.For
	}
	return l.duration(full, quick)
}

// loadParts are what there is to measure, in the order in which it is done.
var loadParts = []struct {
	name    string
	measure func(*loader, context.Context) (LoadPart, error)
}{
	{"rates", (*loader).rates}, {"followers", (*loader).followers}, {"overload", (*loader).overload}, {"soak", (*loader).soak}, {"size", (*loader).sizes},
}

// RunLoad loads a store that is served by a process of its own, in an open loop, and
// judges what came of it; the part size has its store in this process. A part that
// does not exist gives an *annals.Error of CodeUsage. What falls short is in the
// report; an error says that something could not be measured.
func RunLoad(ctx context.Context, opts LoadOptions, start Start) (report LoadReport, err error) {
	l := &loader{LoadOptions: opts, start: start}
	if l.Say == nil {
		l.Say = func(string) {}
	}
	if l.Log == nil {
		l.Log = func(string) {}
	}
	if l.Followers == 0 {
		l.Followers = l.Options.size(1000, 100)
	}
	var names []string
	for _, part := range loadParts {
		names = append(names, part.name)
	}
	for _, name := range l.Only {
		if !slices.Contains(names, name) {
			return report, &annals.Error{
				Code: annals.CodeUsage, Message: fmt.Sprintf("there is no part %q of the load", name), Hint: "name some of " + strings.Join(names, ", "),
			}
		}
	}
	if l.dir, err = os.MkdirTemp(opts.Dir, "annals-bench-"); err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(l.dir)) }()
	for _, part := range loadParts {
		if !l.wants(part.name) {
			continue
		}
		measured, err := part.measure(l, ctx)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return report, fmt.Errorf("%s: %w", part.name, err)
		}
		measured.Part = part.name
		report.Parts = append(report.Parts, measured)
	}
	return report, nil
}

// serving makes a store of n aggregates, serves it, and calls f.
func (l *loader) serving(ctx context.Context, name string, n int, f func(*Served) error, flags ...string) (err error) {
	dir := filepath.Join(l.dir, name)
	l.Say(name + ": filling a store")
	if err := prepare(ctx, dir, n); err != nil {
		return err
	}
	server, err := l.start(ctx, dir, slices.Concat(l.Flags, flags)...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop(), os.RemoveAll(dir)) }()
	return f(server)
}
