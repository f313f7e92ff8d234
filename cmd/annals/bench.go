package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals/cmd/annals/bench"
)

func (a *app) bench() *cobra.Command {
	var b benching
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure this machine's store beside a bare log and SQLite",
		Long: "Measure this machine's store beside a bare log and SQLite.\n\n" +
			"Given a store in DynamoDB that annals init has made, measure that instead: what each\n" +
			"operation costs, and how fast appends and loads are beside a table of one item an\n" +
			"event, which is made for it and removed. The events stay, in streams bench/…; give it\n" +
			"a store of its own that nobody else uses meanwhile. A full run costs some cents.\n\n" +
			"With --gateway, measure annals gateway beside a bare reverse proxy instead, with recording\n" +
			"and without.\n\n" +
			"With --load, serve a store by a process of its own and load it over HTTP, with requests that\n" +
			"come on a clock: at fixed rates and the highest (rates), with 1,000 followers (followers), with\n" +
			"ten times what it can do (overload), for an hour with everything at once (soak); or fill a\n" +
			"store with 20 million events (size). What was asked and whether it was so is printed.\n\n" +
			"With --price, compute what a deployment on AWS costs a month at 0, 1, 100 and 10,000\n" +
			"events a second, by list prices. That measures nothing and asks nobody.",
		Args: takes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := a.benchReport(cmd, &b)
			switch {
			case err != nil:
				return err
			case a.asJSON:
				return a.printJSON(report)
			}
			_, err = fmt.Fprint(a.out, report.Table())
			return err
		},
	}
	b.addFlags(c)
	return c
}

type tabled interface{ Table() string }

// A benching is what bench is asked to measure.
type benching struct {
	opts    bench.Options
	price   bool
	prices  bench.PriceOptions
	gateway bool
	parts   []string // of the load
	load    bench.LoadOptions
}

func (b *benching) addFlags(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&b.opts.Quick, "quick", false, "fewer events and shorter rounds, in under a minute")
	f.StringVar(&b.opts.Dir, "dir", "", "where to make the stores; a new temporary directory by default")
	f.StringSliceVar(&b.opts.Only, "only", nil, "only these workloads, separated by commas: append-1, load-10, ingest …")
	f.BoolVar(&b.gateway, "gateway", false, "measure the gateway beside a bare reverse proxy, and nothing else")
	f.StringSliceVar(&b.parts, "load", nil, "load a served store, and nothing else: rates, followers, overload, soak, size, or several of them, separated by commas")
	f.DurationVar(&b.load.For, "for", 0, "with --load: how long a rate, the followers, the overload or the soak last (default 30s, 1m, 5m, 1h)")
	f.IntVar(&b.load.Followers, "followers", 1000, "with --load followers: how many follow at once; 100 with --quick")
	f.StringArrayVar(&b.load.Flags, "serve-flag", nil, "with --load: a flag for annals serve, such as --serve-flag=--max-requests=64; may be repeated")
	f.BoolVar(&b.price, "price", false, "compute what a deployment on AWS costs a month; measure nothing")
	f.IntVar(&b.prices.EventBytes, "event-bytes", 1024, "with --price: the size of an event's data, as JSON")
	f.IntVar(&b.prices.Batch, "batch", 1000, "with --price: the most messages that track and pump are given at once")
	explainStore(c, "a store in DynamoDB to measure instead: dynamodb://NAME?region=…&bucket=…")
}

var (
	priceFlags   = []string{"event-bytes", "batch"}
	loadFlags    = []string{"for", "followers", "serve-flag"}
	measureFlags = []string{"quick", "dir", "only", "store", "gateway", "load"}
)

// foreign are the flags that mean nothing to what is asked for.
func (b *benching) foreign() []string {
	switch {
	case b.price:
		return slices.Concat(loadFlags, measureFlags)
	case len(b.parts) > 0:
		return slices.Concat(priceFlags, []string{"only", "store", "gateway"})
	case b.gateway:
		return slices.Concat(priceFlags, loadFlags, []string{"only", "store"})
	}
	return slices.Concat(priceFlags, loadFlags)
}

func foreignErr(name string) error {
	switch {
	case slices.Contains(priceFlags, name):
		return usage("--"+name+" is about prices", "annals bench --price --"+name+" …")
	case slices.Contains(loadFlags, name):
		return usage("--"+name+" is about a load", "annals bench --load … --"+name+" …")
	}
	return usage("--"+name+" is about measuring something else", "leave --"+name+" out; annals bench --help says what goes together")
}

// benchReport measures, or computes prices: each has flags that mean nothing to
// the others.
func (a *app) benchReport(cmd *cobra.Command, b *benching) (tabled, error) {
	for _, name := range b.foreign() {
		if cmd.Flags().Changed(name) {
			return nil, foreignErr(name)
		}
	}
	if b.price {
		if b.prices.EventBytes == 0 || b.prices.Batch == 0 {
			return nil, usage("--event-bytes and --batch must be at least 1", "annals bench --help")
		}
		return bench.Price(b.prices)
	}
	if b.load.For < 0 || b.load.Followers < 1 {
		return nil, usage("--for must not be negative, and --followers at least 1", "annals bench --load followers --for 1m --followers 1000")
	}
	bar := a.progress(-1, "measuring")
	defer bar.close()
	b.opts.Say = func(doing string) {
		if bar.ProgressBar != nil {
			bar.Describe(doing)
		}
	}
	switch {
	case len(b.parts) > 0:
		return a.measureLoad(cmd, b)
	case b.gateway:
		return bench.RunGateway(cmd.Context(), b.opts, serveElsewhere)
	}
	return a.measure(cmd, b.opts)
}

// measureLoad prints how the soak stands beside its report.
func (a *app) measureLoad(cmd *cobra.Command, b *benching) (tabled, error) {
	opts := b.load
	opts.Options, opts.Only = b.opts, b.parts
	if !cmd.Flags().Changed("followers") {
		opts.Followers = 0
	}
	opts.Log = func(line string) { a.logger.Info(line) }
	return bench.RunLoad(cmd.Context(), opts, startElsewhere)
}

// measure measures stores of its own, unless it is told one in DynamoDB: no other
// can be measured beside its references.
func (a *app) measure(cmd *cobra.Command, opts bench.Options) (tabled, error) {
	if !cmd.Flags().Changed("store") {
		return bench.Run(cmd.Context(), opts)
	}
	address, err := a.tables("bench --store", "without --store, bench makes stores of its own and measures those")
	switch {
	case err != nil:
		return nil, err
	case opts.Dir != "":
		return nil, usage("--dir says where to make stores, and bench makes none for "+a.store, "leave --dir out")
	}
	return bench.RunTables(cmd.Context(), address, opts)
}

// serveElsewhere serves a store by a process of its own, as a gateway's recordings
// are kept: what it costs is its own, on the same cores.
func serveElsewhere(ctx context.Context, store string) (address string, stop func() error, err error) {
	served, err := startElsewhere(ctx, store)
	if err != nil {
		return "", nil, err
	}
	return served.Address, served.Stop, nil
}

// startElsewhere is serveElsewhere with more flags of serve.
func startElsewhere(ctx context.Context, store string, flags ...string) (*bench.Served, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return bench.StartCommand(ctx, self, store, flags...)
}
