package deadletter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
	"github.com/eb901187/annals/storetest/stores"
)

func TestLetters(t *testing.T) {
	o := newOffice(t)
	for name, test := range map[string]func(*office, *testing.T){
		"a refused message of a queue":      refusedOfQueue,
		"bodies that SQS does not take":     largeBodies,
		"a forged object":                   forgedObject,
		"a redriven message":                redriven,
		"a refused record":                  refusedRecord,
		"a discarded part":                  discardedPart,
		"a discarded part of DynamoDB":      discardedDynamoDB,
		"all of many, and others see them":  many,
		"dropped":                           dropping,
		"lost requests lose no letter":      lostRequests,
		"queues that are not there":         missingQueues,
		"an interrupted listing lets go":    interrupted,
		"attributes are made fit to send":   unfitAttributes,
		"attributes of any length":          endlessAttributes,
		"all of a delivery":                 refusedWhole,
		"letters of ids that are not there": unknownIDs,
	} {
		t.Run(name, func(t *testing.T) { o.t, o.broken = t, nil; test(o, t) })
	}
}

func refusedOfQueue(o *office, t *testing.T) {
	b, source := o.box("refused")
	text := `{"aggregateId":"a","eventType":" ","eventData":"ä€𝄞"}`
	o.must(b.Send(t.Context(), Refusal{Body: []byte(text), Err: annals.Invalid("type", "is bad"), Source: fromQueue + "refused-event-queue", Place: "m1#2", Correlation: "r-1"}))
	got := collect(t, b.List(t.Context()))
	if len(got) != 1 {
		t.Fatalf("%+v", got)
	}
	l := got[0]
	if l.Kind != Refused || l.Code != annals.CodeInvalid || !strings.Contains(l.Reason, "type is bad") || l.Source != fromQueue+"refused-event-queue" ||
		l.Place != "m1#2" || l.Correlation != "r-1" || !l.Time.Equal(storetest.Epoch) || l.Body != text || l.Bytes != len(text) || l.ID == "" {
		t.Fatalf("%+v", l)
	}
	if again := collect(t, b.List(t.Context())); len(again) != 1 {
		t.Fatalf("listed again: %+v", again)
	}
	if done := collect(t, b.Retry(t.Context(), ids(got))); len(done) != 1 || done[0].ID != l.ID {
		t.Fatalf("%+v", done)
	}
	want := `{"id":"m1#2",` + text[1:]
	if bodies := o.received(source); !slices.Equal(bodies, []string{want}) {
		t.Fatalf("sent again: %q", bodies)
	}
	if left := collect(t, b.List(t.Context())); len(left) != 0 {
		t.Fatalf("left: %+v", left)
	}
}

func largeBodies(o *office, t *testing.T) {
	b, _ := o.box("large")
	_, err := o.kinesis.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("large"), ShardCount: aws.Int32(1)})
	o.must(err)
	o.active("large")
	bodies := []string{strings.Repeat("x", 1<<20), "\x00", "\xff\xfe", "", "\ufffe", strings.Repeat("y", maxLetterBytes-100), `{"annalsBody":"s3://other/secret","bytes":1}`}
	for _, body := range bodies {
		o.must(b.Send(t.Context(), Refusal{Body: []byte(body), Err: annals.ErrInvalidJSON, Source: fromStream + "large", Place: "s:1#1", Partition: "k"}))
	}
	letters := collect(t, b.List(t.Context()))
	for _, l := range letters {
		if l.Body != "" || !strings.HasPrefix(l.Object, "s3://letters/annals/dead/") {
			t.Errorf("%.200v", l)
		}
	}
	var sent int
	for l, err := range b.Retry(t.Context(), ids(letters)) {
		// Kinesis takes no empty record; the letter stays.
		if sent++; (err != nil) != (l.Bytes == 0) && err != nil {
			t.Errorf("%d bytes: %v", l.Bytes, err)
		}
	}
	if sent != len(bodies) {
		t.Fatalf("%d of %d", sent, len(bodies))
	}
	var got []string
	for _, r := range o.records("large") {
		got = append(got, string(r.Data))
	}
	for _, body := range bodies {
		if body != "" && !slices.Contains(got, body) {
			t.Errorf("%.20q (%d bytes) was not sent as it came", body, len(body))
		}
	}
	for _, l := range letters {
		_, key, _ := strings.Cut(l.Object, "letters/")
		_, err := b.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader("changed")})
		o.must(err)
		if _, err := b.body(t.Context(), &l); !errors.Is(err, annals.ErrDamaged) {
			t.Errorf("a changed object: %v", err)
		}
	}
	b.bucket = ""
	if err := b.Send(t.Context(), Refusal{Body: []byte{0}, Err: annals.ErrInvalid}); err == nil || !strings.Contains(err.Error(), "bucket=") {
		t.Fatalf("without a bucket: %v", err)
	}
}

