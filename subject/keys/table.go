package keys

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/subject"
)

// The attributes of an item.
const (
	attrSubject = "subject" // the table's key
	attrEdition = "edition"
	attrRecord  = "record"
)

type item = map[string]types.AttributeValue

// table is a subject.Shelf in DynamoDB.
type table struct {
	db   *dynamodb.Client
	name string
}

// Table makes a Shelf of a table whose partition key is the text subject. Each change
// is a conditional put, so that two processes never make two keys for a subject.
func Table(db *dynamodb.Client, name string) subject.Shelf { return &table{db, name} }

// CreateTable makes such a table, paid by request, and waits for it; one that is there
// is left as it is. It has no backups of its own, which would keep keys that are
// destroyed.
func CreateTable(ctx context.Context, db *dynamodb.Client, name string) error {
	_, err := db.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String(attrSubject), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String(attrSubject), KeyType: types.KeyTypeHash}},
	})
	var there *types.ResourceInUseException
	if err != nil && !errors.As(err, &there) {
		return tableErr(name, "making it", err)
	}
	const patience = 2 * 60e9
	err = dynamodb.NewTableExistsWaiter(db).Wait(ctx, &dynamodb.DescribeTableInput{TableName: &name}, patience)
	if err != nil {
		return tableErr(name, "waiting for it", err)
	}
	return nil
}

func (t *table) Place() string { return "table " + t.name }

// Close has nothing to release.
func (t *table) Close() error { return nil }

func (t *table) Get(ctx context.Context, name string) (subject.Record, error) {
	out, err := t.db.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &t.name, Key: item{attrSubject: &types.AttributeValueMemberS{Value: name}}, ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return subject.Record{}, tableErr(t.name, "reading", err)
	}
	if len(out.Item) == 0 {
		return subject.Record{}, nil
	}
	return t.decode(out.Item, name)
}

func (t *table) decode(from item, name string) (subject.Record, error) {
	text, _ := from[attrRecord].(*types.AttributeValueMemberS)
	if text == nil {
		text = &types.AttributeValueMemberS{}
	}
	return subject.DecodeRecord(t.Place(), name, []byte(text.Value))
}

func (t *table) Put(ctx context.Context, r subject.Record) error {
	text, err := r.Encode()
	if err != nil {
		return err
	}
	in := &dynamodb.PutItemInput{
		TableName: &t.name,
		Item: item{
			attrSubject: &types.AttributeValueMemberS{Value: r.Subject},
			attrEdition: &types.AttributeValueMemberN{Value: strconv.FormatInt(r.Edition, 10)},
			attrRecord:  &types.AttributeValueMemberS{Value: string(text)},
		},
		ConditionExpression: aws.String("attribute_not_exists(" + attrSubject + ")"),
	}
	if r.Edition > 1 {
		in.ConditionExpression = aws.String(attrEdition + " = :before")
		in.ExpressionAttributeValues = item{":before": &types.AttributeValueMemberN{Value: strconv.FormatInt(r.Edition-1, 10)}}
	}
	_, err = t.db.PutItem(ctx, in)
	var failed *types.ConditionalCheckFailedException
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failed):
		// By another process, or by this very put, whose answer was lost and which was
		// sent again: reading tells.
		return subject.Overtaken(t.Place(), r)
	case refused(err):
		return tableErr(t.name, "writing", err)
	}
	return &annals.Error{Code: annals.CodeUnknownOutcome, Err: err, Message: "can't tell whether the record of a subject's key was written to " + t.Place(), Hint: "try again"}
}

func (t *table) List(ctx context.Context) iter.Seq2[subject.Record, error] {
	return func(yield func(subject.Record, error) bool) {
		pages := dynamodb.NewScanPaginator(t.db, &dynamodb.ScanInput{TableName: &t.name, ConsistentRead: aws.Bool(true)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(subject.Record{}, tableErr(t.name, "reading", err))
				return
			}
			for _, one := range page.Items {
				r, err := t.decode(one, "")
				if !yield(r, err) || err != nil {
					return
				}
			}
		}
	}
}

// refused reports whether a put that failed was not made, by AWS's own word.
func refused(err error) bool {
	var coded interface{ ErrorCode() string }
	return errors.As(err, &coded) && !isFault(coded.ErrorCode())
}

// isFault names the errors of a service that may have done what it was asked.
func isFault(code string) bool {
	return code == "InternalServerError" || code == "ServiceUnavailable" || code == "InternalFailure"
}

func tableErr(name, doing string, err error) error {
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) {
		return &annals.Error{Code: annals.CodeNotFound, Err: err, Message: "there is no table " + name + " of keys", Hint: "annals keys new makes it; check its name and region"}
	}
	if code := annals.CodeOf(err); code == annals.CodeCanceled || code == annals.CodeTimeout {
		return err
	}
	return &annals.Error{Code: annals.CodeUnavailable, Err: err, Message: fmt.Sprintf("the keys in table %s can't be used: %s failed", name, doing), Hint: "check the region, the rights of this process and the network, and try again"}
}
