package embedded

import (
	"context"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
	"github.com/eb901187/annals/subject"
)

// keeper erases without a wait.
type keeper struct{ *subject.Keyring }

func (k keeper) Erase(ctx context.Context, name string) error {
	_, err := k.Destroy(ctx, name)
	return err
}

func keepKeys(t *testing.T) storetest.Keeper {
	t.Helper()
	master, err := subject.LocalWrapper(make([]byte, subject.KeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	k, err := subject.New(subject.MemoryShelf(), master, &subject.Options{Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	if err != nil {
		t.Fatal(err)
	}
	return keeper{k}
}

func TestContractOfSubjects(t *testing.T) {
	storetest.RunSubjects(t, keepKeys, func(t *testing.T, sealer annals.Sealer) (sealing, bare *annals.Store) {
		d := testDriver(t, t.TempDir(), Options{})
		sealing, bare = annals.New(d, &annals.Options{Sealer: sealer}), annals.New(d, nil)
		t.Cleanup(func() { mustClose(t, sealing) })
		return sealing, bare
	})
	t.Run("a store without keys takes nothing in clear", func(t *testing.T) {
		storetest.RunUnsealed(t, func(t *testing.T, dir string) annals.Driver { return testDriver(t, dir, Options{}) })
	})
}
