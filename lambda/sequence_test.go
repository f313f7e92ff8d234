package lambda

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/dynamo"
)

// append appends an event of each type to a stream.
func (s *stage) append(store *annals.Store, stream string, names ...string) {
	s.t.Helper()
	for _, typ := range names {
		if _, err := store.Append(s.t.Context(), stream, annals.Any, annals.Event{Type: typ, Data: []byte(`{"amount":1}`)}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// log is the streams and versions of the log.
func (s *stage) log(store *annals.Store) (all []string) {
	s.t.Helper()
	for e, err := range store.Log(s.t.Context(), annals.Query{}) {
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s@%d", e.Stream, e.Version))
	}
	return all
}

func wantLog(t *testing.T, got []string, want string) {
	t.Helper()
	if text := strings.Join(got, " "); text != want {
		t.Fatalf("the log holds %s, want %s", text, want)
	}
}

func TestSequenceNumbersEachCommitOnce(t *testing.T) {
	s := newStage(t)
	store, f := s.store(), s.function(Sequence, nil)
	s.mustInvoke(f, `{"Records":[]}`, allDone)
	s.append(store, "a", "x", "x")
	s.append(store, "b", "x")
	batch := s.batch("stage-events")
	s.mustInvoke(f, batch, allDone)
	if m := s.out.metrics(t); m["Sequenced"] != 3.0 || m["Received"] != 3.0 || m["LagMilliseconds"] == nil {
		t.Errorf("%v", m)
	}
	s.mustInvoke(f, batch, allDone)
	s.mustInvoke(s.function(Sequence, nil), batch, allDone)
	wantLog(t, s.log(store), "a@1 a@2 b@1")

	// The first page brought the mark, to which everybody is held.
	other := s.address
	other.Bucket, other.S3Endpoint = "", ""
	_, err := dynamo.Open(t.Context(), other, &dynamo.Options{Config: &aws.Config{Region: s.aws.Region, Credentials: s.aws.Credentials}})
	wantError(t, err, annals.CodeInvalid, stageBucket)
}

// Nobody may change the events table. Who does is told of loudly and holds nothing
// up.
func TestSequenceReportsChangesOfEvents(t *testing.T) {
	s := newStage(t)
	store, f := s.store(), s.function(Sequence, nil)
	s.append(store, "a", "x")
	table := "stage-events"
	_, err := s.db().UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: &table, Key: plainItem(t, `{"stream":"a","version":1}`), UpdateExpression: aws.String("SET forged = :f"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":f": &types.AttributeValueMemberS{Value: "yes"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.append(store, "b", "x")
	s.mustInvoke(f, s.batch("stage-events"), allDone)
	told := false
	for _, line := range s.out.take(t) {
		told = told || line["level"] == "ERROR" && line["change"] == "MODIFY" && line["item"] == "a@1"
		if line["_aws"] != nil && line["Tampered"] != 1.0 {
			t.Errorf("%v", line)
		}
	}
	if !told {
		t.Error("no line tells of the change")
	}
	wantLog(t, s.log(store), "a@1 b@1")
}

// What is no commit stops its shard, once everything before it has its number.
func TestSequenceStopsAtWhatIsNoCommit(t *testing.T) {
	s := newStage(t)
	store, f := s.store(), s.function(Sequence, nil)
	s.append(store, "a", "x", "x")
	s.append(store, "b", "x")
	table := "stage-events"
	forged := plainItem(t, `{"stream":"c","version":1,"events":"none"}`)
	if _, err := s.db().PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: forged}); err != nil {
		t.Fatal(err)
	}
	s.append(store, "d", "x")
	batch := s.batch("stage-events")
	var given struct {
		Records []struct {
			DynamoDB struct{ SequenceNumber string }
		}
	}
	if err := json.Unmarshal([]byte(batch), &given); err != nil {
		t.Fatal(err)
	}
	failed := fmt.Sprintf(`{"batchItemFailures":[{"itemIdentifier":%q}]}`, given.Records[3].DynamoDB.SequenceNumber)
	s.mustInvoke(f, batch, failed)
	wantLog(t, s.log(store), "a@1 a@2 b@1")
	if m := s.out.metrics(t); m["Failed"] != 2.0 || m["Sequenced"] != 3.0 {
		t.Errorf("%v", m)
	}
	if _, err := s.db().DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &table, Key: plainItem(t, `{"stream":"c","version":1}`)}); err != nil {
		t.Fatal(err)
	}
	s.mustInvoke(f, batch, allDone)
	wantLog(t, s.log(store), "a@1 a@2 b@1 d@1")
}

func TestSequenceRefusesAnotherTable(t *testing.T) {
	s := newStage(t)
	store, f := s.store(), s.function(Sequence, nil)
	s.append(store, "a", "x")
	batch := s.batch("stage-events")
	_, err := s.invoke(f, strings.ReplaceAll(batch, "table/stage-events/", "table/other-events/"))
	wantError(t, err, annals.CodeInvalid, "table/other-events/", "takes those of the stream of the table stage-events")
	_, err = s.invoke(f, strings.ReplaceAll(batch, `"eventSourceARN":"arn:aws:`, `"eventSourceARN":"`))
	wantError(t, err, annals.CodeInvalid, "stage-events")
	wantLog(t, s.log(store), "")

	// Without time nothing is lost.
	var given struct {
		Records []struct {
			DynamoDB struct{ SequenceNumber string }
		}
	}
	if err := json.Unmarshal([]byte(batch), &given); err != nil {
		t.Fatal(err)
	}
	if got, err := s.invokeWithin(f, batch, time.Nanosecond); err != nil || !strings.Contains(got, given.Records[0].DynamoDB.SequenceNumber) {
		t.Errorf("without time it answers %s, %v", got, err)
	}
	s.mustInvoke(f, batch, allDone)
	wantLog(t, s.log(store), "a@1")
}
