package dynamo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/middleware"

	"github.com/eb901187/annals"
)

// Options changes how a store of this package works; nil means the defaults.
type Options struct {
	// Store is for what is common to all stores.
	Store *annals.Options
	// Config is the AWS configuration: credentials, HTTP client; by default what
	// the environment and the profile say. An address's region goes before its.
	Config *aws.Config
	// Middleware is added to the stack of every request to DynamoDB, its streams
	// and S3, behind the SDK's own retries.
	Middleware []func(*middleware.Stack) error
	// Poll is how often a reader who waits looks for new pages of the log; 250 ms
	// by default. Nobody looks while nobody waits.
	Poll time.Duration
	// Clock stamps markers and the places of workers; the machine's by default.
	Clock func() time.Time
	// Random makes the ids by which a writer knows its own commits and pages.
	Random func() uint64
	// Pause waits for a while or until the context ends.
	Pause func(context.Context, time.Duration) error
	// Logger is told what no caller can be told; nothing by default.
	Logger *slog.Logger

	sizes *sizes // of tests that want many small parts
}

// A Driver is a store in DynamoDB. It is safe for concurrent use, and any number
// of processes may have the same store open.
type Driver struct {
	calls  *calls
	heads  *heads
	view   *view
	poll   time.Duration
	shards shardReader

	closing context.Context
	close   context.CancelFunc
}

// Open opens the store at address, whose tables annals init, Init or a deployment
// has made. It reads one item. Close it with Store.Close.
//
// Tables that a deployment has made hold no mark of their layout and bucket. They
// open all the same; the first sequencer to number something writes the mark, and
// whoever opens the store from then on is held to it.
func Open(ctx context.Context, address Address, opts *Options) (*annals.Store, error) {
	d, err := OpenDriver(ctx, address, opts)
	if err != nil {
		return nil, err
	}
	if opts == nil {
		return annals.New(d, nil), nil
	}
	return annals.New(d, opts.Store), nil
}

// OpenDriver is Open for programs that want the Driver's own methods too.
func OpenDriver(ctx context.Context, address Address, opts *Options) (*Driver, error) {
	if opts == nil {
		opts = &Options{}
	}
	clients, err := connect(ctx, &address, opts)
	if err != nil {
		return nil, err
	}
	c := newCalls(clients.db, clients.objects(), address, *opts)
	marked, err := c.checkLayout(operation(ctx, "open"))
	if err != nil {
		return nil, err
	}
	c.unmarked.Store(!marked)
	return newDriver(c, clients.shards, opts.Poll), nil
}

func newDriver(c *calls, shards shardReader, poll time.Duration) *Driver {
	if poll <= 0 {
		poll = 250 * time.Millisecond
	}
	d := &Driver{calls: c, heads: newHeads(), view: newView(c), poll: poll, shards: shards}
	d.closing, d.close = context.WithCancel(context.Background())
	return d
}

// layout is the version of what the tables hold.
const layout = 1

// The item of the log table that says what the tables are.
const (
	keyStore   = "store"
	attrLayout = "layout"
	attrBucket = "bucket"
)

// checkLayout refuses tables of another version of this package, and those that
// were used with another bucket. Tables without a mark are new.
func (c *calls) checkLayout(ctx context.Context) (marked bool, err error) {
	i, err := c.get(ctx, c.logTable(), keyStore, 0)
	if i == nil || err != nil {
		return false, err
	}
	return true, c.checkMark(i)
}

func (c *calls) checkMark(i item) error {
	hint := "open it with the version of Annals that made it"
	bucketHint := "give the address the bucket that the store was made with"
	if i.text(attrBucket) == "" {
		bucketHint = "leave bucket= out of the address; for a bucket, make another store and move the events there with annals log --json --exact and annals ingest --ordered"
	}
	switch got := i.number(attrLayout); {
	case got != layout:
		return &annals.Error{Code: annals.CodeInvalid, Message: fmt.Sprintf("the store %s has layout %d, and this version of Annals reads layout %d", c.address.Name, got, layout), Hint: hint}
	case i.text(attrBucket) != c.address.Bucket:
		return &annals.Error{
			Code: annals.CodeInvalid, Message: fmt.Sprintf("the store %s was made with the bucket %q, and its address names %q", c.address.Name, i.text(attrBucket), c.address.Bucket),
			Hint: bucketHint,
		}
	}
	return nil
}

// mark says in the log's table what the tables are, for all who open the store
// later. Of several who do, the first one's mark stands, and the others are held
// to it.
func (c *calls) mark(ctx context.Context) (made bool, err error) {
	i := item{attrKey: textValue(keyStore), attrAt: numberValue(0), attrLayout: numberValue(layout)}
	if c.address.Bucket != "" {
		i[attrBucket] = textValue(c.address.Bucket)
	}
	there, _, err := c.put(ctx, c.logTable(), i)
	if errors.Is(err, errTaken) {
		err = c.checkMark(there)
	} else {
		made = err == nil
	}
	if err == nil {
		c.unmarked.Store(false)
	}
	return made, err
}

// begin names the operation, and ends it when the driver is closed.
func (d *Driver) begin(ctx context.Context, name string) (context.Context, func(), error) {
	if d.closing.Err() != nil {
		return ctx, nil, annals.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return ctx, nil, err
	}
	ctx, cancel := context.WithCancelCause(operation(ctx, name))
	stop := context.AfterFunc(d.closing, func() { cancel(annals.ErrClosed) })
	return ctx, func() { stop(); cancel(nil) }, nil
}

// ended says that the store was closed where that is why a call broke off.
func (d *Driver) ended(err error) error {
	if err != nil && d.closing.Err() != nil && errors.Is(err, context.Canceled) && !errors.Is(err, annals.ErrUnknownOutcome) {
		return annals.ErrClosed
	}
	return err
}

// Costs is what this driver's requests used since it was opened, by operation:
// append, stream, log, end, follow, wait, sequence and seal among them.
func (d *Driver) Costs() map[string]Cost { return d.calls.ledger.copy() }

// Address is where the store is.
func (d *Driver) Address() Address { return d.calls.address }

// Close implements annals.Driver.
func (d *Driver) Close() error {
	d.close()
	return nil
}
