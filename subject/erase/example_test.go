package erase_test

import (
	"context"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/subject"
	"github.com/eb901187/annals/subject/erase"
)

func Example() {
	exit := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	master, err := subject.LocalWrapper([]byte("32 bytes of chance, kept secret.")) // keys.Open reads a file
	exit(err)
	now := func(context.Context, time.Duration) error { return nil } // the example does not wait for other processes
	keyring, err := subject.New(subject.MemoryShelf(), master, &subject.Options{Wait: now})
	exit(err)
	store, err := embedded.Open("store", &embedded.Options{FS: vfs.NewMem(), Store: &annals.Options{Sealer: keyring}})
	exit(err)
	defer store.Close()

	ctx := context.Background()
	about := map[string]string{annals.SubjectAttribute: "account-7"}
	_, err = store.Append(ctx, "account-7", annals.NoStream, annals.Event{Type: "account-named", Data: []byte(`{"name":"Ada"}`), Attributes: about})
	exit(err)

	eraser, err := erase.New(erase.Options{Store: store, Keys: keyring}) // and Views, if there are any
	exit(err)
	receipt, err := eraser(ctx, subject.Request{Subject: "account-7", Reason: "request 12"})
	exit(err)
	fmt.Println(receipt.Key.State, receipt.Events, "event,", receipt.ByStream, receipt.Complete)
	// Output:
	// destroyed 1 event, [{account-7 1}] true
}
