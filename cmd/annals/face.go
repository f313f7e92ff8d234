package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/httpapi/console"
)

// face is what a server at address answers with: the HTTP API, and unless it was left
// out the console beside it.
func (a *app) face(store *annals.Store, s *service, address string, opts *httpapi.Options) http.Handler {
	api := httpapi.New(store, opts)
	if !s.console {
		return s.atHome(api)
	}
	look := &console.Options{
		Clock: opts.Clock, Logger: opts.Logger, Projections: opts.Projections, Reload: opts.Reload, Playbacks: opts.Playbacks, PlaybackTarget: opts.PlaybackTarget,
		Authenticator: opts.Authenticator, StoreName: address, APIAddress: address, Ending: opts.Ending, Admission: opts.Admission,
	}
	if a.scheme() == "" {
		look.Storage = (&diskUse{dir: a.store, clock: a.clock}).bytes
	}
	return s.atHome(beside(api, console.New(store, look)))
}

// atHome keeps a server that lets everybody in, on this machine, from answering pages of
// other sites: one whose name leads to this machine is of one origin with the server, for
// a browser. Names that can't be another site's are localhost and addresses.
func (s *service) atHome(h http.Handler) http.Handler {
	if s.asks() || s.insecure {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := (&url.URL{Host: r.Host}).Hostname()
		if host != "" && host != "localhost" && !strings.HasSuffix(host, ".localhost") && net.ParseIP(host) == nil {
			http.Error(w, "this server asks nobody for a token, and so answers only where it is called localhost or by its address, such as 127.0.0.1; a proxy in front must call it so, or start it with --tokens", http.StatusMisdirectedRequest)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// beside serves the console next to the API. A browser that opens the address itself is
// sent to the console.
func beside(api, pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		isRead := r.Method == http.MethodGet || r.Method == http.MethodHead
		switch {
		case strings.HasPrefix(path, console.Path):
			pages.ServeHTTP(w, r)
		case isRead && path+"/" == console.Path:
			http.Redirect(w, r, console.Path, http.StatusSeeOther)
		case isRead && path == "/" && strings.Contains(r.Header.Get("Accept"), "text/html"):
			w.Header().Set("Vary", "Accept")
			http.Redirect(w, r, console.Path, http.StatusSeeOther)
		default:
			api.ServeHTTP(w, r)
		}
	})
}

// diskUse counts the bytes of the files in a directory.
type diskUse struct {
	dir   string
	clock func() time.Time

	mu    sync.Mutex
	until time.Time // how long what was counted is given again
	last  int64
}

// bytes counts at most once in ten seconds.
func (d *diskUse) bytes(ctx context.Context) (int64, error) {
	const keep = 10 * time.Second
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.clock()
	if now.Before(d.until) {
		return d.last, nil
	}
	total := int64(0)
	err := filepath.WalkDir(d.dir, func(_ string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, fs.ErrNotExist): // what is at work there removes files
			return nil
		case err != nil || entry.IsDir():
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if err == nil {
		d.last, d.until = total, now.Add(keep)
	}
	return total, err
}
