package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/dynamo"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/httpapi/console"
	"github.com/eb901187/annals/playback"
)

const defaultListen = "127.0.0.1:4000"

func (a *app) serve() *cobra.Command {
	s := service{views: &keeping{}}
	sequence := false
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve a store over HTTP, and keep its views up to date",
		Args:  takes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.isDynamo() {
				return a.serveTables(cmd.Context(), s, sequence)
			}
			if sequence {
				_, err := a.tables("serve --sequence", otherStores)
				return err
			}
			if _, err := a.directory("serve"); err != nil {
				return err
			}
			return a.with(cmd.Context(), true, func(store *annals.Store) error {
				return a.serveStore(cmd.Context(), store, s)
			})
		},
	}
	s.addFlags(c)
	s.views.addFlags(c)
	c.Flags().BoolVar(&sequence, "sequence", false, "number the log of a dynamodb:// store too, as annals sequence does")
	return c
}

// service is how a store is served.
type service struct {
	listen     string
	insecure   bool
	console    bool
	tokens     string // a file; with neither it nor oidc everybody is let in
	oidc       oidcFlags
	tls        tlsFlags
	limits     limitFlags
	ready      func(address string) error // called before the address is printed, if it is not nil
	collectors []prometheus.Collector
	views      *keeping                                            // nil keeps no views
	targets    func(playback.Destination) (playback.Target, error) // of playbacks beyond the store; nil for none
}

func (s *service) addFlags(c *cobra.Command) {
	c.Flags().StringVar(&s.listen, "listen", defaultListen, "address to listen on; port 0 takes a free one")
	c.Flags().BoolVar(&s.insecure, "insecure", false, "listen beyond this machine also without encryption, or without asking for tokens")
	c.Flags().StringVar(&s.tokens, "tokens", "", "file of the tokens that are let in, as annals token new writes it; without it and --oidc-issuer everybody may do everything")
	s.oidc.add(c)
	s.tls.add(c)
	s.limits.add(c)
	c.Flags().BoolVar(&s.console, "console", true, "serve the web console too, under "+console.Path)
}

// serveTables serves a dynamodb:// store, with its costs among the metrics.
func (a *app) serveTables(ctx context.Context, s service, sequence bool) error {
	if err := a.known(); err != nil {
		return err
	}
	return a.withTables(ctx, 0, func(driver *dynamo.Driver) error {
		s.collectors = append(s.collectors, charges{driver})
		var err error
		if s.targets, err = a.kinesisTarget(ctx); err != nil {
			return err
		}
		sealing, err := a.sealing(ctx)
		if err != nil {
			return err
		}
		serve := func(ctx context.Context) error { return a.serveStore(ctx, annals.New(driver, sealing), s) }
		if sequence {
			return a.whileSequencing(ctx, driver, serve)
		}
		return serve(ctx)
	})
}

// serveStore serves until ctx ends; requests under way are then given time.
func (a *app) serveStore(ctx context.Context, store *annals.Store, s service) error {
	opts := httpapi.Options{Logger: a.logger, Clock: a.clock, Collectors: append(s.collectors, collectors.NewGoCollector()), PlaybackTarget: s.targets, NoteActions: true}
	var err error
	if opts.Authenticator, err = a.authenticator(ctx, store, &s); err != nil {
		return err
	}
	opts.Admission = s.limits.admission()
	opts.Eraser = a.eraser(store, &opts)
	if s.views == nil {
		return a.serveWith(ctx, store, s, &opts)
	}
	return a.keep(ctx, store, s.views, &opts, func() error { return a.serveWith(ctx, store, s, &opts) })
}

func (a *app) serveWith(ctx context.Context, store *annals.Store, s service, opts *httpapi.Options) error {
	listener, err := a.listen(ctx, &s)
	if err != nil {
		return err
	}
	address := s.tls.scheme() + "://" + listener.Addr().String()
	if s.ready != nil {
		if err := s.ready(address); err != nil {
			return errors.Join(err, listener.Close())
		}
	}
	if a.asJSON {
		err = a.printJSON(map[string]string{"address": address, "store": withoutSecrets(a.store)})
	} else {
		_, err = fmt.Fprintf(a.out, "serving %s on %s\n", withoutSecrets(a.store), address)
	}
	if err = errors.Join(err, a.out.Flush()); err != nil {
		return errors.Join(err, listener.Close())
	}
	return a.answer(ctx, listener, store, &s, opts)
}

func (a *app) answer(ctx context.Context, listener net.Listener, store *annals.Store, s *service, opts *httpapi.Options) error {
	ending := make(chan struct{})
	opts.Ending = ending
	playbacks := playback.NewRunner(store, &playback.Options{Clock: a.clock}, a.logger)
	defer playbacks.Close()
	opts.Playbacks = playbacks
	server, err := a.server(s, a.face(store, s, s.tls.scheme()+"://"+listener.Addr().String(), opts))
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	failed := make(chan error, 1)
	go func() { failed <- s.serve(server, listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	close(ending)
	const patience = 10 * time.Second
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return server.Shutdown(last)
}

func (a *app) listen(ctx context.Context, s *service) (net.Listener, error) {
	address := s.listen
	if err := s.tls.check(); err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, usage("--listen "+address+" is no address", "give HOST:PORT, for example "+defaultListen)
	}
	ip := net.ParseIP(host)
	if host != "localhost" && (ip == nil || !ip.IsLoopback()) && !s.insecure {
		if err := s.fitFor(address); err != nil {
			return nil, err
		}
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, listenErr(address, err)
	}
	return listener, nil
}

func listenErr(address string, err error) error {
	var invalid *net.AddrError
	if errors.As(err, &invalid) {
		return usage("--listen "+address+" is no address: "+invalid.Err, "give HOST:PORT, for example "+defaultListen)
	}
	hint := "choose another address with --listen"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = "another server may be running; " + hint
	case errors.Is(err, fs.ErrPermission):
		hint = "ports below 1024 are kept for administrators; " + hint
	}
	return &annals.Error{Code: annals.CodeUnavailable, Message: "can't listen on " + address, Err: err, Hint: hint}
}
