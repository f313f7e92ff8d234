package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/tracking"
	"github.com/eb901187/annals/tracking/gateway"
	"github.com/eb901187/annals/tracking/sink"
)

func (a *app) gateway() *cobra.Command {
	file, check := "", false
	c := &cobra.Command{
		Use:   "gateway",
		Short: "Send calls on to services, and record each of them",
		Long: "Send calls on to services, and record each of them. The file says what to listen on,\n" +
			"where calls go by host and path, and where they are recorded: a server, a store, an SQS\n" +
			"queue or a Kinesis stream. docs/gateway.md has all keys.\n\n" +
			"An interrupt lets the calls under way end, and then delivers what was recorded.",
		Example: "  annals gateway --check --config gateway.yaml\n  annals gateway --config gateway.yaml",
		Args:    takes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return usage("gateway needs --config", help(cmd)+" says more")
			}
			config, err := a.gatewayConfig(file)
			switch {
			case err != nil:
				return err
			case check:
				return a.checkGateway(cmd.Context(), file, config)
			}
			return a.runGateway(cmd.Context(), config)
		},
	}
	c.Flags().StringVar(&file, "config", "", "the YAML file of the gateway")
	c.Flags().BoolVar(&check, "check", false, "only check the file and what it names, and exit")
	explainStore(c, "")
	return c
}

// largestConfig is in bytes.
const largestConfig = 1 << 20

func (a *app) gatewayConfig(file string) (*gateway.Config, error) {
	info, err := os.Stat(file)
	if err == nil && info.Size() > largestConfig {
		return nil, &annals.Error{Code: annals.CodeTooLarge, Message: file + " is longer than 1 MiB", Hint: "name the YAML file of a gateway"}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		code := annals.CodeInvalid
		if errors.Is(err, os.ErrNotExist) {
			code = annals.CodeNotFound
		}
		return nil, &annals.Error{Code: code, Message: "the configuration can't be read", Err: err, Hint: "--config names a YAML file; docs/gateway.md has an example"}
	}
	config, err := gateway.Parse(file, text)
	if err != nil {
		return nil, err
	}
	return config, config.CheckFiles()
}

// checkGateway says that a file is in order, whose parts have been checked but for the
// place to record to. A store is not opened, for another process may have it open.
func (a *app) checkGateway(ctx context.Context, file string, config *gateway.Config) error {
	if sink.Opens(config.Record.To) {
		if _, _, err := a.openSink(ctx, config.Record.To); err != nil {
			return err
		}
	}
	if a.asJSON {
		return a.printJSON(map[string]any{"file": file, "services": len(config.Services), "routes": len(config.Routes), "record": config.Record.To})
	}
	_, err := fmt.Fprintf(a.out, "%s is in order: %d services, %d routes, recorded to %s\n", file, len(config.Services), len(config.Routes), config.Record.To)
	return err
}

// runGateway runs a gateway until ctx ends.
func (a *app) runGateway(ctx context.Context, config *gateway.Config) (err error) {
	defer gateway.CollectLess()()
	stopSpans, err := a.startSpans(ctx, config.Name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.within(ctx, spansTime, stopSpans)) }()
	to, closeSink, err := a.openSink(ctx, config.Record.To)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeSink()) }()
	var recorder *tracking.Recorder
	if to != nil {
		if recorder, err = tracking.NewRecorder(to, a.recording(&config.Record)); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, a.within(ctx, deliverTime, recorder.Close)) }()
	}
	g, err := gateway.New(config, recorder, &gateway.Options{Clock: a.clock, Logger: a.logger})
	if err != nil {
		return err
	}
	defer g.Close()
	return a.serveGateway(ctx, config, g)
}

const (
	// deliverTime is how long what was recorded may take to get to its sink at the
	// end; what does not get there stays in the spill.
	deliverTime = 30 * time.Second
	// spansTime is the same for spans, which are then lost.
	spansTime = 2 * time.Second
)

// within gives f so long, though ctx may have ended.
func (a *app) within(ctx context.Context, d time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d)
	defer cancel()
	return f(ctx)
}

func (a *app) recording(r *gateway.Record) *tracking.RecorderOptions {
	opts := &tracking.RecorderOptions{Memory: r.Memory, Spill: r.SpillDir, SpillBytes: r.SpillBytes, Clock: a.clock, Logger: a.logger}
	if r.Refuse {
		opts.Full = tracking.Refuse
	}
	return opts
}

// openSink opens what record.to names; nil for none.
func (a *app) openSink(ctx context.Context, to string) (tracking.Sink, func() error, error) {
	nothing := func() error { return nil }
	if to == gateway.RecordNowhere {
		return nil, nothing, nil
	}
	if sink.Opens(to) {
		token, err := a.serverToken()
		if err != nil {
			return nil, nil, err
		}
		s, err := sink.Open(ctx, to, &sink.Options{Token: token})
		return s, nothing, err
	}
	of := *a
	of.store = to
	store, err := of.open(ctx, true)
	if err != nil {
		return nil, nil, err
	}
	return sink.ToStore(store), store.Close, nil
}

func (a *app) serveGateway(ctx context.Context, config *gateway.Config, g *gateway.Gateway) error {
	calls, err := gatewayListen(ctx, "listen", config.Listen)
	if err != nil {
		return err
	}
	said := map[string]string{"address": "http://" + calls.Addr().String(), "record": config.Record.To}
	if config.TLS != nil {
		said["address"] = "https://" + calls.Addr().String()
	}
	// The admin address says that calls end, so it ends after them.
	watched, stop := context.WithCancel(context.WithoutCancel(ctx))
	admin := make(chan error, 1)
	serving, failed := context.WithCancel(ctx)
	defer failed()
	if config.Admin == "" {
		admin <- nil
	} else {
		listener, err := gatewayListen(ctx, "admin", config.Admin)
		if err != nil {
			stop()
			return errors.Join(err, calls.Close())
		}
		said["admin"] = "http://" + listener.Addr().String()
		go func() {
			err := g.ServeAdmin(watched, listener)
			if watched.Err() == nil {
				failed()
			}
			admin <- err
		}()
	}
	if err = a.sayRouting(said); err == nil {
		err = g.Serve(serving, calls)
	} else {
		err = errors.Join(err, calls.Close())
	}
	stop()
	return errors.Join(err, <-admin)
}

func (a *app) sayRouting(said map[string]string) (err error) {
	switch {
	case a.asJSON:
		err = a.printJSON(said)
	case said["admin"] == "":
		_, err = fmt.Fprintf(a.out, "routing on %s, recording to %s\n", said["address"], said["record"])
	default:
		_, err = fmt.Fprintf(a.out, "routing on %s, recording to %s, metrics on %s/metrics\n", said["address"], said["record"], said["admin"])
	}
	return errors.Join(err, a.out.Flush())
}

// gatewayListen listens on the address that a key of the configuration names.
func gatewayListen(ctx context.Context, key, address string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, &annals.Error{
			Code: annals.CodeUnavailable, Message: "can't listen on " + address + ", which " + key + " names", Err: err,
			Hint: "another process may listen there, or the address is not this machine's; name another one",
		}
	}
	return listener, nil
}
