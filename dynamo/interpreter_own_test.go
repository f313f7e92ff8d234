package dynamo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithy "github.com/aws/smithy-go"

	"github.com/eb901187/annals/awstest"
)

// worldOf is a world over an interpreter with its table made.
func worldOf(t *testing.T, i *interpreter) *world {
	w := &world{t: t, db: i, shards: i}
	i.create(contractTable, "p", "s", true)
	return w
}

// wantSaid compares what a world said since it was last asked.
func (w *world) wantSaid(want ...string) {
	w.t.Helper()
	got := w.said
	w.said = nil
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		w.t.Fatalf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

var errHooked = errors.New("planted")

func TestInterpreterHooksDecideWhatBecomesOfACall(t *testing.T) {
	i := newInterpreter()
	var calls []string
	var before, after error
	i.before = func(op string, input any) error {
		calls = append(calls, fmt.Sprintf("before %s %T", op, input))
		return before
	}
	i.after = func(op string, _ any) error {
		calls = append(calls, "after "+op)
		_, _ = i.used() // would block if the lock were held
		return after
	}
	w := worldOf(t, i)
	before = errHooked
	w.put(thing("a", 1))
	before, after = nil, errHooked
	w.put(thing("a", 2))
	after = nil
	w.said = nil
	w.query("a", 0, 9)
	w.wantSaid(`query a 0 to 9: {p:S"a" s:N2}`, `query a 0 to 9: 1 of 1, last none, 1 units of events`)
	if got, want := fmt.Sprint(calls), "[before PutItem *dynamodb.PutItemInput before PutItem *dynamodb.PutItemInput after PutItem before Query *dynamodb.QueryInput after Query]"; got != want {
		t.Fatalf("got %s\nwant %s", got, want)
	}
}

func TestInterpreterAdmitsNoCallOfAnEndedContext(t *testing.T) {
	i := newInterpreter()
	i.create(contractTable, "p", "s", false)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var canceled *smithy.CanceledError
	if _, err := i.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String(contractTable), Key: thing("a", 1)}); !errors.As(err, &canceled) {
		t.Fatalf("got %v", err)
	}
}

func TestInterpreterLeavesPartOfABatch(t *testing.T) {
	i := newInterpreter()
	w := worldOf(t, i)
	i.unprocessed = func(_ string, n int) int { return n - 1 }
	out, err := i.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{
		RequestItems: map[string][]types.WriteRequest{contractTable: putting(things("a", 3)...)},
	})
	if err != nil || len(out.UnprocessedItems[contractTable]) != 2 {
		t.Fatalf("got %+v, %v", out, err)
	}
	w.said = nil
	w.batchWrite(out.UnprocessedItems[contractTable]...)
	w.wantSaid("batch write of 2: 1 left, 1 units of events")
	w.batchGet(true, things("a", 3)...)
	w.wantSaid(`batch get of 3: [{p:S"a" s:N0}], 1 left, 1 units of events`)
}

func TestInterpreterTakesAnItemInAndGivesItOutAsACopy(t *testing.T) {
	i := newInterpreter()
	w := worldOf(t, i)
	body := []byte("kept")
	w.put(thing("a", 1, "list", []any{body}))
	copy(body, "lost")
	for range 2 {
		out, err := i.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String(contractTable), Key: thing("a", 1)})
		if err != nil {
			t.Fatal(err)
		}
		got := out.Item["list"].(*types.AttributeValueMemberL).Value[0].(*types.AttributeValueMemberB).Value
		if string(got) != "kept" {
			t.Fatalf("got %s", got)
		}
		copy(got, "gone")
	}
}

func TestInterpreterPagesAreAsSmallAsWanted(t *testing.T) {
	i := newInterpreter()
	w := worldOf(t, i)
	for s := range 3 {
		w.put(thing("a", s, "body", "12345"))
	}
	w.said = nil
	i.pageBytes = 18 // an item of 14 or 13 bytes does not fill it, a second one does
	w.query("a", 0, 9)
	w.wantSaid(
		`query a 0 to 9: {body:S"12345" p:S"a" s:N0}`,
		`query a 0 to 9: {body:S"12345" p:S"a" s:N1}`,
		`query a 0 to 9: 2 of 2, last {p:S"a" s:N1}, 1 units of events`,
		`query a 0 to 9: {body:S"12345" p:S"a" s:N2}`,
		`query a 0 to 9: 1 of 1, last none, 1 units of events`,
	)
	if got := len(w.scan()); got != 3 {
		t.Fatalf("a scan met %d items", got)
	}
}