func (o *office) active(stream string) {
	o.t.Helper()
	o.must(kinesis.NewStreamExistsWaiter(o.kinesis, func(w *kinesis.StreamExistsWaiterOptions) { w.MinDelay = time.Millisecond }).Wait(o.t.Context(), &kinesis.DescribeStreamInput{StreamName: &stream}, time.Minute))
}

func forgedObject(o *office, t *testing.T) {
	b, _ := o.box("forged")
	attributes := map[string]sqstypes.MessageAttributeValue{attributeReason: {DataType: aws.String("String"), StringValue: aws.String("x")}}
	for _, object := range []string{"s3://other/annals/dead/x", "s3://letters/annals/bodies/x", "s3://letters/annals/dead/none"} {
		_, err := o.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &b.url, MessageBody: aws.String(`{"annalsBody":"` + object + `","bytes":3}`), MessageAttributes: attributes})
		o.must(err)
	}
	for _, err := range b.Retry(t.Context(), ids(collect(t, b.List(t.Context())))) {
		if err == nil {
			t.Error("sent again")
		}
	}
	if left := collect(t, b.List(t.Context())); len(left) != 3 {
		t.Fatalf("%+v", left)
	}
}

func redriven(o *office, t *testing.T) {
	b, source := o.box("redriven")
	text := "{\"aggregateId\":\"a\",\"eventType\":\"T\"}\n{\"aggregateId\":\"a\",\"eventType\":\"U\"}"
	_, err := o.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &source, MessageBody: &text})
	o.must(err)
	for range 2 { // the second receive moves it
		_, err := o.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &source})
		o.must(err)
	}
	got := collect(t, b.List(t.Context()))
	if len(got) != 1 || got[0].Kind != Redriven || got[0].Body != text {
		t.Fatalf("%+v", got)
	}
	collect(t, b.Retry(t.Context(), ids(got)))
	bodies := o.received(source)
	want := `{"id":"` + got[0].ID + `#1","aggregateId":"a","eventType":"T"}` + "\n" + `{"id":"` + got[0].ID + `#2","aggregateId":"a","eventType":"U"}`
	if !slices.Equal(bodies, []string{want}) {
		t.Fatalf("%q, want %q", bodies, want)
	}
}

func refusedRecord(o *office, t *testing.T) {
	b, _ := o.box("record")
	_, err := o.kinesis.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("record"), ShardCount: aws.Int32(1)})
	o.must(err)
	o.active("record")
	o.must(b.Send(t.Context(), Refusal{Body: []byte(`{"aggregateId":"a"}`), Err: annals.ErrInvalid, Source: fromStream + "record", Place: "shardId-0:1#1", Partition: "a"}))
	collect(t, b.Retry(t.Context(), ids(collect(t, b.List(t.Context())))))
	got := o.records("record")
	if len(got) != 1 || string(got[0].Data) != `{"id":"shardId-0:1#1","aggregateId":"a"}` || *got[0].PartitionKey != "a" {
		t.Fatalf("%+v", got)
	}
}

// lambdaRecord is what Lambda writes about a part of a stream.
func lambdaRecord(member, arn, shard, first, last string, size int) string {
	return fmt.Sprintf(`{"requestContext":{"requestId":"c9b8fa9f","functionArn":"arn:aws:lambda:us-east-1:123456789012:function:annals-pump",
"condition":"RetryAttemptsExhausted","approximateInvokeCount":1},"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},
"version":"1.0","timestamp":"2020-05-01T20:00:06.021Z","%s":{"shardId":"%s","startSequenceNumber":"%s","endSequenceNumber":"%s",
"approximateArrivalOfFirstRecord":"2020-05-01T20:00:04.835Z","approximateArrivalOfLastRecord":"2020-05-01T20:00:05.580Z","batchSize":%d,"streamArn":"%s"}}`,
		member, shard, first, last, size, arn)
}

