package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/httpapi/console"
	"github.com/eb901187/annals/tracking"
)

const (
	// demoRequests are made at the start.
	demoRequests = 200
	// demoSeed makes C fail the same orders on every run.
	demoSeed = 1
	// mostRate is how many requests a second the demo makes at most.
	mostRate = 100
)

func (a *app) demo() *cobra.Command {
	s := service{}
	once, rate := false, 5.0
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run three services behind a gateway, trace their calls, and show them in the console",
		Long: "Run three services behind a gateway that records their calls. Microservice A calls B, and\n" +
			"B calls C, which fails and is slow at times. 200 requests are made at once; the traces of\n" +
			"one that went well and of one that did not are shown. Then requests go on, and the store\n" +
			"is served with its console, until Ctrl-C.\n\n" +
			"The trace of each of the 200 requests is checked: it must name C where C failed, and\n" +
			"nobody elsewhere. Otherwise the exit code is 1.",
		Args: takes,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if !(rate >= 0 && rate <= mostRate) {
				return usage(fmt.Sprintf("--rate takes 0 to %d requests a second", mostRate), help(cmd)+" says more")
			}
			if _, err := a.directory("demo"); err != nil {
				return err
			}
			dir, err := os.MkdirTemp("", "annals-demo-")
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
			if !cmd.Flags().Changed("store") {
				a.store = filepath.Join(dir, "store")
			}
			if s.views, err = demoViews(dir); err != nil {
				return err
			}
			return a.with(cmd.Context(), true, func(store *annals.Store) error {
				return a.runDemo(cmd.Context(), store, s, once, rate)
			})
		},
	}
	s.addFlags(c)
	explainStore(c, "the store: a directory; by default a temporary one that goes when the demo ends")
	c.Flags().BoolVar(&once, "once", false, "exit after the traces are shown and checked")
	c.Flags().Float64Var(&rate, "rate", rate, "requests a second that go on")
	return c
}

// runDemo makes requests, shows two and checks all; with once it ends then.
func (a *app) runDemo(ctx context.Context, store *annals.Store, s service, once bool, rate float64) (err error) {
	d, err := a.startDemo(ctx, store, faultPlan{seed: demoSeed})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close(ctx)) }()
	begin := func() (faulty madeRequest, err error) {
		made, err := d.order(ctx, demoRequests)
		if err != nil {
			return faulty, err
		}
		return a.showDemo(ctx, store, d, made)
	}
	if once {
		_, err := begin()
		return err
	}
	steady, stop := context.WithCancel(ctx)
	var traffic sync.WaitGroup
	defer traffic.Wait()
	defer stop()
	s.ready = func(address string) error {
		faulty, err := begin()
		if err != nil {
			return err
		}
		traffic.Go(func() { d.goOn(steady, demoRequests+1, rate) })
		return a.inviteTo(&s, d.address, address, faulty, rate > 0)
	}
	return a.serveStore(ctx, store, s)
}

// showDemo prints the traces of the first request that went well and of the first one
// that C failed, which it returns, and checks those of all.
func (a *app) showDemo(ctx context.Context, store *annals.Store, d *demonstration, made []madeRequest) (faulty madeRequest, err error) {
	failed := 0
	var shown [2]*tracking.Trace // healthy, faulty
	for _, m := range made {
		t, err := tracking.Read(ctx, store, m.id, a.clock())
		if err != nil {
			return m, err
		}
		planted := d.services.didFail(m.id)
		if err := checkDemo(t, m, planted); err != nil {
			return m, err
		}
		which := 0
		if planted {
			which = 1
			failed++
		}
		if shown[which] == nil {
			shown[which] = t
			if planted {
				faulty = m
			}
		}
	}
	if shown[0] == nil || shown[1] == nil {
		return faulty, demoErr(fmt.Sprintf("%s failed %d of %d requests, and was to fail some of them", serviceC, failed, len(made)))
	}
	return faulty, a.printDemo(shown, failed, len(made))
}

