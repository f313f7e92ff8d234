package dynamo

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithy "github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
)

// wantMessage holds an error against its code and what it must name.
func wantMessage(t *testing.T, err error, code annals.Code, parts ...string) {
	t.Helper()
	if annals.CodeOf(err) != code {
		t.Errorf("error %v has code %s, want %s", err, annals.CodeOf(err), code)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not name %q", err, part)
		}
	}
}

// rawClients are for what no store does.
func rawClients(t *testing.T, address Address) *clients {
	t.Helper()
	c, err := connect(t.Context(), &address, &Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestStoreThatWasNotMade(t *testing.T) {
	address := newAddress(t)
	_, err := Open(t.Context(), address, nil)
	wantMessage(t, err, annals.CodeNotFound, "test-log", "annals init --store '"+address.String()+"'")
}

func TestInitIsIdempotent(t *testing.T) {
	address := newAddress(t)
	for _, want := range []string{"made", "there"} {
		var parts []Part
		if err := Init(t.Context(), address, nil, func(p Part) { parts = append(parts, p) }); err != nil {
			t.Fatal(err)
		}
		if len(parts) != len(address.Plan()) || parts[0].Status != want || parts[len(parts)-1].Status != want {
			t.Errorf("init made %+v", parts)
		}
	}
	out, err := rawClients(t, address).db.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("test-events")})
	if err != nil {
		t.Fatal(err)
	}
	table := out.Table
	if !aws.ToBool(table.DeletionProtectionEnabled) || table.StreamSpecification == nil || table.StreamSpecification.StreamViewType != types.StreamViewTypeNewImage ||
		table.BillingModeSummary == nil || table.BillingModeSummary.BillingMode != types.BillingModePayPerRequest {
		t.Errorf("the events table is %+v", table)
	}
}

func TestTablesOfOthers(t *testing.T) {
	address := newAddress(t)
	c := rawClients(t, address)
	for _, name := range []string{"test-events", "test-log"} {
		_, err := c.db.CreateTable(t.Context(), &dynamodb.CreateTableInput{
			TableName: &name, BillingMode: types.BillingModePayPerRequest,
			AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
			KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	wantMessage(t, Init(t.Context(), address, nil, func(Part) {}), annals.CodeInvalid, "test-", "other keys")
	_, err := Open(t.Context(), address, nil)
	wantMessage(t, err, annals.CodeInvalid, "test-log", "other keys")
}

func TestStoresOfOtherVersionsAndBuckets(t *testing.T) {
	address := newAddress(t)
	mustInit(t, address)
	other := address
	other.Bucket, other.S3Endpoint = "", ""
	_, err := Open(t.Context(), other, nil)
	wantMessage(t, err, annals.CodeInvalid, testBucket)
	d := mustOpen(t, address, nil)
	newer := item{attrKey: textValue(keyStore), attrAt: numberValue(0), attrLayout: numberValue(2)}
	if err := d.calls.write(t.Context(), d.calls.logTable(), []item{newer}); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), address, nil)
	wantMessage(t, err, annals.CodeInvalid, "layout 2", "layout 1")
}

// What the services refuse must tell who can mend it what to mend.
func TestRefusalsSayWhatToDo(t *testing.T) {
	address := newAddress(t)
	mustInit(t, address)
	refuse := func(operation string, with error) *annals.Store {
		layer := func(stack *middleware.Stack) error {
			return stack.Finalize.Add(middleware.FinalizeMiddlewareFunc("Refuse", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
				if middleware.GetOperationName(ctx) == operation {
					return middleware.FinalizeOutput{}, middleware.Metadata{}, with
				}
				return next.HandleFinalize(ctx, in)
			}), middleware.After)
		}
		return annals.New(mustOpen(t, address, &Options{Config: impatient(), Middleware: []func(*middleware.Stack) error{layer}}), nil)
	}
	api := func(code string) error {
		return &smithy.GenericAPIError{Code: code, Message: "planted", Fault: smithy.FaultClient}
	}
	for _, c := range []struct {
		operation string
		with      error
		code      annals.Code
		parts     []string
	}{
		{"PutItem", api("AccessDeniedException"), annals.CodeForbidden, []string{"allow dynamodb:PutItem on arn:aws:dynamodb:us-east-1:*:table/test-events"}},
		{"Query", api("AccessDeniedException"), annals.CodeForbidden, []string{"allow dynamodb:Query on arn:aws:dynamodb:us-east-1:*:table/test-events"}},
		{"PutObject", api("AccessDenied"), annals.CodeForbidden, []string{"allow s3:PutObject on arn:aws:s3:::" + testBucket}},
		{"PutObject", api("PermanentRedirect"), annals.CodeInvalid, []string{testBucket, "us-east-1"}},
		{"PutItem", api("ExpiredTokenException"), annals.CodeForbidden, []string{"credentials"}},
		{"PutItem", api("ProvisionedThroughputExceededException"), annals.CodeUnavailable, nil},
		{"PutItem", api("InvalidSignatureException"), annals.CodeUnavailable, []string{"clock"}},
		{"PutItem", timeout{}, annals.CodeUnknownOutcome, nil},
		{"PutItem", status(500), annals.CodeUnknownOutcome, nil},
	} {
		_, err := refuse(c.operation, c.with).Append(t.Context(), "a", annals.Any, noise("1", 40<<10))
		wantMessage(t, err, c.code, c.parts...)
	}
	for e, err := range annals.New(mustOpen(t, address, nil), nil).Stream(t.Context(), "a", nil) {
		t.Errorf("a refused append left %+v, %v", e, err)
	}
}

