package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/dynamo"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/dynamoview"
	"github.com/eb901187/annals/view/pebbleview"
	"github.com/eb901187/annals/view/sqlview/connect"
)

const (
	defaultDefinitions = "./projections"
	viewsDir           = "views" // of a directory store
	// commandPoll is how often a command looks how far projections have come.
	commandPoll = 100 * time.Millisecond
)

// A viewing says where projections are defined and where their views are.
type viewing struct {
	definitions string // a directory; empty for the default, which need not exist
	views       string // an address; empty for the place beside the store
}

func (v *viewing) addFlags(c *cobra.Command) {
	c.Flags().StringVar(&v.definitions, "projections", "", "directory of the files that define projections (default "+defaultDefinitions+", if there is one)")
	c.Flags().StringVar(&v.views, "views", "", "where views are kept: a directory, sqlite:PATH, postgres://… or mysql://…\n(default STORE/"+viewsDir+", or the table NAME"+dynamoview.Suffix+" of a store in DynamoDB)")
}

// load reads the files of projections.
func (v *viewing) load() ([]*projection.Projection, error) {
	dir := v.definitions
	if dir == "" {
		if dir = defaultDefinitions; !isDir(dir) {
			return nil, nil
		}
	}
	return projection.Load(dir)
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// reload is the projection called name as its file defines it now, or the built-in
// one.
func (v *viewing) reload(name string) (*projection.Projection, error) {
	all, err := v.load()
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if p.Name() == name {
			return p, nil
		}
	}
	if name == projection.StateName {
		return projection.State(), nil
	}
	dir := v.definitions
	if dir == "" {
		dir = defaultDefinitions
	}
	return nil, &annals.Error{Code: annals.CodeNotFound, Message: "no file in " + dir + " defines a projection " + name, Hint: "write it there, or name another directory with --projections"}
}

// openViews opens where the views of the store are kept.
func (a *app) openViews(ctx context.Context, v *viewing) (view.Store, error) {
	scheme, _, hasScheme := strings.Cut(v.views, ":")
	switch {
	case v.views == "" && a.isDynamo():
		return a.openViewsTable(ctx)
	case v.views == "":
		return openViewsDir(filepath.Join(a.store, viewsDir))
	case hasScheme && len(scheme) > 1: // a single letter is a disk
		return connect.Open(ctx, v.views)
	}
	return openViewsDir(v.views)
}

func openViewsDir(dir string) (view.Store, error) { return pebbleview.Open(dir, nil) }

func (a *app) openViewsTable(ctx context.Context) (view.Store, error) {
	address, err := dynamo.ParseAddress(a.store)
	if err != nil {
		return nil, err
	}
	config, err := dynamo.Configuration(ctx, address)
	if err != nil {
		return nil, err
	}
	if address.Region != "" {
		config.Region = address.Region
	}
	db := dynamodb.NewFromConfig(config, func(o *dynamodb.Options) {
		if address.Endpoint != "" {
			o.BaseEndpoint = aws.String(address.Endpoint)
		}
	})
	return dynamoview.Open(ctx, db, address.Name+dynamoview.Suffix)
}

// withSet opens the views of a store for open to make a Set over, runs f on it and
// closes them.
func (a *app) withSet(ctx context.Context, v *viewing, open func(view.Store) (*projection.Set, error), f func(*projection.Set) error) error {
	views, err := a.openViews(ctx, v)
	if err != nil {
		return err
	}
	set, err := open(views)
	if err == nil {
		err = f(set)
	}
	return errors.Join(err, views.Close())
}

// commandSet is a Set for a command, which tells itself what comes of it. It knows
// the definitions, and makes no view by that.
func (a *app) commandSet(ctx context.Context, store *annals.Store, views view.Store, definitions []*projection.Projection) (*projection.Set, error) {
	set, err := projection.Open(ctx, store, views, nil, &projection.Options{
		Poll: commandPoll, Part: playback.ParsePart, Consumer: consumer.Options{Clock: a.clock, Logger: slog.New(slog.DiscardHandler)},
	})
	if err != nil {
		return nil, err
	}
	for _, p := range definitions {
		if err := set.Define(p); err != nil {
			return nil, err
		}
	}
	info, err := set.Show(ctx, projection.StateName)
	switch {
	case errors.Is(err, annals.ErrNotFound):
		return set, nil
	case err == nil && info.Revision == "": // it has a view, and no file has its name
		err = set.Define(projection.State())
	}
	return set, err
}

// whileRunning runs the projections of set while f runs.
func whileRunning(ctx context.Context, set *projection.Set, f func() error) error {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = set.Run(working) // it ends by stop alone
	}()
	err := f()
	stop()
	<-ended
	return err
}

// withProjections runs f on the projections of the store, wherever that is. On a
// server's they run there; with work they run in this process meanwhile otherwise.
func (a *app) withProjections(ctx context.Context, v *viewing, work bool, f func(*client.Projections) error) error {
	if err := a.known(); err != nil {
		return err
	}
	if a.isRemote() {
		if v.definitions != "" || v.views != "" {
			return usage("--projections and --views are those of the server "+a.store, "leave them out, or give them to annals serve")
		}
		return a.useServer(f)
	}
	definitions, err := v.load()
	if err != nil {
		return err
	}
	return a.with(ctx, false, func(store *annals.Store) error {
		open := func(views view.Store) (*projection.Set, error) {
			return a.commandSet(ctx, store, views, definitions)
		}
		return a.withSet(ctx, v, open, func(set *projection.Set) error {
			handler := httpapi.New(store, &httpapi.Options{Logger: slog.New(slog.DiscardHandler), Clock: a.clock, Projections: set, Reload: v.reload})
			use := func() error {
				return useProjections("http://this.process", &client.Options{HTTP: &http.Client{Transport: inProcess{handler}}}, f)
			}
			if !work {
				return use()
			}
			return whileRunning(ctx, set, use)
		})
	})
}

// useServer runs f on the projections of the server that --store names.
func (a *app) useServer(f func(*client.Projections) error) error {
	opts, err := a.remote()
	if err != nil {
		return err
	}
	return useProjections(a.store, opts, f)
}

func useProjections(address string, opts *client.Options, f func(*client.Projections) error) error {
	p, err := client.OpenProjections(address, opts)
	if err != nil {
		return err
	}
	return errors.Join(f(p), p.Close())
}

// completeProjections completes the names of projections.
func (a *app) completeProjections(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	if a.isRemote() {
		const patience = 2 * time.Second
		ctx, cancel := context.WithTimeout(c.Context(), patience)
		defer cancel()
		// Without an answer there is nothing to complete.
		_ = a.useServer(func(p *client.Projections) error {
			all, err := p.List(ctx)
			for i := range all {
				names = append(names, all[i].Name)
			}
			return err
		})
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	v := viewing{}
	if f := c.Flags().Lookup("projections"); f != nil {
		v.definitions = f.Value.String()
	}
	all, _ := v.load() // without definitions there is nothing to complete
	for _, p := range all {
		names = append(names, p.Name())
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