func (a *app) printDemo(shown [2]*tracking.Trace, failed, made int) error {
	if a.asJSON {
		return errors.Join(a.printJSON(shown[0]), a.printJSON(shown[1]),
			a.printJSON(map[string]any{"requests": made, "failed": failed, "healthy": shown[0].RequestID, "faulty": shown[1].RequestID}))
	}
	fmt.Fprintf(a.out, "made %d requests through the gateway: %s calls %s, which calls %s\n\n", made, serviceA, serviceB, serviceC)
	for _, t := range shown {
		if err := printTrace(a.out, t); err != nil {
			return err
		}
		fmt.Fprintln(a.out)
	}
	_, err := fmt.Fprintf(a.out, "%s failed %d of the %d requests, and their traces name it; those of the others name nobody\n", serviceC, failed, made)
	return err
}

// checkDemo says where the trace of a request is not what became of it: planted says
// that C has failed it.
func checkDemo(t *tracking.Trace, m madeRequest, planted bool) error {
	wantFaulty, wantFailed, became := "", 0, "that went well"
	if planted {
		wantFaulty, wantFailed, became = serviceC, 3, "that "+serviceC+" failed"
	}
	about := fmt.Sprintf("request %s of order %d, %s,", m.id, m.order, became)
	var path []string
	failed := 0
	for c := range t.Walk() {
		path = append(path, fmt.Sprintf("%s at depth %d", c.Service, c.Depth))
		if c.Failed() {
			failed++
		}
	}
	want := fmt.Sprintf("%s at depth 0, %s at depth 1, %s at depth 2", serviceA, serviceB, serviceC)
	switch has := strings.Join(path, ", "); {
	case has != want:
		return demoErr(fmt.Sprintf("%s has the calls %s in its trace, and was expected to have %s", about, has, want))
	case failed != wantFailed:
		return demoErr(fmt.Sprintf("%s has %s failed in its trace, and %d were expected", about, plural(failed, "call"), wantFailed))
	case t.Faulty != wantFaulty:
		return demoErr(fmt.Sprintf("%s names %q as the service at fault, and %q was expected", about, t.Faulty, wantFaulty))
	case (m.status >= 500) != planted:
		return demoErr(fmt.Sprintf("%s was answered with %d", about, m.status))
	}
	return nil
}

func demoErr(message string) error {
	return &annals.Error{Code: annals.CodeInternal, Message: message, Hint: "to look closer, keep the store: annals demo --once --store DIR"}
}

// inviteTo prints where the console is on the server at address, and what to try.
func (a *app) inviteTo(s *service, gateway, address string, faulty madeRequest, goesOn bool) error {
	look := address + console.Path
	if a.asJSON {
		said := map[string]string{"gateway": gateway}
		if s.console {
			said["console"] = look
		}
		return a.printJSON(said)
	}
	self := os.Args[0]
	if strings.Contains(self, "go-build") {
		self = "go run ./cmd/annals" // which left no command to call
	}
	if s.console {
		fmt.Fprintf(a.out, "\nThe console:\n  %[1]s\n  %[1]sservices\n  %[1]straces?failing=1\n  %[1]straces/%[2]s\n", look, faulty.id)
	}
	begins := "\n"
	if goesOn {
		begins = "\nRequests go on. "
	}
	_, err := fmt.Fprintf(a.out, begins+"Ask for more from another terminal, and end this one with Ctrl-C:\n"+
		"  curl -i %[5]s/orders/%[4]d    # fails again; X-Request-Id names its trace\n"+
		"  %[1]s trace %[3]s --store %[2]s\n"+
		"  %[1]s view services --store %[2]s\n"+
		"  %[1]s log --follow --types %[6]s --store %[2]s\n\n", self, address, faulty.id, faulty.order, gateway, tracking.ResponseType)
	return err
}
