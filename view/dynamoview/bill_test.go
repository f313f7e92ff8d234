package dynamoview

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/eb901187/annals/view"
)

// A bill is what requests used.
type bill struct {
	requests      int
	writes, reads float64
}

// meter asks DynamoDB what each request used, and adds it up.
type meter struct {
	mu sync.Mutex
	bill
}

func (m *meter) install(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("Meter", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		const total = types.ReturnConsumedCapacityTotal
		switch p := in.Parameters.(type) {
		case *dynamodb.PutItemInput:
			p.ReturnConsumedCapacity = total
		case *dynamodb.TransactWriteItemsInput:
			p.ReturnConsumedCapacity = total
		case *dynamodb.GetItemInput:
			p.ReturnConsumedCapacity = total
		case *dynamodb.BatchGetItemInput:
			p.ReturnConsumedCapacity = total
		case *dynamodb.BatchWriteItemInput:
			p.ReturnConsumedCapacity = total
		case *dynamodb.QueryInput:
			p.ReturnConsumedCapacity = total
		}
		out, metadata, err := next.HandleInitialize(ctx, in)
		if err == nil {
			m.add(out.Result)
		}
		return out, metadata, err
	}), middleware.Before)
}

func (m *meter) add(result any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
	sum := func(all ...types.ConsumedCapacity) (units float64) {
		for _, c := range all {
			units += aws.ToFloat64(c.CapacityUnits)
		}
		return units
	}
	switch r := result.(type) {
	case *dynamodb.PutItemOutput:
		m.writes += sum(*r.ConsumedCapacity)
	case *dynamodb.TransactWriteItemsOutput:
		m.writes += sum(r.ConsumedCapacity...)
	case *dynamodb.BatchWriteItemOutput:
		m.writes += sum(r.ConsumedCapacity...)
	case *dynamodb.GetItemOutput:
		m.reads += sum(*r.ConsumedCapacity)
	case *dynamodb.BatchGetItemOutput:
		m.reads += sum(r.ConsumedCapacity...)
	case *dynamodb.QueryOutput:
		m.reads += sum(*r.ConsumedCapacity)
	}
}

// billed is a store whose operations are measured one by one.
type billed struct {
	*Store
	t     *testing.T
	meter *meter
	state []byte // the checkpoint as it was committed last
}

// exactly holds what f used against a bill.
func (b *billed) exactly(what string, want bill, f func() error) {
	b.t.Helper()
	b.meter.bill = bill{}
	if err := f(); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
	m := b.meter
	if b.t.Logf("%-50s %d requests, %.1f WRU, %.1f RRU", what, m.requests, m.writes, m.reads); m.bill != want {
		b.t.Errorf("%s used %+v, want %+v", what, m.bill, want)
	}
}

// order is a document of 600 bytes.
var order = `{"customer":"c-12","total":129.90,"lines":[` + strings.Repeat(`{"sku":"a-1","quantity":2},`, 19) + `{"sku":"a-1","quantity":2}]}`

// commit moves the checkpoint, under the expectation of itself, with documents.
func (b *billed) commit(documents int) func() error {
	return func() error {
		next := `{"position":"47` + numbered(documents) + `","runner":"018f0000-0000-7000-8000-000000000000"}`
		c := view.Change{
			Expect: []view.Expectation{{Key: view.Key{Space: "consumers", Key: "orders"}, Data: b.state}},
			Put:    []view.Put{put("consumers", "orders", next)},
		}
		for i := range documents {
			c.Put = append(c.Put, put("orders@1", numbered(i), order))
		}
		b.state = []byte(next)
		return b.Commit(b.t.Context(), c)
	}
}

func (b *billed) get(n int) func() error {
	return func() error {
		var keys []string
		for i := range n {
			keys = append(keys, numbered(i))
		}
		got, err := b.Get(b.t.Context(), "orders@1", keys...)
		if len(got) != n {
			b.t.Errorf("got %d documents of %d", len(got), n)
		}
		return err
	}
}

func (b *billed) scan() error {
	n := 0
	for _, err := range b.Scan(b.t.Context(), "orders@1", view.Range{}) {
		if err != nil {
			return err
		}
		n++
	}
	if n != 10 {
		b.t.Errorf("scanned %d documents", n)
	}
	return nil
}

// What views cost. A regression here is one of every user's bill.
func TestBillOfViews(t *testing.T) {
	m := &meter{}
	b := &billed{Store: newStore(t, m.install), t: t, meter: m}
	b.exactly("a checkpoint alone", bill{requests: 1, writes: 1}, b.commit(0))
	b.exactly("a checkpoint and 1 document", bill{requests: 1, writes: 4}, b.commit(1))
	b.exactly("a checkpoint and 10 documents", bill{requests: 1, writes: 22}, b.commit(10))
	b.exactly("1 document without an expectation", bill{requests: 1, writes: 1}, func() error {
		return b.Commit(t.Context(), view.Change{Put: []view.Put{put("orders@1", numbered(0), order)}})
	})
	b.exactly("a get of 1 key", bill{requests: 1, reads: 1}, b.get(1))
	b.exactly("a get of 10 keys", bill{requests: 1, reads: 10}, b.get(10))
	b.exactly("a scan of 10 documents of 600 bytes", bill{requests: 1, reads: 2}, b.scan)
	b.exactly("dropping them", bill{requests: 2, writes: 10, reads: 2}, func() error { return b.Drop(t.Context(), "orders@1") })
}
