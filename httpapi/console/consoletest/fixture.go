package consoletest

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/httpapi/console"
	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/pebbleview"
)

// What Big holds, by name, so that tests need no search.
const (
	// FailingRequest is a request whose shop calls orders, which calls payments, which
	// fails: payments is at fault.
	FailingRequest = "4bf92f3577b34da6a3ce929d0e0e4736"
	// HostileStream has events with HTML and script in every field.
	HostileStream = "odd/a:b@c+d=e~f$g/script.alert"
	// HostileRequest is the correlation of those events.
	HostileRequest = `"><img src=x onerror=alert(1)>`
	// Script stands in all their texts.
	Script = `<script>alert(1)</script>`
	// BinaryStream has an event whose data is no text.
	BinaryStream = "upload-1"
	// ReversibleStream has two merge patches, the second one worth reversing.
	ReversibleStream = "reversible-1"
	// LongStream has 2,000 events.
	LongStream = "counter-1"
	// OrderStream is one of 2,000 like it: an order that was placed, changed, paid,
	// packed and shipped.
	OrderStream = "order-00042"
	// Orders is the projection with two generations, the newer one not switched to;
	// Fragile is the one with events that are parked, one of them hostile.
	Orders, Fragile = "orders", "fragile"
	// Billing is a handler with effects and a repair with open findings.
	Billing = "billing"
	// DonePlayback and StoppedPlayback are ids of playbacks.
	DonePlayback, StoppedPlayback = "done", "stopped"
)

// A Fixture is a store with more than 100,000 events, its views, and a console over
// both. Its projections run. Tests share it: what they append, they append to streams
// of their own.
type Fixture struct {
	Store   *annals.Store
	Set     *projection.Set
	Options console.Options // of Handler, to make others like it
	Handler http.Handler
	// End is the last position when it was made, and Began its oldest event's time.
	End   int64
	Began time.Time

	dir   string
	views view.Store
	stop  context.CancelFunc
	runs  sync.WaitGroup
}

var big struct {
	sync.Mutex
	fixture *Fixture
	err     error
}

// Big is the store that all tests of a binary share, made by the first that asks.
func Big(t testing.TB) *Fixture {
	t.Helper()
	big.Lock()
	defer big.Unlock()
	if big.fixture == nil && big.err == nil {
		big.fixture, big.err = newFixture(context.Background())
	}
	if big.err != nil {
		t.Fatalf("the large store can't be made: %v", big.err)
	}
	return big.fixture
}

func closeBig() {
	big.Lock()
	defer big.Unlock()
	if big.fixture != nil {
		big.fixture.close()
	}
}

func newFixture(ctx context.Context) (f *Fixture, err error) {
	f = &Fixture{Began: time.Now().Add(-50 * time.Minute).Truncate(time.Second)}
	ctx, f.stop = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	if f.dir, err = os.MkdirTemp("", "annals-big-"); err != nil {
		return f, err
	}
	quiet := slog.New(slog.DiscardHandler)
	if f.Store, err = embedded.Open(filepath.Join(f.dir, "store"), &embedded.Options{Logger: quiet}); err != nil {
		return f, err
	}
	f.views = pebbleview.Memory()
	for _, step := range []func(context.Context) error{f.appendEvents, f.project, f.react, f.callOutside, f.playBack, f.operate} {
		if err := step(ctx); err != nil {
			return f, err
		}
	}
	f.Options = console.Options{
		Logger:      quiet,
		Projections: f.Set,
		Playbacks:   playback.NewRunner(f.Store, nil, quiet),
		Storage:     f.storage,
		StoreName:   "./annals-data",
		APIAddress:  "http://127.0.0.1:4000",
		LivePeriod:  100 * time.Millisecond,
	}
	f.Handler = console.New(f.Store, &f.Options)
	f.End, err = f.Store.End(ctx)
	return f, err
}

// storage is how many bytes the store takes.
func (f *Fixture) storage(context.Context) (bytes int64, err error) {
	err = filepath.WalkDir(f.dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone meanwhile
		}
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	return bytes, err
}

func (f *Fixture) close() {
	f.stop()
	f.runs.Wait()
	if f.views != nil {
		_ = f.views.(*pebbleview.Store).Close() // it is in memory
	}
	if f.Store != nil {
		_ = f.Store.Close() // and is removed
	}
	_ = os.RemoveAll(f.dir)
}
