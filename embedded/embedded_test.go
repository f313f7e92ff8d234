package embedded

import (
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func openTest(t *testing.T, dir string, opts Options) *annals.Store {
	t.Helper()
	opts.Logger = quiet()
	store, err := Open(dir, &opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return store
}

func TestContractOnDisk(t *testing.T) {
	storetest.Run(t, func(t *testing.T, opts *annals.Options) *annals.Store {
		return openTest(t, t.TempDir(), Options{Store: opts})
	})
}

func TestContractOnCrashableFileSystem(t *testing.T) {
	storetest.Run(t, func(t *testing.T, opts *annals.Options) *annals.Store {
		return openTest(t, "store", Options{Store: opts, FS: vfs.NewCrashableMem()})
	})
}

// With tails of a few events, every read crosses the index on disk, a tail that
// is being sealed, and the active one.
func TestContractAcrossSealedIndexes(t *testing.T) {
	storetest.Run(t, func(t *testing.T, opts *annals.Options) *annals.Store {
		return openTest(t, t.TempDir(), Options{Store: opts, sealEvery: 7})
	})
}
