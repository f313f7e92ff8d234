package deadletter

import (
	"encoding/json"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/eb901187/annals"
)

// A Kind says how a letter came into the queue.
type Kind string

// The kinds.
const (
	Refused   Kind = "refused"   // it can't be stored as it is
	Redriven  Kind = "redriven"  // SQS moved it there, as it was received too often
	Discarded Kind = "discarded" // Lambda gave up on a part of a stream
)

// A Letter is one message of the queue of dead letters.
type Letter struct {
	ID   string      `json:"id"` // SQS's, in this queue
	Kind Kind        `json:"kind"`
	Code annals.Code `json:"code,omitempty"` // of the refusal
	// Reason is why it was refused, or what Lambda says.
	Reason string `json:"reason,omitempty"`
	// Source is the ARN of the queue or stream that it came from; empty where SQS
	// does not tell.
	Source string `json:"source,omitempty"`
	// Place is where in the source it was: a message id, or shard:sequence; # and
	// the number of the message in there follow.
	Place       string    `json:"place,omitempty"`
	Correlation string    `json:"correlation,omitempty"`
	Time        time.Time `json:"time"`  // when it came into the queue
	Bytes       int       `json:"bytes"` // of the body
	// Body is the message, where the letter holds it; empty where Object does.
	Body   string `json:"body,omitempty"`
	Object string `json:"object,omitempty"` // s3://BUCKET/KEY

	partition string     // the key of a record of Kinesis
	part      *discarded // of a Discarded letter
	receipt   string
}

// The attributes of a refused letter.
const (
	attributeReason      = "annals-reason"
	attributeCode        = "annals-code"
	attributeSource      = "annals-source"
	attributePlace       = "annals-id"
	attributeCorrelation = "annals-correlation"
	attributeTime        = "annals-time"
	attributePartition   = "annals-partition-key"
)

// A discarded is what Lambda's record of a failed invocation says of a stream.
type discarded struct {
	Request struct {
		Condition string `json:"condition"`
	} `json:"requestContext"`
	Kinesis  *streamPart `json:"KinesisBatchInfo"`
	DynamoDB *streamPart `json:"DDBStreamBatchInfo"`
}

type streamPart struct {
	Shard string `json:"shardId"`
	First string `json:"startSequenceNumber"`
	Last  string `json:"endSequenceNumber"`
	Size  int    `json:"batchSize"`
	ARN   string `json:"streamArn"`
}

// of is the part, whichever service's.
func (d *discarded) of() *streamPart {
	if d.Kinesis != nil {
		return d.Kinesis
	}
	return d.DynamoDB
}

// newLetter reads a message of the queue. What SQS itself says of it goes before
// what the message says.
func newLetter(m *sqstypes.Message) Letter {
	l := Letter{ID: aws.ToString(m.MessageId), Kind: Redriven, Body: aws.ToString(m.Body), receipt: aws.ToString(m.ReceiptHandle)}
	l.Bytes = len(l.Body)
	if ms, err := strconv.ParseInt(m.Attributes[string(sqstypes.MessageSystemAttributeNameSentTimestamp)], 10, 64); err == nil {
		l.Time = time.UnixMilli(ms).UTC()
	}
	l.Place = l.ID
	if l.Source = m.Attributes[string(sqstypes.MessageSystemAttributeNameDeadLetterQueueSourceArn)]; l.Source != "" {
		return l
	}
	said := func(name string) string { return aws.ToString(m.MessageAttributes[name].StringValue) }
	if _, refused := m.MessageAttributes[attributeReason]; refused {
		l.Kind, l.Reason, l.Code, l.Source = Refused, said(attributeReason), annals.Code(said(attributeCode)), said(attributeSource)
		l.Place, l.Correlation, l.partition = said(attributePlace), said(attributeCorrelation), said(attributePartition)
		if at, err := time.Parse(time.RFC3339Nano, said(attributeTime)); err == nil {
			l.Time = at
		}
		if p, is := pointerOf(l.Body); is {
			l.Body, l.Object, l.Bytes = "", p.Body, p.Bytes
		}
		return l
	}
	var d discarded
	if json.Unmarshal([]byte(l.Body), &d) == nil && d.Request.Condition != "" && d.of() != nil {
		p := d.of()
		l.Kind, l.part, l.Source, l.Reason, l.Place = Discarded, &d, p.ARN, d.Request.Condition, p.Shard+":"+p.First
	}
	return l
}

// resource is the service and the name in the ARN of a queue or a stream.
func resource(arn string) (service, name string) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return "", ""
	}
	return parts[2], path.Base(parts[5])
}

// A pointer is the body of a letter whose message is in the bucket.
type pointer struct {
	Body  string `json:"annalsBody"`
	Bytes int    `json:"bytes"`
}

func pointerOf(body string) (p pointer, is bool) {
	return p, json.Unmarshal([]byte(body), &p) == nil && p.Body != ""
}
