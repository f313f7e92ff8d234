package dynamo

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// calls makes the requests: it counts them, reads to the last page, sends again
// what was left over, and words errors.
type calls struct {
	db      database
	s3      objects // nil without a bucket
	address Address
	ledger  *ledger
	sizes   sizes
	clock   func() time.Time
	random  func() uint64
	pause   func(context.Context, time.Duration) error
	logger  *slog.Logger
	owed    sync.Map // hashes of bodies that this process has committed and could not promote

	unmarked atomic.Bool // no mark says yet what the tables are
}

func newCalls(db database, s3 objects, address Address, o Options) *calls {
	c := &calls{
		db: db, s3: s3, address: address, ledger: &ledger{costs: map[string]Cost{}}, sizes: usualSizes,
		clock: o.Clock, random: o.Random, pause: o.Pause, logger: o.Logger,
	}
	if o.sizes != nil {
		c.sizes = *o.sizes
	}
	if s3 == nil {
		// A page must fit into an item, even if it can't be packed.
		c.sizes.pageBytes = min(c.sizes.pageBytes, maxItem*3/4)
	}
	clock := c.clock
	if clock == nil {
		clock = time.Now
	}
	// Without the monotonic reading, which stands still while a machine sleeps.
	c.clock = func() time.Time { return clock().Round(0) }
	if c.random == nil {
		c.random = rand.Uint64
	}
	if c.pause == nil {
		c.pause = pause
	}
	if c.logger == nil {
		c.logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// A table is one of the store's, with the names of its keys.
type table struct {
	name, pk, sk string
	named        bool // sk is a string, not a number
}

// The keys of the log table; what they hold is in page.go.
const (
	attrKey = "key"
	attrAt  = "at"
)

func (c *calls) eventsTable() table {
	return table{name: c.address.Name + "-events", pk: attrStream, sk: attrVersion}
}
func (c *calls) logTable() table {
	return table{name: c.address.Name + "-log", pk: attrKey, sk: attrAt}
}

func (t table) key(pk string, sk int64) item {
	return item{t.pk: textValue(pk), t.sk: numberValue(sk)}
}

// errTaken says that an item was not put because its key is taken.
var errTaken = errors.New("dynamo: the key is taken")

// put writes an item under a new key. Where the key is taken, it returns the
// item that is there and errTaken. sent says that an error leaves open whether
// the item was put.
func (c *calls) put(ctx context.Context, t table, i item) (there item, sent bool, err error) {
	free := "attribute_not_exists(#p)"
	if planted.noCondition {
		free += " OR attribute_exists(#p)"
	}
	tally := &tries{}
	out, err := c.db.PutItem(context.WithValue(ctx, triesKey{}, tally), &dynamodb.PutItemInput{
		TableName: &t.name, Item: i,
		ConditionExpression:                 aws.String(free),
		ExpressionAttributeNames:            map[string]string{"#p": t.pk},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		ReturnConsumedCapacity:              types.ReturnConsumedCapacityTotal,
	})
	if err == nil {
		c.count(ctx, tally.once(units(out.ConsumedCapacity), 0))
		return nil, false, nil
	}
	var taken *types.ConditionalCheckFailedException
	if errors.As(err, &taken) {
		// The reply of a failed condition says nothing of its price, which is that
		// of a write.
		c.count(ctx, tally.once(float64(max(i.writeUnits(), item(taken.Item).writeUnits())), 0))
		return taken.Item, false, errTaken
	}
	c.count(ctx, tally.once(0, 0))
	return nil, tally.unclear || unclear(err), c.failed(ctx, "PutItem", t.name, err)
}

func units(c *types.ConsumedCapacity) float64 {
	if c == nil {
		return 0
	}
	return aws.ToFloat64(c.CapacityUnits)
}

// get reads one item strongly; nil if there is none.
func (c *calls) get(ctx context.Context, t table, pk string, sk int64) (item, error) {
	tally := &tries{}
	out, err := c.db.GetItem(context.WithValue(ctx, triesKey{}, tally), &dynamodb.GetItemInput{
		TableName: &t.name, Key: t.key(pk, sk), ConsistentRead: aws.Bool(true),
		ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	})
	if err != nil {
		c.count(ctx, tally.once(0, 0))
		return nil, c.failed(ctx, "GetItem", t.name, err)
	}
	c.count(ctx, tally.once(0, units(out.ConsumedCapacity)))
	return out.Item, nil
}

// A span is items of one partition key with from ≤ sort key ≤ to.
type span struct {
	pk       string
	from, to int64
	backward bool
	eventual bool // may miss what was written in the last moments
	// few is how many items the first request asks for, each further one eight
	// times as many; 0 lets DynamoDB fill its pages of 1 MB.
	few int32
}

// query yields the items of a span, to its last page.
func (c *calls) query(ctx context.Context, t table, s span) iter.Seq2[item, error] {
	if s.from > s.to {
		return func(func(item, error) bool) {}
	}
	few := s.few
	return pages(func(start item) ([]map[string]types.AttributeValue, item, error) {
		in := &dynamodb.QueryInput{
			TableName: &t.name, ConsistentRead: aws.Bool(!s.eventual && !planted.eventualReads), ScanIndexForward: aws.Bool(!s.backward),
			KeyConditionExpression:   aws.String("#p = :p AND #s BETWEEN :a AND :b"),
			ExpressionAttributeNames: map[string]string{"#p": t.pk, "#s": t.sk},
			ExpressionAttributeValues: map[string]types.AttributeValue{
				":p": textValue(s.pk), ":a": numberValue(s.from), ":b": numberValue(s.to),
			},
			ExclusiveStartKey: start, ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
		}
		if few > 0 {
			in.Limit = aws.Int32(few)
			few = int32(min(int64(few)*8, math.MaxInt16))
		}
		tally := &tries{}
		out, err := c.db.Query(context.WithValue(ctx, triesKey{}, tally), in)
		if err != nil {
			c.count(ctx, tally.once(0, 0))
			return nil, nil, c.failed(ctx, "Query", t.name, err)
		}
		c.count(ctx, tally.once(0, units(out.ConsumedCapacity)))
		return out.Items, out.LastEvaluatedKey, nil
	})
}

// pages yields the items of pages: read takes the key to start behind, nil at
// first, and returns a page with the key behind which the next one starts.
func pages(read func(start item) ([]map[string]types.AttributeValue, item, error)) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		for start := item(nil); ; {
			items, next, err := read(start)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, i := range items {
				if !yield(i, nil) {
					return
				}
			}
			if start = next; len(start) == 0 {
				return
			}
		}
	}
}