func TestInterpreterCountsWhatRepliesDoNotSay(t *testing.T) {
	i := newInterpreter()
	w := worldOf(t, i)
	w.put(thing("a", 1, "body", strings.Repeat("x", 1500)), ifAbsent)
	w.put(thing("a", 1), ifAbsent)
	w.get(thing("a", 1))
	if writes, reads := i.used(); writes != 4 || reads != 1 {
		t.Fatalf("%v writes, %v reads", writes, reads)
	}
}

func TestInterpreterRejectsWhatItDoesNotPlay(t *testing.T) {
	w := worldOf(t, newInterpreter())
	w.query("a", 1, 2, func(in *dynamodb.QueryInput) { in.KeyConditionExpression = aws.String("#p = :p") })
	w.query("a", 1, 2, func(in *dynamodb.QueryInput) { in.FilterExpression = aws.String("x = :x") })
	w.query("", 1, 2)
	w.put(thing("a", 1), ifAbsent, func(in *dynamodb.PutItemInput) { in.ConditionExpression = aws.String("attribute_exists(#p)") })
	for _, said := range w.said {
		if !strings.HasSuffix(said, "ValidationException") {
			t.Errorf("%s", said)
		}
	}
}

func TestInterpreterIsSafeForConcurrentUse(t *testing.T) {
	i := newInterpreter()
	i.create(contractTable, "p", "s", true)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 8 {
		wg.Go(func() {
			for s := range 50 {
				in := &dynamodb.PutItemInput{TableName: aws.String(contractTable), Item: thing("a", s)}
				ifAbsent(in)
				if _, err := i.PutItem(t.Context(), in); err == nil {
					mu.Lock()
					won++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if won != 50 {
		t.Fatalf("%d puts of 50 items won", won)
	}
}

// The simplest S3 answers as gofakes3 does through the real SDK.
func TestInterpreterObjectsContract(t *testing.T) {
	client := s3.New(s3.Options{
		Region: "us-east-1", UsePathStyle: true, BaseEndpoint: aws.String(awstest.S3(t, "bucket")),
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
	compareWorlds(t, objectCase(t, newInterpObjects()), objectCase(t, client))
}

func objectCase(t *testing.T, o objects) (said []string) {
	bucket := aws.String("bucket")
	get := func(key string) {
		out, err := o.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: &key})
		if err != nil {
			var missing *s3types.NoSuchKey
			said = append(said, fmt.Sprint("get ", key, " ", renderError(err), " ", errors.As(err, &missing)))
			return
		}
		body, err := io.ReadAll(out.Body)
		said = append(said, fmt.Sprint("get ", key, " ", string(body), " ", err, " ", aws.ToInt64(out.ContentLength), " ", aws.ToString(out.ETag)))
	}
	put := func(key, body string, once *string) {
		out, err := o.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: strings.NewReader(body), IfNoneMatch: once})
		if err != nil {
			said = append(said, "put "+key+" "+renderError(err))
			return
		}
		said = append(said, "put "+key+" "+aws.ToString(out.ETag))
	}
	duplicate := func(source, key string) {
		out, err := o.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: bucket, Key: &key, CopySource: &source})
		if err != nil {
			var missing *s3types.NoSuchKey
			said = append(said, fmt.Sprint("copy ", key, " ", renderError(err), " ", errors.As(err, &missing)))
			return
		}
		said = append(said, "copy "+key+" "+aws.ToString(out.CopyObjectResult.ETag))
	}
	remove := func(key string) {
		_, err := o.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: &key})
		said = append(said, fmt.Sprint("delete ", key, " ", err))
	}
	get("a/1")
	put("a/1", "first", aws.String("*"))
	put("a/1", "second", aws.String("*"))
	get("a/1")
	put("a/1", "third", nil)
	duplicate("bucket/a/1", "b/1")
	duplicate("bucket/a/2", "b/2")
	remove("a/1")
	remove("a/1")
	get("a/1")
	get("b/1")
	put("empty", "", nil)
	get("empty")
	return said
}

func TestInterpreterClockStampsRecords(t *testing.T) {
	i := newInterpreter()
	at := time.Date(2026, 11, 21, 1, 2, 3, 456, time.UTC)
	i.clock = func() time.Time { return at }
	w := worldOf(t, i)
	w.put(thing("a", 1))
	all, _ := w.records(w.iterator(i.openShards(contractTable)[0], "TRIM_HORIZON", nil), nil)
	if len(all) != 1 || !all[0].Dynamodb.ApproximateCreationDateTime.Equal(at.Truncate(time.Second)) {
		t.Fatalf("got %+v", all)
	}
}
