package main

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/dynamo"
	"github.com/eb901187/annals/embedded"
)

const defaultStore = "./annals-data"

const storeHint = "--store takes a directory, http://HOST:PORT or dynamodb://NAME?region=…&bucket=…"

// scheme is what stands before the :// of --store; empty for a directory.
func (a *app) scheme() string {
	scheme, _, ok := strings.Cut(a.store, "://")
	if !ok {
		return ""
	}
	return strings.ToLower(scheme)
}

func (a *app) isRemote() bool { return a.scheme() == "http" || a.scheme() == "https" }

func (a *app) isDynamo() bool { return a.scheme() == dynamo.Scheme }

// directory is the store for commands that work on files.
func (a *app) directory(command string) (string, error) {
	if err := a.known(); err != nil {
		return "", err
	}
	if a.isRemote() || a.isDynamo() {
		return "", usage("annals "+command+" works on a directory, not on "+a.store, "run it where the store is, with the --store of that server")
	}
	return a.store, nil
}

// known refuses a --store that can be neither a directory nor an address,
// before a mistyped address becomes a new directory.
func (a *app) known() error {
	if a.store == "" {
		return usage("--store is empty", storeHint)
	}
	if a.isRemote() {
		u, err := url.Parse(a.store)
		if err == nil && u.User != nil || strings.Contains(a.store, "@") {
			return usage("--store holds a name or a password", "servers take tokens: give the address without them, and a token by --token-file or "+tokenVariable)
		}
		if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			return usage("--store "+a.store+" is no address of a server", storeHint)
		}
		return nil
	}
	if a.isDynamo() {
		_, err := dynamo.ParseAddress(a.store)
		return err
	}
	if scheme, _, ok := strings.Cut(a.store, "://"); ok {
		return usage("there is no kind of store "+scheme+"://", storeHint)
	}
	info, err := os.Stat(a.store)
	switch {
	case err == nil && !info.IsDir():
		return &annals.Error{Code: annals.CodeInvalid, Message: a.store + " is a file, not a directory", Hint: storeHint}
	case err != nil && isAddress(a.store):
		return usage("there is no directory "+a.store, "did you mean http://"+a.store+"?")
	}
	return nil
}

// isAddress reports whether s looks like HOST:PORT.
func isAddress(s string) bool {
	host, port, err := net.SplitHostPort(strings.TrimSuffix(s, "/"))
	if err != nil || host == "" || strings.Contains(host, "/") {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// open opens the store; a directory without one is made only if create is set,
// and tables are made by annals init alone.
func (a *app) open(ctx context.Context, create bool) (*annals.Store, error) {
	if err := a.known(); err != nil {
		return nil, err
	}
	switch {
	case a.isRemote():
		opts, err := a.remote()
		if err == nil {
			err = a.noKeys()
		}
		if err != nil {
			return nil, err
		}
		return client.Open(a.store, opts)
	case a.isDynamo():
		opts, err := a.sealing(ctx)
		if err != nil {
			return nil, err
		}
		driver, err := a.openTables(ctx, 0)
		if err != nil {
			return nil, err
		}
		return annals.New(driver, opts), nil
	}
	opts, err := a.sealing(ctx)
	if err != nil {
		return nil, err
	}
	bar := a.progress(-1, "reading the log")
	defer bar.close()
	store, err := embedded.Open(a.store, &embedded.Options{MustExist: !create, Progress: bar.at, Store: opts})
	return store, err
}

// explainStore gives --store another meaning in the help of c; an empty one
// leaves it out.
func explainStore(c *cobra.Command, meaning string) {
	c.SetHelpFunc(func(c *cobra.Command, args []string) {
		store := c.Root().PersistentFlags().Lookup("store")
		store.Usage, store.DefValue, store.Hidden = meaning, "", meaning == ""
		c.Root().HelpFunc()(c, args)
	})
}

// with runs f on the store and closes it.
func (a *app) with(ctx context.Context, create bool, f func(*annals.Store) error) error {
	store, err := a.open(ctx, create)
	if err != nil {
		return err
	}
	return errors.Join(a.operated(ctx, store, f), store.Close())
}
