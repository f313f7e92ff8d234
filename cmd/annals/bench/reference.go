package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/dynamo"
)

// referenceTable is an event store as most libraries make one in DynamoDB: an
// item an event, and in the same partition an item that holds the stream's
// version, both written by one transaction. It has no log across streams.
type referenceTable struct {
	db   *dynamodb.Client
	name string

	mu   sync.Mutex
	used dynamo.Cost
}

// headVersion is the sort key of the item that holds a stream's version.
const headVersion = "0"

const tableWait = 5 * time.Minute

// makeReference makes the table, or takes the one that a bench left which was
// killed. Where it returns a table with an error, there is one to drop.
func makeReference(ctx context.Context, db *dynamodb.Client, name string, stream bool) (*referenceTable, error) {
	r := &referenceTable{db: db, name: name}
	in := &dynamodb.CreateTableInput{
		TableName: &r.name, BillingMode: types.BillingModePayPerRequest, DeletionProtectionEnabled: aws.Bool(false),
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("stream"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("version"), AttributeType: types.ScalarAttributeTypeN},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("stream"), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String("version"), KeyType: types.KeyTypeRange},
		},
	}
	if stream {
		in.StreamSpecification = &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewImage}
	}
	_, err := db.CreateTable(ctx, in)
	var there *types.ResourceInUseException
	if err != nil && !errors.As(err, &there) {
		return nil, err
	}
	waiter := dynamodb.NewTableExistsWaiter(db, func(o *dynamodb.TableExistsWaiterOptions) { o.MinDelay = time.Second })
	return r, waiter.Wait(ctx, &dynamodb.DescribeTableInput{TableName: &r.name}, tableWait)
}

// drop removes the table, also where the run was interrupted.
func (r *referenceTable) drop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if _, err := r.db.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &r.name}); err != nil {
		return fmt.Errorf("the table %s is left behind: %w", r.name, err)
	}
	return nil
}

func (r *referenceTable) count(writes bool, used ...types.ConsumedCapacity) {
	c := dynamo.Cost{Requests: 1}
	for _, u := range used {
		if writes {
			c.Writes += aws.ToFloat64(u.CapacityUnits)
		} else {
			c.Reads += aws.ToFloat64(u.CapacityUnits)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used = r.used.Plus(c)
}

func (r *referenceTable) spent() dynamo.Cost {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.used
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func whole(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func (r *referenceTable) append(ctx context.Context, stream string, expected int64, e annals.Event) error {
	head := &types.Update{
		TableName:                 &r.name,
		Key:                       map[string]types.AttributeValue{"stream": text(stream), "version": &types.AttributeValueMemberN{Value: headVersion}},
		UpdateExpression:          aws.String("SET #head = :next"),
		ConditionExpression:       aws.String("#head = :expected"),
		ExpressionAttributeNames:  map[string]string{"#head": "head"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":next": whole(expected + 1)},
	}
	if expected == 0 {
		head.ConditionExpression = aws.String("attribute_not_exists(#head)")
	} else {
		head.ExpressionAttributeValues[":expected"] = whole(expected)
	}
	out, err := r.db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{
		TransactItems: []types.TransactWriteItem{{Put: &types.Put{
			TableName: &r.name,
			Item: map[string]types.AttributeValue{
				"stream": text(stream), "version": whole(expected + 1), "id": text(newID()), "type": text(e.Type),
				"source": text(e.Source), "time": text(time.Now().UTC().Format(time.RFC3339Nano)), "data": text(string(e.Data)),
			},
			ConditionExpression:      aws.String("attribute_not_exists(#stream)"),
			ExpressionAttributeNames: map[string]string{"#stream": "stream"},
		}}, {Update: head}},
		ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	})
	if err != nil {
		return err
	}
	r.count(true, out.ConsumedCapacity...)
	return nil
}

// load decodes a stream's events and returns how many there are.
func (r *referenceTable) load(ctx context.Context, stream string) (n int, err error) {
	in := &dynamodb.QueryInput{
		TableName: &r.name, ConsistentRead: aws.Bool(true), ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
		KeyConditionExpression:    aws.String("#stream = :stream AND #version > :head"),
		ExpressionAttributeNames:  map[string]string{"#stream": "stream", "#version": "version"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":stream": text(stream), ":head": &types.AttributeValueMemberN{Value: headVersion}},
	}
	for {
		out, err := r.db.Query(ctx, in)
		if err != nil {
			return n, err
		}
		r.count(false, *out.ConsumedCapacity)
		for _, item := range out.Items {
			if _, err := referenceEvent(item); err != nil {
				return n, err
			}
			n++
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 {
			return n, nil
		}
	}
}

func referenceEvent(item map[string]types.AttributeValue) (e annals.Event, err error) {
	field := func(name string) string {
		if s, ok := item[name].(*types.AttributeValueMemberS); ok {
			return s.Value
		}
		return ""
	}
	e = annals.Event{ID: field("id"), Type: field("type"), Source: field("source"), Stream: field("stream"), Data: []byte(field("data"))}
	if n, ok := item["version"].(*types.AttributeValueMemberN); ok {
		e.Version, err = strconv.ParseInt(n.Value, 10, 64)
	}
	if err == nil {
		e.Time, err = time.Parse(time.RFC3339Nano, field("time"))
	}
	return e, err
}
