package console_test

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/httpapi/console"
	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/storetest"
)

// A refusingDriver counts what is read, and takes nothing for a stream on demand.
type refusingDriver struct {
	storetest.Counted
	refused atomic.Pointer[string] // the stream that nothing is appended to; nil for none
}

func (d *refusingDriver) Append(ctx context.Context, stream string, expected int64, events []annals.Event) (annals.Commit, error) {
	if refused := d.refused.Load(); refused != nil && *refused == stream {
		return annals.Commit{}, &annals.Error{Code: annals.CodeNoSpace, Message: "the disk is full"}
	}
	return d.Driver.Append(ctx, stream, expected, events)
}

// away is why a store can't be read.
var away error = &annals.Error{Code: annals.CodeUnavailable, Message: "the disk is away"}

// A visited console is over a store that counts what a page reads and fails on demand,
// with playbacks; nothing works on its log. See operated for one with projections.
type visited struct {
	visitor
	driver *refusingDriver
	store  *annals.Store
}

// visit starts one over a store of its own. change may be nil.
func visit(t *testing.T, change func(*console.Options)) *visited {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	d, err := embedded.OpenDriver("store", &embedded.Options{FS: vfs.NewMem(), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	v := &visited{driver: &refusingDriver{Counted: storetest.Counted{Driver: d}}}
	v.store = annals.New(v.driver, nil)
	runner := playback.NewRunner(v.store, nil, quiet)
	opts := console.Options{Logger: quiet, StoreName: "my store", APIAddress: "http://127.0.0.1:4000", Playbacks: runner}
	if change != nil {
		change(&opts)
	}
	v.visitor = visitorOf(t, console.New(v.store, &opts))
	t.Cleanup(func() {
		v.server.Close()
		runner.Close()
		if err := v.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return v
}

func (v *visited) append(stream string, events ...annals.Event) annals.Commit {
	v.t.Helper()
	commit, err := v.store.Append(v.t.Context(), stream, annals.Any, events...)
	if err != nil {
		v.t.Fatal(err)
	}
	return commit
}

// reads is how many events a page reads.
func (v *visited) reads(path string) int64 {
	v.t.Helper()
	before := v.driver.Read()
	v.sees(path, http.StatusOK)
	return v.driver.Read() - before
}

// noted is the last action in the operators' log.
func (v *visited) noted() access.Action {
	v.t.Helper()
	page, _, err := access.Actions(v.t.Context(), v.store, nil)
	if err != nil || len(page) == 0 {
		v.t.Fatalf("%v, %v", page, err)
	}
	return page[0]
}
