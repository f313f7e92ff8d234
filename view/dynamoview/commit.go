package dynamoview

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

const (
	// maxChange is how many items one transaction takes.
	maxChange = 100
	// maxTransaction is how many bytes they may have together.
	maxTransaction = 4 << 20
	// maxTries is how often a change is sent that met others.
	maxTries = 8
)

// MaxChange implements view.Store.
func (s *Store) MaxChange() int { return maxChange }

// Commit implements view.Store. All documents of a change of more than one have
// at most 4 MB together; else the error matches annals.ErrTooLarge. Every change
// is durable.
func (s *Store) Commit(ctx context.Context, c view.Change) error {
	if err := c.Check(); err != nil {
		return err
	}
	if err := c.CheckSize(maxChange); err != nil {
		return err
	}
	if c.Work != nil {
		return annals.Invalid("change", "has work for a database of SQL, and these views are in DynamoDB")
	}
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	writes := s.writes(&c)
	if len(writes) > 0 && s.unmarked.Load() {
		if err := s.mark(ctx); err != nil {
			return s.ended(err)
		}
	}
	switch {
	case len(writes) == 0:
		return nil
	case len(writes) == 1 && writes[0].Put != nil:
		return s.ended(s.put(ctx, &c, writes[0].Put))
	default:
		return s.ended(s.transact(ctx, writes))
	}
}

// writes are what a change does, one for each document: an expectation of one
// that is put or deleted is the condition of that.
func (s *Store) writes(c *view.Change) []types.TransactWriteItem {
	expected := make(map[view.Key]*condition, len(c.Expect))
	for i := range c.Expect {
		expected[c.Expect[i].Key] = newCondition(c.Expect[i].Data)
	}
	take := func(k view.Key) condition {
		e := expected[k]
		delete(expected, k)
		if e == nil {
			return condition{}
		}
		return *e
	}
	var writes []types.TransactWriteItem
	for i := range c.Put {
		p := &c.Put[i]
		e := take(view.Key{Space: p.Space, Key: p.Key})
		writes = append(writes, types.TransactWriteItem{Put: &types.Put{
			TableName: &s.table, Item: newItem(p),
			ConditionExpression: e.expression, ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
		}})
	}
	for _, k := range c.Delete {
		e := take(k)
		writes = append(writes, types.TransactWriteItem{Delete: &types.Delete{
			TableName: &s.table, Key: name(k.Space, k.Key),
			ConditionExpression: e.expression, ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
		}})
	}
	for i := range c.Expect {
		k := c.Expect[i].Key
		if expected[k] == nil {
			continue
		}
		e := take(k)
		writes = append(writes, types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
			TableName: &s.table, Key: name(k.Space, k.Key),
			ConditionExpression: e.expression, ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
		}})
	}
	return writes
}

// A condition is an expectation in DynamoDB's words; all nil for none.
type condition struct {
	expression *string
	names      map[string]string
	values     item
}

func newCondition(data []byte) *condition {
	c := &condition{expression: aws.String("attribute_not_exists(#d)"), names: map[string]string{"#d": attrData}}
	if data != nil {
		c.expression, c.values = aws.String("#d = :d"), item{":d": text(string(data))}
	}
	return c
}

// documentOf is what a write of a transaction is about.
func documentOf(w *types.TransactWriteItem) view.Key {
	var i item
	switch {
	case w.Put != nil:
		i = w.Put.Item
	case w.Delete != nil:
		i = w.Delete.Key
	default:
		i = w.ConditionCheck.Key
	}
	space, key := i[attrSpace].(*types.AttributeValueMemberS), i[attrKey].(*types.AttributeValueMemberS)
	return view.Key{Space: space.Value, Key: key.Value}
}

