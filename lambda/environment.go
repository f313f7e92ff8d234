package lambda

import (
	"context"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"go.opentelemetry.io/otel/trace"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/dynamo"
	"github.com/eb901187/annals/subject"
	"github.com/eb901187/annals/subject/keys"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/dynamoview"
)

// An environment is what all roles share in one function.
type environment struct {
	config  Config
	program Program
	aws     aws.Config
	clock   func() time.Time
	tracer  trace.Tracer
	logger  *slog.Logger // of what no invocation is told

	otherStore func(context.Context) (*annals.Store, error) // as in Options; may be nil
	otherViews func(context.Context) (view.Store, error)
}

// A place is a store that is open for a function.
type place struct {
	driver *dynamo.Driver // nil for a store of Options
	store  *annals.Store
}

// openStore opens the store of ANNALS_STORE. Closing place.store closes it.
func (e *environment) openStore(ctx context.Context) (place, error) {
	if e.otherStore != nil {
		store, err := e.otherStore(ctx)
		return place{store: store}, err
	}
	config := e.aws
	opts := dynamo.Options{Config: &config, Clock: e.clock, Logger: e.logger}
	store := annals.Options{Clock: e.clock}
	if e.config.Keys.Table != "" {
		keyring, err := keys.Open(ctx, e.config.Keys, &keys.Options{Config: &config, Keyring: &subject.Options{Clock: e.clock}})
		if err != nil {
			return place{}, err
		}
		store.Sealer = keyring
	}
	driver, err := dynamo.OpenDriver(ctx, e.config.Store, &opts)
	if err != nil {
		return place{}, err
	}
	return place{driver, annals.New(driver, &store)}, nil
}

// openViews opens the table of the views of the store.
func (e *environment) openViews(ctx context.Context) (view.Store, error) {
	if e.otherViews != nil {
		return e.otherViews(ctx)
	}
	db := dynamodb.NewFromConfig(e.aws, func(o *dynamodb.Options) {
		if address := e.config.Store.Endpoint; address != "" {
			o.BaseEndpoint = &address
		}
		if region := e.config.Store.Region; region != "" {
			o.Region = region
		}
	})
	return dynamoview.Open(ctx, db, e.config.Store.Name+dynamoview.Suffix)
}
