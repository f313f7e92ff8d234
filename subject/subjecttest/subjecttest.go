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

// Keeper has keys in memory that are erased without a wait.
func Keeper(t *testing.T) storetest.Keeper {
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
