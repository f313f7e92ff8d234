package connect_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/sqlview/connect"
)

func Example() {
	dir, err := os.MkdirTemp("", "connect")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	views, err := connect.Open(ctx, "sqlite:"+filepath.Join(dir, "views.db")) // or postgres://…, mysql://…
	if err != nil {
		log.Fatal(err)
	}
	defer views.Close()
	if err := views.Commit(ctx, view.Change{Put: []view.Put{
		{Space: "orders", Document: view.Document{Key: "order-7", Data: []byte(`{"total":12.5}`)}},
		{Space: "orders", Document: view.Document{Key: "order-8", Data: []byte(`{"total":3}`)}},
	}}); err != nil {
		log.Fatal(err)
	}
	for document, err := range views.Scan(ctx, "orders", view.Range{Prefix: "order-"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(document.Key, string(document.Data))
	}
	// Output:
	// order-7 {"total":12.5}
	// order-8 {"total":3}
}
