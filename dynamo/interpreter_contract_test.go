package dynamo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	smithy "github.com/aws/smithy-go"

	"github.com/eb901187/annals/awstest"
)

var contractSeed = flag.Uint64("contract-seed", 1, "seed of the random case of the interpreter's contract")

// world is a DynamoDB and what it answered.
type world struct {
	t      *testing.T
	db     database
	shards shardReader
	create func(table string, stream bool) // with the keys p and s
	said   []string
}

func (w *world) say(format string, args ...any) {
	w.said = append(w.said, fmt.Sprintf(format, args...))
}

// contractCase runs on two worlds, which have to say the same.
type contractCase struct {
	name string
	run  func(w *world)
}

// The interpreter answers as dynoxide does, through the real SDK, which stands in
// for DynamoDB here. No case asks for what dynoxide 1.2.1 does otherwise than
// DynamoDB, or can't show; there the interpreter does as DynamoDB:
//   - a put that changes nothing leaves no stream record;
//   - the item that fills a page of 1 MB is of that page; dynoxide leaves it to
//     the next, but counts it as scanned;
//   - a query for an empty partition key, and one with a start key of another
//     partition, are invalid;
//   - a shard that is not there is not found;
//   - a failed condition is paid for, which no reply says.
func TestContract(t *testing.T) {
	for _, cases := range [][]contractCase{writeCases, readCases, batchCases, streamCases, randomCases} {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				played, standIn := interpreted(t), overHTTP(t)
				c.run(played)
				c.run(standIn)
				compareWorlds(t, played.said, standIn.said)
			})
		}
	}
}

func interpreted(t *testing.T) *world {
	i := newInterpreter()
	return &world{t: t, db: i, shards: i, create: func(table string, stream bool) { i.create(table, "p", "s", stream) }}
}

func overHTTP(t *testing.T) *world {
	endpoint := aws.String(awstest.DynamoDB(t))
	identity := credentials.NewStaticCredentialsProvider("id", "secret", "")
	db := dynamodb.New(dynamodb.Options{Region: "us-east-1", Credentials: identity, BaseEndpoint: endpoint})
	shards := dynamodbstreams.New(dynamodbstreams.Options{Region: "us-east-1", Credentials: identity, BaseEndpoint: endpoint})
	return &world{t: t, db: db, shards: shards, create: func(table string, stream bool) {
		in := &dynamodb.CreateTableInput{
			TableName: &table, BillingMode: types.BillingModePayPerRequest,
			KeySchema: []types.KeySchemaElement{
				{AttributeName: aws.String("p"), KeyType: types.KeyTypeHash},
				{AttributeName: aws.String("s"), KeyType: types.KeyTypeRange},
			},
			AttributeDefinitions: []types.AttributeDefinition{
				{AttributeName: aws.String("p"), AttributeType: types.ScalarAttributeTypeS},
				{AttributeName: aws.String("s"), AttributeType: types.ScalarAttributeTypeN},
			},
		}
		if stream {
			in.StreamSpecification = &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewImage}
		}
		if _, err := db.CreateTable(context.Background(), in); err != nil {
			t.Fatalf("creating table %s: %v", table, err)
		}
	}}
}

func compareWorlds(t *testing.T, played, standIn []string) {
	t.Helper()
	if len(played) == 0 {
		t.Fatal("the case said nothing")
	}
	for k := range max(len(played), len(standIn)) {
		var a, b string
		if k < len(played) {
			a = played[k]
		}
		if k < len(standIn) {
			b = standIn[k]
		}
		if a != b {
			t.Fatalf("answer %d after\n  %s\nis of the interpreter\n  %s\nand of the stand-in\n  %s", k, strings.Join(played[max(0, k-3):min(k, len(played))], "\n  "), a, b)
		}
	}
}

// renderError is how an error reads in a transcript: its code, and the item that a
// failed condition comes with.
func renderError(err error) string {
	var condition *types.ConditionalCheckFailedException
	if errors.As(err, &condition) {
		return "ConditionalCheckFailedException, item " + render(condition.Item)
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return "error " + err.Error()
}
