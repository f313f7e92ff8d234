package bench

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/eb901187/annals"
)

// Options says what to measure.
type Options struct {
	// Quick takes fewer events and shorter rounds: under a minute on 2 cores.
	Quick bool
	// Dir is where stores are made, in a directory of their own that is removed;
	// empty takes the system's. The speed is that of its disk.
	Dir string
	// Only names the workloads to run; empty runs all.
	Only []string
	// Say, if set, is told what is measured now.
	Say func(string)
}

// rounds of every workload, the engines interleaved; a row is their median.
const rounds = 6

type bencher struct {
	Options
	dir string // removed after the run
}

// size picks between the full and the quick size of something.
func (o Options) size(full, quick int) int {
	if o.Quick {
		return quick
	}
	return full
}

func (o Options) duration(full, quick time.Duration) time.Duration {
	if o.Quick {
		return quick
	}
	return full
}

// group is workloads that share what they measure.
type group struct {
	workloads []string
	measure   func(context.Context) ([]Row, error)
}

// Run measures every workload that opts names. A name that is none gives an
// *annals.Error of CodeUsage.
func Run(ctx context.Context, opts Options) (report Report, err error) {
	b := &bencher{Options: opts}
	if b.Say == nil {
		b.Say = func(string) {}
	}
	if b.dir, err = os.MkdirTemp(opts.Dir, "annals-bench-"); err != nil {
		return report, err
	}
	defer func() {
		if gone := os.RemoveAll(b.dir); err == nil {
			err = gone
		}
	}()
	groups := []group{
		{[]string{"append-1"}, b.appends(1)},
		{[]string{"append-16"}, b.appends(16)},
		{[]string{"append-64"}, b.appends(64)},
		{[]string{"append-256"}, b.appends(256)},
		{[]string{"load-10", "load-1000", "by-type-100", "scan"}, b.reads},
		{[]string{"ingest", "reopen"}, b.ingest},
		{[]string{"http-2000"}, b.http},
		{[]string{"rebuild-go", "rebuild-jq"}, b.rebuilds},
		{[]string{"visible-1000"}, b.visible},
		{[]string{"fork", "playback-file", "playback-store"}, b.copies},
		{[]string{"calls-500"}, b.calls},
	}
	if err := b.known(names(groups)); err != nil {
		return report, err
	}
	for _, g := range groups {
		if !b.wants(g.workloads...) {
			continue
		}
		rows, err := g.measure(ctx)
		if err != nil {
			return report, fmt.Errorf("%s: %w", g.workloads[0], err)
		}
		for _, row := range rows {
			if b.wants(row.Workload) {
				row.P50Us, row.P99Us = tenths(row.P50Us), tenths(row.P99Us)
				report.Rows = append(report.Rows, row)
			}
		}
	}
	return report, nil
}

func names(groups []group) (all []string) {
	for _, g := range groups {
		all = append(all, g.workloads...)
	}
	return all
}

// known refuses names that are no workload's.
func (o Options) known(all []string) error {
	for _, name := range o.Only {
		if !slices.Contains(all, name) {
			return &annals.Error{
				Code: annals.CodeUsage, Message: fmt.Sprintf("there is no workload %q", name),
				Hint: "name some of " + strings.Join(all, ", "),
			}
		}
	}
	return nil
}

func (o Options) wants(workloads ...string) bool {
	return len(o.Only) == 0 || slices.ContainsFunc(workloads, func(w string) bool { return slices.Contains(o.Only, w) })
}

func (b *bencher) appends(writers int) func(context.Context) ([]Row, error) {
	return func(ctx context.Context) ([]Row, error) {
		row, err := measureAppends(ctx, b.dir, writers, rounds, b.duration(2*time.Second, 200*time.Millisecond), b.Say)
		return []Row{row}, err
	}
}
