package subjecttest

import (
	"context"
	"testing"
	"time"

	"github.com/eb901187/annals/storetest"
	"github.com/eb901187/annals/subject"
)

type keeper struct{ *subject.Keyring }

// Erase implements storetest.Keeper.
func (k keeper) Erase(ctx context.Context, name string) error {
	_, err := k.Destroy(ctx, name)
	return err
}

// Keyring has keys in memory, behind whose fences it does not wait.
func Keyring(t *testing.T) *subject.Keyring {
	t.Helper()
	master, err := subject.LocalWrapper(make([]byte, subject.KeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	k, err := subject.New(subject.MemoryShelf(), master, &subject.Options{Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Keeper is a Keyring as the contract of stores takes it.
func Keeper(t *testing.T) storetest.Keeper {
	t.Helper()
	return keeper{Keyring(t)}
}