func noise(id string, n int) annals.Event {
	e := annals.Event{ID: id, Type: "T", ContentType: "application/octet-stream", Data: make([]byte, n)}
	x := uint32(n)*2654435761 + 1
	for i := range e.Data {
		x = x*1664525 + 1013904223
		e.Data[i] = byte(x >> 24)
	}
	return e
}

func TestLargeCommitsAreCheckedByTheirHash(t *testing.T) {
	address := newAddress(t)
	mustInit(t, address)
	d := mustOpen(t, address, nil)
	store := annals.New(d, nil)
	if _, err := store.Append(t.Context(), "a", 0, noise("1", 900<<10)); err != nil {
		t.Fatal(err)
	}
	e := storetest.Collect(t, store.Stream(t.Context(), "a", nil))[0]
	if !bytes.Equal(e.Data, noise("1", 900<<10).Data) {
		t.Fatal("the data came back changed")
	}
	i, err := d.calls.get(t.Context(), d.calls.eventsTable(), "a", 1)
	if err != nil {
		t.Fatal(err)
	}
	key := d.calls.key(bodiesPrefix, i.text(attrBody))
	raw := rawClients(t, address).s3
	if _, err := raw.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &address.Bucket, Key: aws.String(d.calls.key(pendingPrefix, i.text(attrBody)))}); err != nil {
		t.Fatal(err)
	}
	read := func() error {
		for _, err := range store.Stream(t.Context(), "a", nil) {
			return err
		}
		return errors.New("no event and no error")
	}
	if _, err := raw.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &address.Bucket, Key: &key, Body: strings.NewReader("other")}); err != nil {
		t.Fatal(err)
	}
	wantMessage(t, read(), annals.CodeDamaged, `stream "a", version 1`, key, "SHA-256")
	if _, err := raw.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &address.Bucket, Key: &key}); err != nil {
		t.Fatal(err)
	}
	wantMessage(t, read(), annals.CodeDamaged, `stream "a", version 1`, key, "missing")
	report, err := d.Verify(t.Context(), nil)
	if err != nil || len(report.Problems) != 1 || !strings.Contains(report.Problems[0], key) {
		t.Errorf("verify: %+v, %v", report, err)
	}
}

func TestLargeCommitsWithoutABucketAreRefused(t *testing.T) {
	address := newAddress(t)
	address.Bucket, address.S3Endpoint = "", ""
	mustInit(t, address)
	d := mustOpen(t, address, &Options{Poll: time.Millisecond})
	sequencing(t, d)
	store := annals.New(d, nil)
	_, err := store.Append(t.Context(), "a", 0, noise("1", 400<<10))
	wantMessage(t, err, annals.CodeTooLarge, "bucket=", "limit")
	commit, err := store.Append(t.Context(), "a", 0, noise("1", 200<<10))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Wait(t.Context(), commit); err != nil {
		t.Fatal(err)
	}
	wantSound(t, d, 1)
}

// A redirect of S3 without a body names the bucket's region nowhere.
func TestBucketElsewhere(t *testing.T) {
	address := newAddress(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amz-Bucket-Region", "eu-west-1")
		w.WriteHeader(http.StatusMovedPermanently)
	}))
	t.Cleanup(server.Close)
	mustInit(t, address)
	address.S3Endpoint = server.URL
	store := annals.New(mustOpen(t, address, nil), nil)
	_, err := store.Append(t.Context(), "a", 0, noise("1", 40<<10))
	wantMessage(t, err, annals.CodeInvalid, testBucket, "region")
}
