package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals/cmd/annals/bench"
)

func (a *app) bench() *cobra.Command {
	opts := bench.Options{}
	var price, gateway bool
	var prices bench.PriceOptions
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
			"With --price, compute what a deployment on AWS costs a month at 0, 1, 100 and 10,000\n" +
			"events a second, by list prices. That measures nothing and asks nobody.",
		Args: takes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := a.benchReport(cmd, opts, gateway, price, prices)
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
	c.Flags().BoolVar(&opts.Quick, "quick", false, "fewer events and shorter rounds, in under a minute")
	c.Flags().StringVar(&opts.Dir, "dir", "", "where to make the stores; a new temporary directory by default")
	c.Flags().StringSliceVar(&opts.Only, "only", nil, "only these workloads, separated by commas: append-1, load-10, ingest …")
	c.Flags().BoolVar(&gateway, "gateway", false, "measure the gateway beside a bare reverse proxy, and nothing else")
	c.Flags().BoolVar(&price, "price", false, "compute what a deployment on AWS costs a month; measure nothing")
	c.Flags().IntVar(&prices.EventBytes, "event-bytes", 1024, "with --price: the size of an event's data, as JSON")
	c.Flags().IntVar(&prices.Batch, "batch", 1000, "with --price: the most messages that track and pump are given at once")
	explainStore(c, "a store in DynamoDB to measure instead: dynamodb://NAME?region=…&bucket=…")
	return c
}

type tabled interface{ Table() string }

// benchReport measures, or computes prices: each has flags that mean nothing to
// the other.
func (a *app) benchReport(cmd *cobra.Command, opts bench.Options, gateway, price bool, prices bench.PriceOptions) (tabled, error) {
	only := []string{"event-bytes", "batch"}
	if price {
		only = []string{"quick", "dir", "only", "store", "gateway"}
	}
	for _, name := range only {
		switch {
		case !cmd.Flags().Changed(name):
		case price:
			return nil, usage("--"+name+" is about measuring, and --price measures nothing", "leave --"+name+" out")
		default:
			return nil, usage("--"+name+" is about prices", "annals bench --price --"+name+" …")
		}
	}
	if price {
		if prices.EventBytes == 0 || prices.Batch == 0 {
			return nil, usage("--event-bytes and --batch must be at least 1", "annals bench --help")
		}
		return bench.Price(prices)
	}
	bar := a.progress(-1, "measuring")
	defer bar.close()
	opts.Say = func(doing string) {
		if bar.ProgressBar != nil {
			bar.Describe(doing)
		}
	}
	if gateway {
		return a.measureGateway(cmd, opts)
	}
	return a.measure(cmd, opts)
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

// measureGateway refuses the flags that are about stores.
func (a *app) measureGateway(cmd *cobra.Command, opts bench.Options) (tabled, error) {
	for _, name := range []string{"only", "store"} {
		if cmd.Flags().Changed(name) {
			return nil, usage("--"+name+" is about stores, and --gateway measures none", "leave --"+name+" out")
		}
	}
	return bench.RunGateway(cmd.Context(), opts, serveElsewhere)
}

// serveElsewhere serves a store by a process of its own, as a gateway's recordings
// are kept: what it costs is its own, on the same cores.
func serveElsewhere(ctx context.Context, store string) (address string, stop func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	c := exec.CommandContext(ctx, self, "serve", "--json", "--store", store, "--listen", "127.0.0.1:0")
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := c.Start(); err != nil {
		return "", nil, err
	}
	var serving struct{ Address string }
	if err := json.NewDecoder(out).Decode(&serving); err != nil {
		return "", nil, errors.Join(fmt.Errorf("the server did not start: %s", said.String()), err, c.Cancel(), c.Wait())
	}
	return serving.Address, func() error { return errors.Join(c.Cancel(), c.Wait()) }, nil
}