// put writes one document. Under an expectation it carries an id: a reply that was
// lost and then sent again finds what it wrote itself, which is no conflict. Ids
// rather than the data are compared, because two writers may put the same data,
// each counting on being the one who did.
func (s *Store) put(ctx context.Context, c *view.Change, p *types.Put) error {
	var id []byte
	if p.ConditionExpression != nil {
		id = binary.BigEndian.AppendUint64(nil, s.random())
		p.Item[attrChange] = &types.AttributeValueMemberB{Value: id}
	}
	tries := &tries{}
	in := &dynamodb.PutItemInput{
		TableName: &s.table, Item: p.Item, ConditionExpression: p.ConditionExpression,
		ExpressionAttributeNames: p.ExpressionAttributeNames, ExpressionAttributeValues: p.ExpressionAttributeValues,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	for try := 1; ; try++ {
		_, err := s.db.PutItem(tries.watch(ctx), in)
		var stands *types.ConditionalCheckFailedException
		var met *types.TransactionConflictException
		switch {
		case err == nil:
			return nil
		case errors.As(err, &stands):
			there, _ := stands.Item[attrChange].(*types.AttributeValueMemberB)
			if there != nil && bytes.Equal(there.Value, id) {
				return nil
			}
			if tries.unclear() {
				// Ours may have been there and been replaced since.
				return s.unknown(err)
			}
			return view.Conflict(view.Key{Space: c.Put[0].Space, Key: c.Put[0].Key})
		case errors.As(err, &met) && try < maxTries:
			if err := s.backoff(ctx, try); err != nil {
				return s.notMade(tries, err)
			}
		default:
			return s.notMade(tries, s.failed(ctx, "PutItem", err))
		}
	}
}

// transact makes all writes or none.
func (s *Store) transact(ctx context.Context, writes []types.TransactWriteItem) error {
	if n := bytesOf(writes); n > maxTransaction {
		return tooLarge(fmt.Sprintf("has documents of %d bytes, the limit of a transaction of DynamoDB is %d", n, maxTransaction))
	}
	tries := &tries{}
	in := &dynamodb.TransactWriteItemsInput{
		TransactItems: writes, ClientRequestToken: aws.String(fmt.Sprintf("%016x%016x", s.random(), s.random())),
	}
	for try := 1; ; try++ {
		_, err := s.db.TransactWriteItems(tries.watch(ctx), in)
		if err == nil {
			return nil
		}
		var canceled *types.TransactionCanceledException
		var running *types.TransactionInProgressException
		var again bool
		switch {
		case errors.As(err, &canceled):
			var reason error
			if reason, again = s.canceled(writes, canceled); reason != nil {
				return reason
			}
		case errors.As(err, &running): // a try that got no reply
			again = true
		}
		if !again || try == maxTries {
			return s.notMade(tries, s.failed(ctx, "TransactWriteItems", err))
		}
		if err := s.backoff(ctx, try); err != nil {
			return s.notMade(tries, err)
		}
	}
}

// canceled says why DynamoDB did not make a transaction, where that is the
// change's fault, or whether it may be sent again.
func (s *Store) canceled(writes []types.TransactWriteItem, e *types.TransactionCanceledException) (reason error, again bool) {
	for i, r := range e.CancellationReasons {
		switch code := aws.ToString(r.Code); {
		case code == "ConditionalCheckFailed" && i < len(writes):
			return view.Conflict(documentOf(&writes[i])), false
		case code == "ItemSizeLimitExceeded", code == "ValidationError" && aboutSize(aws.ToString(r.Message)):
			reason = tooLarge("is too large for DynamoDB: " + aws.ToString(r.Message))
		case slices.Contains(passing, code):
			again = true
		}
	}
	return reason, again
}

// passing are reasons that another try may not meet.
var passing = []string{"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"}

// aboutSize recognizes DynamoDB's complaints about the size of a transaction or
// of an item.
func aboutSize(message string) bool {
	return strings.Contains(message, "size") && (strings.Contains(message, "exceed") || strings.Contains(message, "large") || strings.Contains(message, "limit"))
}

func tooLarge(what string) error {
	return &annals.InvalidError{Code: annals.CodeTooLarge, Violations: []annals.Violation{{Field: "change", Message: what}}}
}

// bytesOf is the size of the items that a transaction writes, by DynamoDB's rules
// but for numbers, which are never longer than taken here.
func bytesOf(writes []types.TransactWriteItem) int {
	const numberBytes = 21
	n := 0
	for i := range writes {
		if p := writes[i].Put; p != nil {
			for name, v := range p.Item {
				n += len(name) + numberBytes
				if s, is := v.(*types.AttributeValueMemberS); is {
					n += len(s.Value) - numberBytes
				}
			}
		}
	}
	return n
}