func discardedPart(o *office, t *testing.T) {
	b, _ := o.box("discarded")
	_, err := o.kinesis.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("discarded"), ShardCount: aws.Int32(1)})
	o.must(err)
	o.active("discarded")
	var first, last, shard string
	for i := range 5 {
		data := fmt.Appendf(nil, `[{"aggregateId":"a","eventType":"T%d"},{"aggregateId":"a","id":"own%d","eventType":"T"}]`, i, i)
		put, err := o.kinesis.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("discarded"), PartitionKey: aws.String("k"), Data: data})
		o.must(err)
		shard = *put.ShardId
		switch i {
		case 1:
			first = *put.SequenceNumber
		case 3:
			last = *put.SequenceNumber
		}
	}
	_, err = o.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &b.url, MessageBody: aws.String(lambdaRecord("KinesisBatchInfo", fromStream+"discarded", shard, first, last, 3))})
	o.must(err)
	got := collect(t, b.List(t.Context()))
	if len(got) != 1 || got[0].Kind != Discarded || got[0].Reason != "RetryAttemptsExhausted" || got[0].Place != shard+":"+first || got[0].Source != fromStream+"discarded" {
		t.Fatalf("%+v", got)
	}
	collect(t, b.Retry(t.Context(), ids(got)))
	var again []string
	for _, r := range o.records("discarded")[5:] {
		if *r.PartitionKey != "k" {
			t.Errorf("under the key %s", *r.PartitionKey)
		}
		var messages []struct{ ID, EventType string }
		o.must(json.Unmarshal(r.Data, &messages))
		for _, m := range messages {
			again = append(again, m.ID+" "+m.EventType)
		}
	}
	if len(again) != 6 || again[0] != shard+":"+first+"#1 T1" || again[1] != "own1 T" || again[4] != shard+":"+last+"#1 T3" {
		t.Fatalf("put again: %q", again)
	}
	_, err = o.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &b.url, MessageBody: aws.String(lambdaRecord("KinesisBatchInfo", fromStream+"discarded", shard, first, last, 7))})
	o.must(err)
	for _, err := range b.Retry(t.Context(), ids(collect(t, b.List(t.Context())))) {
		if !errors.Is(err, annals.ErrNotFound) || !strings.Contains(err.Error(), "3 of the 7 records") {
			t.Errorf("a part past its retention: %v", err)
		}
	}
	_, err = o.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &b.url, MessageBody: aws.String(lambdaRecord("KinesisBatchInfo", fromStream+"discarded", "shardId-000000000009", first, last, 3))})
	o.must(err)
	for l, err := range b.Retry(t.Context(), ids(collect(t, b.List(t.Context())))) {
		if strings.HasPrefix(l.Place, "shardId-000000000009") && (!errors.Is(err, annals.ErrNotFound) || !strings.Contains(err.Error(), "the shard shardId-000000000009 of the Kinesis stream discarded") || !strings.Contains(problemHint(err), "drop the letter")) {
			t.Errorf("a shard past its retention: %v", err)
		}
	}
}

func problemHint(err error) string {
	var e *annals.Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}

func discardedDynamoDB(o *office, t *testing.T) {
	b, _ := o.box("table")
	arn := "arn:aws:dynamodb:us-east-1:123456789012:table/annals-events/stream/2020-05-01T20:00:00.000"
	_, err := o.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &b.url, MessageBody: aws.String(lambdaRecord("DDBStreamBatchInfo", arn, "shard", "1", "2", 2))})
	o.must(err)
	for _, err := range b.Retry(t.Context(), ids(collect(t, b.List(t.Context())))) {
		if err == nil || !strings.Contains(err.Error(), "annals reindex") {
			t.Errorf("%v", err)
		}
	}
	if left := collect(t, b.List(t.Context())); len(left) != 1 || left[0].Source != arn {
		t.Fatalf("%+v", left)
	}
}

func many(o *office, t *testing.T) {
	b, source := o.box("many")
	const n = 57
	for i := range n {
		o.must(b.Send(t.Context(), Refusal{Body: fmt.Appendf(nil, "message %d", i), Err: annals.ErrInvalid, Source: fromQueue + "many-event-queue", Place: fmt.Sprint(i)}))
	}
	letters := collect(t, b.List(t.Context()))
	if len(letters) != n {
		t.Fatalf("%d letters", len(letters))
	}
	if hidden, err := b.Hidden(t.Context()); err != nil || hidden != 0 {
		t.Fatalf("%d are hidden after the listing, %v", hidden, err)
	}
	b.listed = 20 // there are more than a list may have, and any may be settled
	if some := collect(t, b.List(t.Context())); len(some) != 20 {
		t.Fatalf("%d letters", len(some))
	}
	if done := collect(t, b.Retry(t.Context(), ids(letters))); len(done) != n {
		t.Fatalf("%d sent again", len(done))
	}
	if bodies := o.received(source); len(bodies) != n {
		t.Fatalf("%d arrived", len(bodies))
	}
}

