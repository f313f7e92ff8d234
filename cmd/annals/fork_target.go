package main

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/dynamo"
)

// target is an app on the store that --to names, which can't be this one or lie in it.
func (a *app) target(store string) (*app, error) {
	if store == "" {
		return nil, usage(called(a.command)+" needs --to", storeMeaning("--to"))
	}
	if err := a.known(); err != nil {
		return nil, err
	}
	t := a.other(store)
	if err := t.known(); err != nil {
		return nil, err
	}
	here, there := a.canonical(), t.canonical()
	if here == there || a.scheme() == "" && t.scheme() == "" && sameFile(a.store, store) {
		return nil, &annals.Error{Code: annals.CodeInvalid, Message: "the target " + store + " is the source " + a.store, Hint: "name another store with --to"}
	}
	if a.scheme() == "" && strings.HasPrefix(there, here+string(filepath.Separator)) {
		return nil, &annals.Error{Code: annals.CodeInvalid, Message: "the target " + store + " lies inside the store " + a.store, Hint: "name a directory outside of it with --to"}
	}
	return t, nil
}

func storeMeaning(flag string) string { return strings.Replace(storeHint, "--store", flag, 1) }

// canonical is the name of the store that all its spellings share, as far as that shows
// from outside, and without secrets.
func (a *app) canonical() string {
	switch {
	case a.isRemote():
		if u, err := url.Parse(a.store); err == nil {
			return canonicalURL(u)
		}
	case a.isDynamo():
		if address, err := dynamo.ParseAddress(a.store); err == nil {
			return canonicalTables(address)
		}
	}
	return canonicalDirectory(a.store)
}

func canonicalURL(u *url.URL) string {
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return scheme + "://" + net.JoinHostPort(host, port) + strings.TrimRight(u.Path, "/")
}

// canonicalTables leaves the bucket out: a name is one store, whatever it is opened with.
func canonicalTables(address dynamo.Address) string {
	query := url.Values{}
	if address.Region != "" {
		query.Set("region", address.Region)
	}
	if address.Endpoint != "" {
		query.Set("endpoint", address.Endpoint)
	}
	name := dynamo.Scheme + "://" + address.Name
	if len(query) > 0 {
		name += "?" + query.Encode()
	}
	return name
}

// canonicalDirectory follows links as far as the directory exists.
func canonicalDirectory(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return dir
	}
	rest := ""
	for at := dir; ; at = filepath.Dir(at) {
		if real, err := filepath.EvalSymlinks(at); err == nil {
			return filepath.Join(real, rest)
		}
		if at == filepath.Dir(at) {
			return dir
		}
		rest = filepath.Join(filepath.Base(at), rest)
	}
}

func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}
