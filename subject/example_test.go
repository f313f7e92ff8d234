package subject_test

import (
	"context"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/subject"
)

func Example() {
	master, err := subject.LocalWrapper([]byte("32 bytes of chance, kept secret.")) // keys.Open reads a file
	if err != nil {
		panic(err)
	}
	now := func(context.Context, time.Duration) error { return nil } // the example does not wait for other processes
	keyring, err := subject.New(subject.MemoryShelf(), master, &subject.Options{Wait: now})
	if err != nil {
		panic(err)
	}
	store, err := embedded.Open("store", &embedded.Options{FS: vfs.NewMem(), Store: &annals.Options{Sealer: keyring}})
	if err != nil {
		panic(err)
	}
	defer store.Close()
	ctx := context.Background()
	named := annals.Event{
		ID: "1", Type: "account-named", Data: []byte(`{"name":"Ada"}`),
		Attributes: map[string]string{annals.SubjectAttribute: "account-7"},
	}
	if _, err := store.Append(ctx, "account-7", annals.NoStream, named); err != nil {
		panic(err)
	}
	show := func() {
		for e, err := range store.Stream(ctx, "account-7", nil) {
			fmt.Println(e.Type, string(e.Data), "erased:", e.Erased(), err)
		}
	}
	show()
	if _, err := keyring.Destroy(ctx, "account-7"); err != nil {
		panic(err)
	}
	show()
	_, err = store.Append(ctx, "account-7", annals.Any, named)
	fmt.Println(annals.CodeOf(err))
	// Output:
	// account-named {"name":"Ada"} erased: false <nil>
	// account-named  erased: true <nil>
	// erased
}
