// Command doublecharge tells what Annals does about a bug that has reached the
// outside. A reaction charges orders at a payment provider, and express orders
// twice. The mended code is replayed over what happened, without a call; the
// differences are shown; what is approved is refunded. Then the store is forked
// for debugging, and one event of an order is reversed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/view/pebbleview"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// clock stands still, so that the output is the same each time and a test can
// check it.
func clock() time.Time { return time.Date(2020, 5, 1, 20, 0, 0, 0, time.UTC) }

// quiet keeps what the log would say of suppressed calls out of the story.
var quiet = slog.New(slog.DiscardHandler)

var orders = []string{"order-1", "order-2", "order-3"}

// A shop is all that the story needs.
type shop struct {
	out      io.Writer
	dir      string
	store    *annals.Store
	gateway  *effect.Gateway
	views    *pebbleview.Store
	provider *provider
}

func run(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "annals")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	provider, err := startProvider()
	if err != nil {
		return err
	}
	store, err := open(filepath.Join(dir, "shop"))
	if err != nil {
		return errors.Join(err, provider.close())
	}
	s := &shop{out: out, dir: dir, store: store, views: pebbleview.Memory(), provider: provider}
	defer func() { err = errors.Join(err, s.views.Close(), store.Close(), provider.close()) }()
	if s.gateway, err = s.newGateway(store); err != nil {
		return err
	}
	for _, chapter := range []func(context.Context) error{s.bug, s.repair, s.approve, s.fork, s.reverse} {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	return nil
}

func open(dir string) (*annals.Store, error) {
	return embedded.Open(dir, &embedded.Options{Store: &annals.Options{Clock: clock}})
}

// say begins a chapter.
func (s *shop) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }
