package dynamoview

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// Suffix makes the name of the table of views from that of a store.
const Suffix = "-views"

// The names of a document's attributes. Package dynamo, which makes the table,
// knows those of its keys and of its mark too.
const (
	attrSpace    = "space"
	attrKey      = "key"
	attrData     = "data"
	attrPosition = "position"
	attrChange   = "change"
)

// The item that says what the table is. No space has a colon in its name.
const (
	markSpace  = "annals:views"
	markKey    = "layout"
	attrLayout = "layout"
	layout     = 1
)

type item = map[string]types.AttributeValue

// A Store is a view.Store in a table. It is safe for concurrent use, and any
// number of processes may have the same table open.
type Store struct {
	db     *dynamodb.Client
	table  string
	region string
	random func() uint64
	pause  func(context.Context, time.Duration) error

	unmarked atomic.Bool // no mark says yet what the table is

	closing context.Context
	close   context.CancelFunc
}

var _ view.Store = (*Store)(nil)

// Open opens the views in a table, which annals init or a deployment has made. It
// reads one item. A table that a deployment has made holds no mark of its layout:
// the first Commit writes it.
// Errors: annals.ErrNotFound where there is no such table, annals.ErrInvalid where
// it is another's or of another version, and those of every request.
func Open(ctx context.Context, client *dynamodb.Client, table string) (*Store, error) {
	return open(ctx, client, table, rand.Uint64, pause)
}

// open takes what makes ids, tokens and the length of pauses, and what waits for
// them.
func open(ctx context.Context, client *dynamodb.Client, table string, random func() uint64, pause func(context.Context, time.Duration) error) (*Store, error) {
	settings := client.Options()
	s := &Store{table: table, region: settings.Region, random: random, pause: pause}
	s.db = dynamodb.New(settings, func(o *dynamodb.Options) {
		o.APIOptions = append(o.APIOptions[:len(o.APIOptions):len(o.APIOptions)], watchTries)
	})
	s.closing, s.close = context.WithCancel(context.Background())
	if err := s.checkLayout(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
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

// backoff pauses before one more try, at random so that those who met do not meet
// again.
func (s *Store) backoff(ctx context.Context, try int) error {
	const first, most = 20 * time.Millisecond, time.Second
	d := min(most, first<<min(try, 10))
	return s.pause(ctx, d/2+time.Duration(s.random()%uint64(d/2)))
}

// checkLayout refuses a table of another version. One without a mark is new.
func (s *Store) checkLayout(ctx context.Context) error {
	out, err := s.db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.table, Key: name(markSpace, markKey), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return s.failed(ctx, "GetItem", err)
	}
	if out.Item == nil {
		s.unmarked.Store(true)
		return nil
	}
	return s.checkMark(out.Item)
}

func (s *Store) checkMark(mark item) error {
	if got := number(mark[attrLayout]); got != layout {
		return &annals.Error{
			Code: annals.CodeInvalid, Message: fmt.Sprintf("the views in the table %s have layout %d, and this version of Annals reads layout %d", s.table, got, layout),
			Hint: "open them with the version of Annals that made them; or delete the table, make it anew with annals init, and build the views with annals projection rebuild --all",
		}
	}
	return nil
}

// mark says what the table is, for all who open it later. Of several who do, the
// first one's mark stands, and the others are held to it.
func (s *Store) mark(ctx context.Context) error {
	i := name(markSpace, markKey)
	i[attrLayout] = &types.AttributeValueMemberN{Value: strconv.Itoa(layout)}
	_, err := s.db.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.table, Item: i,
		ConditionExpression: aws.String("attribute_not_exists(#s)"), ExpressionAttributeNames: map[string]string{"#s": attrSpace},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var there *types.ConditionalCheckFailedException
	switch {
	case errors.As(err, &there):
		err = s.checkMark(there.Item)
	case err != nil:
		err = s.failed(ctx, "PutItem", err)
	}
	if err == nil {
		s.unmarked.Store(false)
	}
	return err
}

// begin ends a call when the Store is closed.
func (s *Store) begin(ctx context.Context) (context.Context, func(), error) {
	if s.closing.Err() != nil {
		return ctx, nil, annals.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return ctx, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.closing, cancel)
	return ctx, func() { stop(); cancel() }, nil
}

// ended says that the Store was closed where that is why a call broke off.
func (s *Store) ended(err error) error {
	if err != nil && s.closing.Err() != nil && errors.Is(err, context.Canceled) && !errors.Is(err, annals.ErrUnknownOutcome) {
		return annals.ErrClosed
	}
	return err
}

// Close implements view.Store. The client stays the caller's.
func (s *Store) Close() error {
	s.close()
	return nil
}

// name is the primary key of a document.
func name(space, key string) item { return item{attrSpace: text(space), attrKey: text(key)} }

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(v types.AttributeValue) int64 {
	n, _ := v.(*types.AttributeValueMemberN)
	if n == nil {
		return -1
	}
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil {
		return -1
	}
	return i
}

func newItem(p *view.Put) item {
	i := name(p.Space, p.Key)
	i[attrData] = text(string(p.Data))
	i[attrPosition] = &types.AttributeValueMemberN{Value: strconv.FormatInt(p.Position, 10)}
	return i
}

// document reads an item.
func (s *Store) document(space string, i item) (view.Document, error) {
	key, _ := i[attrKey].(*types.AttributeValueMemberS)
	data, _ := i[attrData].(*types.AttributeValueMemberS)
	position := number(i[attrPosition])
	if key == nil || data == nil || position < 0 {
		return view.Document{}, &annals.Error{
			Code: annals.CodeDamaged, Message: fmt.Sprintf("an item of space %s in the table %s is no document", space, s.table),
			Hint: "see who else writes to the table; annals projection rebuild --all builds the views again",
		}
	}
	return view.Document{Key: key.Value, Data: []byte(data.Value), Position: position}, nil
}
