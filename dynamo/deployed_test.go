package dynamo

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/awstest"
)

// unmark leaves the tables as a deployment makes them.
func unmark(t *testing.T, d *Driver) {
	t.Helper()
	name := d.calls.logTable().name
	_, err := d.calls.db.(*dynamodb.Client).DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &name, Key: d.calls.logTable().key(keyStore, 0)})
	if err != nil {
		t.Fatal(err)
	}
}

func markOf(t *testing.T, d *Driver) item {
	t.Helper()
	i, err := d.calls.get(t.Context(), d.calls.logTable(), keyStore, 0)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// sequenced numbers all that is in the stream.
func sequenced(t *testing.T, d *Driver) error {
	t.Helper()
	w := NewWorker(d)
	for {
		if n, err := w.Step(t.Context()); err != nil || n == 0 {
			return err
		}
	}
}

func TestTablesWithoutAMarkAreMarkedByTheFirstPage(t *testing.T) {
	address := newAddress(t)
	mustInit(t, address)
	unmark(t, mustOpen(t, address, nil))
	d, second := mustOpen(t, address, nil), mustOpen(t, address, nil)
	other := address
	other.Bucket, other.S3Endpoint = "", ""
	wrong := mustOpen(t, other, nil)
	store := annals.New(d, nil)
	if err := sequenced(t, d); err != nil || markOf(t, d) != nil {
		t.Fatalf("without events there is the mark %v, %v", markOf(t, d), err)
	}
	if _, err := store.Append(t.Context(), "a", annals.Any, annals.Event{Type: "T"}); err != nil || markOf(t, d) != nil {
		t.Fatalf("an append left the mark %v, %v", markOf(t, d), err)
	}
	if err := sequenced(t, d); err != nil {
		t.Fatal(err)
	}
	if m := markOf(t, d); m.number(attrLayout) != layout || m.text(attrBucket) != testBucket {
		t.Fatalf("the first page left the mark %v", m)
	}
	// Who opened it before is held to the mark too.
	for range 2 {
		if _, err := store.Append(t.Context(), "a", annals.Any, annals.Event{Type: "T"}); err != nil {
			t.Fatal(err)
		}
		wantMessage(t, sequenced(t, wrong), annals.CodeInvalid, testBucket)
		if err := sequenced(t, second); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Open(t.Context(), other, nil)
	wantMessage(t, err, annals.CodeInvalid, testBucket)
	if end, err := store.End(t.Context()); err != nil || end != 3 {
		t.Errorf("the log ends at %d, %v", end, err)
	}
	mustInit(t, address) // finds it complete
}

// A store that was made before the log's table had a stream gets one.
func TestInitAddsTheStreamOfTheLog(t *testing.T) {
	address := newAddress(t)
	mustInit(t, address)
	db := mustOpen(t, address, nil).calls.db.(*dynamodb.Client)
	name := address.Name + "-log"
	view := func() types.StreamViewType {
		t.Helper()
		out, err := db.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &name})
		if err != nil {
			t.Fatal(err)
		}
		if out.Table.StreamSpecification == nil || !aws.ToBool(out.Table.StreamSpecification.StreamEnabled) {
			return ""
		}
		return out.Table.StreamSpecification.StreamViewType
	}
	if view() != types.StreamViewTypeKeysOnly {
		t.Fatalf("init made a stream of %q", view())
	}
	_, err := db.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{TableName: &name, StreamSpecification: &types.StreamSpecification{StreamEnabled: aws.Bool(false)}})
	if err != nil || view() != "" {
		t.Fatal(view(), err)
	}
	mustInit(t, address)
	if view() != types.StreamViewTypeKeysOnly {
		t.Errorf("init left a stream of %q", view())
	}
}

// The variables of the SDK say where the services are, unless the address does.
func TestEndpointsOfTheEnvironment(t *testing.T) {
	full := newAddress(t)
	mustInit(t, full)
	plain := full
	plain.Endpoint, plain.S3Endpoint = "", ""
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_ENDPOINT_URL_DYNAMODB", full.Endpoint)
	t.Setenv("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", full.Endpoint)
	t.Setenv("AWS_ENDPOINT_URL_S3", full.S3Endpoint)
	d := mustOpen(t, plain, nil)
	store := annals.New(d, nil)
	if _, err := store.Append(t.Context(), "a", annals.Any, noise("large", 100_000)); err != nil {
		t.Fatal(err)
	}
	if err := sequenced(t, d); err != nil {
		t.Fatal(err)
	}
	if end, err := store.End(t.Context()); err != nil || end != 1 {
		t.Errorf("the log ends at %d, %v", end, err)
	}
	t.Setenv("AWS_ENDPOINT_URL_DYNAMODB", awstest.DynamoDB(t)) // an empty one
	mustOpen(t, full, nil)
}