// first is the first item of a span; nil if there is none.
func (c *calls) first(ctx context.Context, t table, s span) (item, error) {
	s.few = 1
	for i, err := range c.query(ctx, t, s) {
		return i, err
	}
	return nil, nil
}

// scan yields every item of a table, strongly.
func (c *calls) scan(ctx context.Context, t table) iter.Seq2[item, error] {
	return pages(func(start item) ([]map[string]types.AttributeValue, item, error) {
		tally := &tries{}
		out, err := c.db.Scan(context.WithValue(ctx, triesKey{}, tally), &dynamodb.ScanInput{
			TableName: &t.name, ConsistentRead: aws.Bool(true), ExclusiveStartKey: start, ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
		})
		if err != nil {
			c.count(ctx, tally.once(0, 0))
			return nil, nil, c.failed(ctx, "Scan", t.name, err)
		}
		c.count(ctx, tally.once(0, units(out.ConsumedCapacity)))
		return out.Items, out.LastEvaluatedKey, nil
	})
}

// maxBatch is how many items one BatchWriteItem takes.
const maxBatch = 25

// write puts items, over what is there, in batches, until all are taken.
func (c *calls) write(ctx context.Context, t table, items []item) error {
	parts := slices.Collect(slices.Chunk(items, maxBatch))
	return c.each(len(parts), func(k int) error {
		requests := make([]types.WriteRequest, len(parts[k]))
		for i := range requests {
			requests[i] = types.WriteRequest{PutRequest: &types.PutRequest{Item: parts[k][i]}}
		}
		return c.writeBatch(ctx, t, requests)
	})
}

// each calls f for 0 to n-1, several at once, and returns the first error.
func (c *calls) each(n int, f func(int) error) error {
	if c.sizes.atOnce <= 1 || n <= 1 {
		for i := range n {
			if err := f(i); err != nil {
				return err
			}
		}
		return nil
	}
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var done sync.WaitGroup
	for range min(n, c.sizes.atOnce) {
		done.Go(func() {
			for failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(i); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	done.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (c *calls) writeBatch(ctx context.Context, t table, requests []types.WriteRequest) error {
	for try := 0; len(requests) > 0; try++ {
		if try > 0 {
			if err := c.pause(ctx, min(time.Second, 20*time.Millisecond<<min(try, 10))); err != nil {
				return err
			}
		}
		tally := &tries{}
		out, err := c.db.BatchWriteItem(context.WithValue(ctx, triesKey{}, tally), &dynamodb.BatchWriteItemInput{
			RequestItems:           map[string][]types.WriteRequest{t.name: requests},
			ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
		})
		if err != nil {
			c.count(ctx, tally.once(0, 0))
			return c.failed(ctx, "BatchWriteItem", t.name, err)
		}
		used := 0.0
		for i := range out.ConsumedCapacity {
			used += units(&out.ConsumedCapacity[i])
		}
		c.count(ctx, tally.once(used, 0))
		requests = out.UnprocessedItems[t.name]
	}
	return nil
}
