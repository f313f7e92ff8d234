package dynamo

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	smithy "github.com/aws/smithy-go"
)

// interpItem is an item as the SDK has it.
type interpItem = map[string]types.AttributeValue

// interpHooks let a simulation decide what becomes of every call. They are called
// without a lock held, so that they may block or call back; set them before the
// first call.
type interpHooks struct {
	// before sees a call before it takes effect; an error it returns is what the
	// caller gets, and nothing takes effect.
	before func(op string, input any) error
	// after sees a call that took effect or failed by itself; an error it returns
	// replaces the reply, as when a reply is lost.
	after func(op string, input any) error
}

// interpreter is a DynamoDB with Streams in this process, for simulations: it
// has no goroutine, timer or randomness of its own, reads are always strong, and
// the same calls in the same order get the same answers. It plays the operations
// that the store uses and rejects the rest with a ValidationException. What it
// answers is held equal to another implementation's by TestContract.
//
// Set the fields before the first call. It is safe for concurrent use.
type interpreter struct {
	interpHooks
	// pageBytes is how much of items a page of Query, Scan or GetRecords
	// evaluates before it ends.
	pageBytes int
	// clock stamps stream records; it must not call the interpreter.
	clock func() time.Time
	// byPartition puts all records of a partition key into one shard. By default
	// the sort key chooses with it, as order is promised for an item alone.
	byPartition bool
	// unprocessed says how many of a batch's n keys or requests, the last ones,
	// are left undone; it is called ahead of before, without a lock held. nil
	// leaves none.
	unprocessed func(op string, n int) int

	mu       sync.Mutex
	tables   map[string]*interpTable
	streams  map[string]*interpStream // by ARN
	sequence int                      // the last sequence number that was given
	trimmed  int                      // records below this number are gone
	writes   float64
	reads    float64
}

var (
	_ database    = (*interpreter)(nil)
	_ shardReader = (*interpreter)(nil)
)

func newInterpreter() *interpreter {
	return &interpreter{
		pageBytes: 1 << 20,
		clock:     func() time.Time { return time.Unix(0, 0) },
		tables:    map[string]*interpTable{},
		streams:   map[string]*interpStream{},
	}
}

// create makes a table, or panics if there is one of that name. pk is a string
// and sk a number.
func (i *interpreter) create(name, pk, sk string, stream bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.tables[name] != nil {
		panic("table " + name + " is there already")
	}
	t := &interpTable{name: name, pk: pk, sk: sk, byName: map[string]*interpPartition{}}
	i.tables[name] = t
	if stream {
		t.stream = i.newStream(t)
	}
}

// used is what all calls used until now, those included whose reply was lost or
// was an error after work was done, like a failed condition.
func (i *interpreter) used() (writes, reads float64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.writes, i.reads
}

// interpret runs one call: the hooks around its effect, and the lock around the
// effect alone.
func interpret[In, Out any](ctx context.Context, h *interpHooks, mu *sync.Mutex, op string, in *In, effect func(*In) (*Out, error)) (*Out, error) {
	if err := ctx.Err(); err != nil {
		return nil, &smithy.CanceledError{Err: err}
	}
	if h.before != nil {
		if err := h.before(op, in); err != nil {
			return nil, err
		}
	}
	mu.Lock()
	out, err := effect(in)
	mu.Unlock()
	if h.after != nil {
		if lost := h.after(op, in); lost != nil {
			return nil, lost
		}
	}
	return out, err
}

// undone asks the hook how much of a batch to leave.
func (i *interpreter) undone(op string, n int) int {
	if i.unprocessed == nil {
		return 0
	}
	return min(max(i.unprocessed(op, n), 0), n)
}

func invalidCall(format string, args ...any) error {
	return &smithy.GenericAPIError{Code: "ValidationException", Message: fmt.Sprintf(format, args...), Fault: smithy.FaultClient}
}

// unplayed rejects what the interpreter would have to ignore.
func unplayed(set bool, what string) error {
	if set {
		return invalidCall("the interpreter does not play %s", what)
	}
	return nil
}

func (i *interpreter) table(name *string) (*interpTable, error) {
	if t := i.tables[aws.ToString(name)]; t != nil {
		return t, nil
	}
	return nil, &types.ResourceNotFoundException{Message: aws.String("Requested resource not found")}
}

func (i *interpreter) DescribeTable(ctx context.Context, in *dynamodb.DescribeTableInput, _ ...func(*dynamodb.Options)) (*dynamodb.DescribeTableOutput, error) {
	return interpret(ctx, &i.interpHooks, &i.mu, "DescribeTable", in, i.describeTable)
}

func (i *interpreter) describeTable(in *dynamodb.DescribeTableInput) (*dynamodb.DescribeTableOutput, error) {
	t, err := i.table(in.TableName)
	if err != nil {
		return nil, err
	}
	d := &types.TableDescription{
		TableName:   aws.String(t.name),
		TableStatus: types.TableStatusActive,
		TableArn:    aws.String(interpARN + t.name),
		ItemCount:   aws.Int64(int64(t.count)),
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String(t.pk), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String(t.sk), KeyType: types.KeyTypeRange},
		},
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(t.pk), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(t.sk), AttributeType: types.ScalarAttributeTypeN},
		},
	}
	if t.stream != nil {
		d.LatestStreamArn = aws.String(t.stream.arn)
		d.LatestStreamLabel = aws.String(t.stream.label)
		d.StreamSpecification = &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewImage}
	}
	return &dynamodb.DescribeTableOutput{Table: d}, nil
}
