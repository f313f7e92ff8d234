package deadletter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	kinesistypes "github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/ingest"
)

// sendBack sends what a letter stands for to where it came from.
func (b *Box) sendBack(ctx context.Context, l *Letter) error {
	if l.Kind == Discarded {
		return b.putAgain(ctx, l)
	}
	body, err := b.body(ctx, l)
	if err != nil {
		return err
	}
	if l.Source == "" {
		if l.Source, err = b.onlySource(ctx); err != nil {
			return err
		}
	}
	service, name := resource(l.Source)
	send := func(body []byte) error { return b.send(ctx, name, body) }
	switch service {
	case "sqs":
	case "kinesis":
		send = func(body []byte) error { return b.put(ctx, name, cmp.Or(l.partition, l.Place), body) }
	default:
		return annals.Invalid("letter", "%s came from %q, which is no queue and no stream of Kinesis: drop it", l.ID, l.Source)
	}
	if strings.Contains(l.Place, "#") { // it is one message
		return send(ingest.WithID(body, l.Place))
	}
	return inBodies(ingest.Delivery{ID: l.Place, Body: body}, send)
}

// inBodies sends a delivery again, in as few bodies as fit.
func inBodies(d ingest.Delivery, send func([]byte) error) error {
	for body := range d.WithIDs(maxLetterBytes) {
		if err := send(body); err != nil {
			return err
		}
	}
	return nil
}

// onlySource is the queue that has this one for its dead letters, where SQS does not
// say it of each letter.
func (b *Box) onlySource(ctx context.Context) (string, error) {
	got, err := b.sqs.ListDeadLetterSourceQueues(ctx, &sqs.ListDeadLetterSourceQueuesInput{QueueUrl: &b.url})
	if err != nil {
		return "", explained("list the sources of", "the queue "+b.Queue(), err)
	}
	if len(got.QueueUrls) != 1 {
		return "", annals.Invalid("letter", "does not say where it came from, and %d queues send their dead letters to %s", len(got.QueueUrls), b.Queue())
	}
	url := got.QueueUrls[0]
	return "arn:aws:sqs:::" + url[strings.LastIndexByte(url, '/')+1:], nil
}

func (b *Box) send(ctx context.Context, queue string, body []byte) error {
	url, err := queueURL(ctx, b.sqs, queue)
	if err != nil {
		return err
	}
	if _, err := b.sqs.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String(string(body))}); err != nil {
		return explained("send to", "the queue "+queue, err)
	}
	return nil
}

func (b *Box) put(ctx context.Context, stream, key string, data []byte) error {
	if _, err := b.kinesis.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &stream, PartitionKey: &key, Data: data}); err != nil {
		return explained("put to", "the Kinesis stream "+stream, err)
	}
	return nil
}

// putAgain reads the records that a letter stands for and puts them again, one after
// the other, so that they keep their order. An id made of the place stays that of the
// first place.
func (b *Box) putAgain(ctx context.Context, l *Letter) error {
	part := l.part.Kinesis
	if part == nil {
		return &annals.Error{
			Code: annals.CodeInvalid, Message: "the letter " + l.ID + " is about a stream of DynamoDB, whose records can't be sent again",
			Hint: "annals reindex numbers what the events table holds; then drop the letter",
		}
	}
	_, stream := resource(part.ARN)
	found := 0
	for r, err := range b.records(ctx, stream, part) {
		if err != nil {
			return err
		}
		found++
		place := part.Shard + ":" + aws.ToString(r.SequenceNumber)
		if err := inBodies(ingest.Delivery{ID: place, Body: r.Data}, func(body []byte) error {
			return b.put(ctx, stream, aws.ToString(r.PartitionKey), body)
		}); err != nil {
			return err
		}
	}
	if found < part.Size {
		return &annals.Error{
			Code: annals.CodeNotFound, Message: fmt.Sprintf("the Kinesis stream %s has %d of the %d records of the letter %s left, which were put again", stream, found, part.Size, l.ID),
			Hint: "the others are past its retention: drop the letter",
		}
	}
	return nil
}

// records yields the records of a part of a shard that the stream still has.
func (b *Box) records(ctx context.Context, stream string, part *streamPart) func(func(*kinesistypes.Record, error) bool) {
	return func(yield func(*kinesistypes.Record, error) bool) {
		at, err := b.kinesis.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
			StreamName: &stream, ShardId: &part.Shard, ShardIteratorType: kinesistypes.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: &part.First,
		})
		if err != nil {
			err = explained("read from", "the shard "+part.Shard+" of the Kinesis stream "+stream, err)
			if missing := (*annals.Error)(nil); errors.As(err, &missing) && missing.Code == annals.CodeNotFound {
				missing.Hint = "where the stream's retention is over, its records are lost: drop the letter"
			}
			yield(nil, err)
			return
		}
		for next := at.ShardIterator; next != nil; {
			got, err := b.kinesis.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: next})
			if err != nil {
				yield(nil, explained("read from", "the Kinesis stream "+stream, err))
				return
			}
			for i := range got.Records {
				if after(aws.ToString(got.Records[i].SequenceNumber), part.Last) || !yield(&got.Records[i], nil) {
					return
				}
			}
			if next = got.NextShardIterator; len(got.Records) == 0 && aws.ToInt64(got.MillisBehindLatest) == 0 {
				return
			}
		}
	}
}

// after compares sequence numbers, which are decimals of any length.
func after(a, b string) bool {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) > 0
}
