package projection_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/pebbleview"
	"github.com/eb901187/annals/view/sqlview/connect"
)

func exit(err error) {
	if err != nil {
		panic(err)
	}
}

// appended is an event store with the events of two orders, and the position of
// the last one.
func appended() (*annals.Store, int64) {
	store, err := embedded.Open("store", &embedded.Options{FS: vfs.NewMem()})
	exit(err)
	var last int64
	for _, e := range []struct{ stream, typ, data string }{
		{"order-1", "order-placed", `{"total":30,"customer":"ada"}`},
		{"order-2", "order-placed", `{"total":12,"customer":"bob"}`},
		{"order-1", "order-paid", `{}`},
	} {
		commit, err := store.Append(context.Background(), e.stream, annals.Any, annals.Event{Type: e.typ, Data: []byte(e.data)})
		exit(err)
		last = commit.Position
	}
	return store, last
}

// while runs a Set during f.
func while(s *projection.Set, f func(ctx context.Context)) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	f(ctx)
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		panic(err)
	}
}

// A projection in Go: what each order is worth, and whether it is paid. The
// program reads what it has just written by waiting for its position.
func Example() {
	store, last := appended()
	defer store.Close()
	views := pebbleview.Memory()
	defer views.Close()

	type order struct {
		Total int  `json:"total"`
		Paid  bool `json:"paid"`
	}
	orders := projection.Documents("orders", "1", annals.Query{Prefix: "order-"}, projection.ByStream,
		func(o *order, m *consumer.Message) error {
			switch m.Type {
			case "order-placed":
				return json.Unmarshal(m.Data, o)
			case "order-paid":
				o.Paid = true
				return nil
			}
			return projection.Keep
		})

	set, err := projection.Open(context.Background(), store, views, []*projection.Projection{orders}, nil)
	exit(err)
	while(set, func(ctx context.Context) {
		document, at, err := set.Get(ctx, "orders", "order-1", &projection.ReadOptions{Wait: last})
		exit(err)
		fmt.Printf("%s at position %d\n", document.Data, at.Position)
	})
	// Output:
	// {"total":30,"paid":true} at position 3
}

// The same as a file, and a second definition that is built beside the live view
// while that answers reads.
func ExampleParse() {
	store, last := appended()
	defer store.Close()
	views := pebbleview.Memory()
	defer views.Close()
	ctx := context.Background()

	first, err := projection.Parse("customers.yaml", []byte(`
query: {types: [order-placed]}
key: .data.customer
fold:
  order-placed: '{orders: (.orders + 1)}'
`))
	exit(err)
	set, err := projection.Open(ctx, store, views, []*projection.Projection{first}, nil)
	exit(err)

	second, err := projection.Parse("customers.yaml", []byte(`
query: {types: [order-placed]}
key: .data.customer
fold:
  order-placed: '{orders: (.orders + 1), spent: (.spent + $event.data.total)}'
`))
	exit(err)
	while(set, func(ctx context.Context) {
		exit(set.WaitFor(ctx, "customers", last))
		exit(set.Define(second))
		generation, err := set.Rebuild(ctx, "customers")
		exit(err)
		read := func(opts *projection.ReadOptions) {
			document, at, err := set.Get(ctx, "customers", "ada", opts)
			exit(err)
			fmt.Printf("generation %d: %s\n", at.Generation, document.Data)
		}
		read(nil)
		read(&projection.ReadOptions{Generation: generation, Wait: last})
		_, err = set.Switch(ctx, "customers", 0, false)
		exit(err)
		read(nil)
	})
	// Output:
	// generation 1: {"orders":1}
	// generation 2: {"orders":1,"spent":30}
	// generation 2: {"orders":1,"spent":30}
}

// A projection into tables, whose rows and checkpoint change in one transaction.
// Readers use the name of the table, whichever generation is live.
func ExampleSQL() {
	store, last := appended()
	defer store.Close()
	dir, err := os.MkdirTemp("", "annals")
	exit(err)
	defer os.RemoveAll(dir)
	views, err := connect.Open(context.Background(), "sqlite:"+filepath.Join(dir, "views.db"))
	exit(err)
	defer views.Close()

	orders := projection.SQL("orders", "1", annals.Query{Types: []string{"order-placed"}}, &projection.SQLView{
		Tables: []string{"orders"},
		Create: func(ctx context.Context, tx *sql.Tx, t *projection.Tables) error {
			_, err := tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+t.Name("orders")+" (id TEXT PRIMARY KEY, total INTEGER)")
			return err
		},
		Apply: func(ctx context.Context, tx *sql.Tx, t *projection.Tables, m *consumer.Message) error {
			var placed struct{ Total int }
			if err := json.Unmarshal(m.Data, &placed); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, "INSERT INTO "+t.Name("orders")+" (id, total) VALUES (?, ?)", m.Stream, placed.Total)
			return err
		},
	})
	set, err := projection.Open(context.Background(), store, views, []*projection.Projection{orders}, nil)
	exit(err)
	while(set, func(ctx context.Context) {
		exit(set.WaitFor(ctx, "orders", last))
		var sum int
		exit(views.DB().QueryRowContext(ctx, "SELECT SUM(total) FROM orders").Scan(&sum))
		fmt.Println("orders worth", sum)
	})
	// Output:
	// orders worth 42
}

// The built-in projection keeps the latest state of every stream.
func ExampleState() {
	store, last := appended()
	defer store.Close()
	views := pebbleview.Memory()
	defer views.Close()
	set, err := projection.Open(context.Background(), store, views, []*projection.Projection{projection.State()}, nil)
	exit(err)
	while(set, func(ctx context.Context) {
		documents, at, err := set.Scan(ctx, projection.StateName, view.Range{Prefix: "order-"}, &projection.ReadOptions{Wait: last})
		exit(err)
		for document, err := range documents {
			exit(err)
			fmt.Println(document.Key, string(document.Data))
		}
		fmt.Println("as of position", at.Position)
	})
	// Output:
	// order-1 {"customer":"ada","total":30}
	// order-2 {"customer":"bob","total":12}
	// as of position 3
}
