package awstest_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/eb901187/annals/awstest"
)

func TestEveryDynamoDBIsEmptyAndItsOwn(t *testing.T) {
	t.Parallel()
	for range 2 {
		client := dynamoClient(t)
		// A table of that name would be refused in a DynamoDB that has it already.
		if _, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
			TableName:            aws.String("events"),
			BillingMode:          types.BillingModePayPerRequest,
			KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("stream"), KeyType: types.KeyTypeHash}},
			AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("stream"), AttributeType: types.ScalarAttributeTypeS}},
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDynamoDBEndsWithTheTest(t *testing.T) {
	var address string
	t.Run("inner", func(t *testing.T) { address = strings.TrimPrefix(awstest.DynamoDB(t), "http://") })
	if conn, err := net.Dial("tcp", address); err == nil {
		_ = conn.Close()
		t.Fatalf("something still listens on %s", address)
	}
}

// failing is a test that takes down what it fails with.
type failing struct {
	testing.TB
	with string
}

func (f *failing) Helper() {}

func (f *failing) Fatal(args ...any) {
	f.with = fmt.Sprint(args...)
	runtime.Goexit()
}

func TestMissingProgramSaysWhatToDo(t *testing.T) {
	t.Chdir(t.TempDir())
	f := &failing{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		awstest.DynamoDB(f)
	}()
	<-done
	if !strings.Contains(f.with, "make stand-ins") {
		t.Fatalf("got %q", f.with)
	}
}

func TestS3HoldsWhatIsPut(t *testing.T) {
	client := s3Client(t, "bodies", "pages")
	for _, bucket := range []string{"bodies", "pages"} {
		if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: aws.String(bucket), Key: aws.String("a/b"), Body: strings.NewReader(bucket),
		}); err != nil {
			t.Fatal(err)
		}
		out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("a/b")})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(out.Body); err != nil || string(got) != bucket {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}
