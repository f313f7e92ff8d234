package lambda

import (
	"context"
	"io"
	"log/slog"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/dynamo"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/pebbleview"
)

// Roles work on another store than DynamoDB's, but for the one that numbers its log.
func TestAnotherStore(t *testing.T) {
	t.Parallel()
	for _, role := range []Role{Command, Query, Write, Sequence} {
		store, err := embedded.Open("store", &embedded.Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		config := Config{Role: role, Store: dynamo.Address{Name: "events", Region: "us-east-1"}, Projections: defaultProjections, Namespace: defaultNamespace}
		f, err := New(t.Context(), config, nil, &Options{
			AWS: &aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("id", "secret", "")}, Output: io.Discard,
			Store: func(context.Context) (*annals.Store, error) { return store, nil },
			Views: func(context.Context) (view.Store, error) { return pebbleview.Memory(), nil },
		})
		if role == Sequence {
			wantError(t, err, annals.CodeInvalid, "numbers the log of tables")
		} else if err != nil {
			t.Fatalf("%s: %v", role, err)
		} else if err := f.Close(); err != nil {
			t.Errorf("%s: %v", role, err)
		}
		if _, err := store.End(t.Context()); annals.CodeOf(err) != annals.CodeClosed {
			t.Errorf("%s has left the store open: %v", role, err)
		}
	}
}
