package main

import (
	"errors"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/embedded"
)

const defaultStore = "./annals-data"

const storeHint = "--store takes a directory or http://HOST:PORT"

func (a *app) isRemote() bool {
	scheme, _, ok := strings.Cut(strings.ToLower(a.store), "://")
	return ok && (scheme == "http" || scheme == "https")
}

// directory is the store for commands that work on files.
func (a *app) directory(command string) (string, error) {
	if err := a.known(); err != nil {
		return "", err
	}
	if a.isRemote() {
		return "", usage("annals "+command+" works on a directory, not on "+a.store, "run it where the store is, with --store DIR")
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
		if u, err := url.Parse(a.store); err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			return usage("--store "+a.store+" is no address of a server", storeHint)
		}
		return nil
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

// open opens the store; a directory without one is made only if create is set.
func (a *app) open(create bool) (*annals.Store, error) {
	if err := a.known(); err != nil {
		return nil, err
	}
	if a.isRemote() {
		return client.Open(a.store, nil)
	}
	bar := a.progress(-1, "reading the log")
	defer bar.close()
	store, err := embedded.Open(a.store, &embedded.Options{MustExist: !create, Progress: bar.at})
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
func (a *app) with(create bool, f func(*annals.Store) error) error {
	store, err := a.open(create)
	if err != nil {
		return err
	}
	return errors.Join(f(store), store.Close())
}