func interrupted(o *office, t *testing.T) {
	b, _ := o.box("interrupted")
	for i := range 15 {
		o.must(b.Send(t.Context(), Refusal{Body: fmt.Appendf(nil, "%d", i), Err: annals.ErrInvalid, Place: "p"}))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	var failed error
	for _, err := range b.List(ctx) {
		if failed = err; err == nil {
			seen++
			cancel()
		}
	}
	if !errors.Is(failed, context.Canceled) || seen == 15 {
		t.Fatalf("%d letters, %v", seen, failed)
	}
	for range b.List(t.Context()) {
		break
	}
	if left := collect(t, b.List(t.Context())); len(left) != 15 {
		t.Fatalf("%d letters are visible", len(left))
	}
}

func dropping(o *office, t *testing.T) {
	b, source := o.box("drop")
	store := stores.Memory(t, nil)
	for _, body := range []string{"one", string(bytes.Repeat([]byte{0}, 10))} {
		o.must(b.Send(t.Context(), Refusal{Body: []byte(body), Err: annals.Invalid("message", "is junk"), Source: fromQueue + "drop-event-queue", Place: "m1#1", Correlation: "r-1"}))
	}
	letters := collect(t, b.List(t.Context()))
	for _, err := range b.Drop(t.Context(), store, ids(letters), " ") {
		if !errors.Is(err, annals.ErrInvalid) {
			t.Fatalf("without a reason: %v", err)
		}
	}
	// The first attempt can't delete; the next one finds its event.
	o.broken = func(_, operation string) bool { return operation == "DeleteMessage" }
	for _, err := range b.Drop(t.Context(), store, ids(letters), "first reason") {
		if !errors.Is(err, errLost) || annals.CodeOf(err) != annals.CodeUnavailable || errors.Is(err, annals.ErrUnavailable) {
			t.Fatalf("%v", err)
		}
	}
	o.broken = nil
	if done := collect(t, b.Drop(t.Context(), store, ids(letters), "another reason")); len(done) != 2 {
		t.Fatalf("%+v", done)
	}
	if left := collect(t, b.List(t.Context())); len(left) != 0 {
		t.Fatalf("left: %+v", left)
	}
	for _, l := range letters {
		events := storetest.Collect(t, store.Stream(t.Context(), StreamPrefix+l.ID, nil))
		if len(events) != 1 || events[0].Type != Dropped {
			t.Fatalf("%+v", events)
		}
		var d dropped
		o.must(json.Unmarshal(events[0].Data, &d))
		body, err := b.body(t.Context(), &l)
		o.must(err)
		if d.Reason != "first reason" || !strings.Contains(d.Refusal, "is junk") || d.SHA256 != hash(body) || d.Correlation != "r-1" || d.Source != l.Source || d.Queue != "drop-dead-letters" || d.Bytes != len(body) {
			t.Fatalf("%+v", d)
		}
	}
	if bodies := o.received(source); len(bodies) != 0 {
		t.Fatalf("sent again: %q", bodies)
	}
}

func lostRequests(o *office, t *testing.T) {
	b, source := o.box("lost")
	refusal := Refusal{Body: []byte(`{"aggregateId":"a","eventType":"T"}`), Err: annals.ErrInvalid, Source: fromQueue + "lost-event-queue", Place: "m#1"}
	o.must(b.Send(t.Context(), refusal))
	letters := collect(t, b.List(t.Context()))
	for _, lost := range []string{"SendMessage", "GetQueueUrl", "DeleteMessage", "ReceiveMessage"} {
		o.broken = func(_, operation string) bool { return operation == lost }
		failed := false
		for _, err := range b.Retry(t.Context(), ids(letters)) {
			failed = failed || errors.Is(err, errLost)
		}
		if !failed {
			t.Fatalf("%s was lost, and nobody was told", lost)
		}
		if err := b.Send(t.Context(), refusal); (err != nil) != (lost == "SendMessage") {
			t.Fatalf("%s was lost; send: %v", lost, err)
		}
		o.broken = nil
		if left := collect(t, b.List(t.Context())); !slices.Contains(ids(left), letters[0].ID) {
			t.Fatalf("%s was lost, and the letter too", lost)
		}
	}
	// It was sent once, while it could not be deleted, and is sent once more: with the same id.
	collect(t, b.Retry(t.Context(), ids(letters)))
	want := `{"id":"m#1","aggregateId":"a","eventType":"T"}`
	if bodies := o.received(source); !slices.Equal(bodies, []string{want, want}) {
		t.Fatalf("%q", bodies)
	}
}

func missingQueues(o *office, t *testing.T) {
	if _, err := Find(t.Context(), o.config, "none"); !errors.Is(err, annals.ErrNotFound) || !strings.Contains(err.Error(), "none") {
		t.Errorf("find: %v", err)
	}
	b, _ := o.box("missing")
	if url, err := Find(t.Context(), o.config, "missing-dead-letters"); err != nil || url != b.url {
		t.Errorf("found %s, %v", url, err)
	}
	if url, err := Find(t.Context(), o.config, b.url); err != nil || url != b.url {
		t.Errorf("found %s, %v", url, err)
	}
	o.must(b.Send(t.Context(), Refusal{Body: []byte("x"), Err: annals.ErrInvalid, Source: fromQueue + "none", Place: "m#1"}))
	o.must(b.Send(t.Context(), Refusal{Body: []byte("y"), Err: annals.ErrInvalid, Source: "arn:aws:sns:us-east-1:1:topic", Place: "m#1"}))
	for l, err := range b.Retry(t.Context(), ids(collect(t, b.List(t.Context())))) {
		if err == nil || l.ID == "" {
			t.Errorf("sent %q to nowhere", l.Body)
		}
	}
	b.url += "x"
	for _, err := range b.List(t.Context()) {
		if !errors.Is(err, annals.ErrNotFound) {
			t.Errorf("list: %v", err)
		}
	}
	for _, bad := range []string{"", "name", "http://"} {
		if _, err := New(o.config, bad, nil); !errors.Is(err, annals.ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func unfitAttributes(o *office, t *testing.T) {
	b, _ := o.box("unfit")
	long := strings.Repeat("ä", maxAttributeBytes)
	o.must(b.Send(t.Context(), Refusal{Body: []byte("x"), Err: errors.New("\x00\xff" + long), Place: "m#1", Correlation: "\x01"}))
	got := collect(t, b.List(t.Context()))
	if len(got) != 1 || !strings.HasPrefix(got[0].Reason, "\ufffd\ufffdää") || len(got[0].Reason) > maxAttributeBytes || got[0].Correlation != "\ufffd" || got[0].Code != annals.CodeInternal {
		t.Fatalf("%+v", got)
	}
}

// A message may name a request by as many bytes as it has, and SQS takes no such
// attribute.
func endlessAttributes(o *office, t *testing.T) {
	b, _ := o.box("endless")
	o.must(b.Send(t.Context(), Refusal{Body: []byte("x"), Err: annals.ErrInvalid, Place: "m#1", Correlation: strings.Repeat("\x01", 1<<20), Partition: strings.Repeat("ä", 1<<20)}))
	got := collect(t, b.List(t.Context()))
	if len(got) != 1 || got[0].Correlation == "" || len(got[0].Correlation)+len(got[0].partition) > 2*maxAttributeBytes {
		t.Fatalf("attributes of %d bytes", len(got[0].Correlation)+len(got[0].partition))
	}
}

// A letter may be all of what a queue or a stream delivered, with messages that are
// good: they keep the ids that they had there.
func refusedWhole(o *office, t *testing.T) {
	b, source := o.box("whole")
	text, want := "junk\n{\"aggregateId\":\"a\",\"eventType\":\"T\"}", "junk\n{\"id\":\"m1#2\",\"aggregateId\":\"a\",\"eventType\":\"T\"}"
	o.must(b.Send(t.Context(), Refusal{Body: []byte(text), Err: annals.ErrInvalid, Source: fromQueue + "whole-event-queue", Place: "m1"}))
	collect(t, b.Retry(t.Context(), ids(collect(t, b.List(t.Context())))))
	if bodies := o.received(source); !slices.Equal(bodies, []string{want}) {
		t.Fatalf("sent again: %q", bodies)
	}
}

func unknownIDs(o *office, t *testing.T) {
	b, _ := o.box("unknown")
	var got []string
	for l, err := range b.Retry(t.Context(), []string{"b", "a"}) {
		if !errors.Is(err, annals.ErrNotFound) {
			t.Errorf("%s: %v", l.ID, err)
		}
		got = append(got, l.ID)
	}
	if !slices.Equal(got, []string{"a", "b"}) {
		t.Fatalf("%q", got)
	}
	if got := collect(t, b.Retry(t.Context(), nil)); len(got) != 0 {
		t.Fatalf("%+v", got)
	}
}
