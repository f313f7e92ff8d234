package keys_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/eb901187/annals/subject/keys"
)

func Example() {
	dir, err := os.MkdirTemp("", "keys")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	address, err := keys.ParseAddress(filepath.Join(dir, "keys")) // or dynamodb://orders-keys?region=…&kms=alias/orders
	if err != nil {
		panic(err)
	}
	if err := keys.Create(ctx, address, nil); err != nil { // once, by annals keys new
		panic(err)
	}
	keyring, err := keys.Open(ctx, address, nil)
	if err != nil {
		panic(err)
	}
	defer keyring.Close()
	record, err := keyring.Record(ctx, "account-7")
	fmt.Printf("%q %v\n", record.State, err)
	// Output: "" <nil>
}
