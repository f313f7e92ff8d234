package deadletter

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/ingest"
)

const (
	// maxLetterBytes bounds a body with its attributes; SQS has always taken as much.
	maxLetterBytes = 256 << 10
	// maxAttributeBytes bounds each attribute, as a message may name a request of any
	// length.
	maxAttributeBytes = 1 << 10
)

// A Refusal is a message that can't be stored, and why.
type Refusal struct {
	Body        []byte // as it came
	Err         error
	Source      string // the ARN of the queue or stream that it came from
	Place       string // where it was in there; see ingest.Part. The id of a Delivery where Body is all of it
	Partition   string // the partition key of a record of Kinesis
	Correlation string // the request that it belongs to, if it is known
}

// Send puts a message into the queue. A body that SQS would not take, as it is too
// large or no text, goes into the bucket first. The message may be there twice
// where the reply was lost.
func (b *Box) Send(ctx context.Context, r Refusal) error {
	attributes := map[string]sqstypes.MessageAttributeValue{}
	size := 0
	for name, value := range map[string]string{
		attributeReason: r.Err.Error(), attributeCode: string(annals.CodeOf(r.Err)), attributeSource: r.Source,
		attributePlace: r.Place, attributePartition: r.Partition, attributeCorrelation: r.Correlation,
		attributeTime: b.clock().UTC().Format(time.RFC3339Nano),
	} {
		if value = cut(strings.Map(sendable, cut(value, maxAttributeBytes)), maxAttributeBytes); value != "" {
			attributes[name] = sqstypes.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
			size += len(name) + len("String") + len(value)
		}
	}
	body := string(r.Body)
	if _, lookalike := pointerOf(body); lookalike || !isSendable(body) || len(body)+size > maxLetterBytes {
		var err error
		if body, err = b.keep(ctx, r.Body); err != nil {
			return err
		}
	}
	_, err := b.sqs.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &b.url, MessageBody: &body, MessageAttributes: attributes})
	if err != nil {
		return explained("send to", "the queue "+b.Queue(), err)
	}
	return nil
}

// cut returns at most limit bytes of s, whole characters.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// sendable maps the characters that SQS does not take to U+FFFD.
func sendable(r rune) rune {
	switch {
	case r == '\t', r == '\n', r == '\r', 0x20 <= r && r <= 0xd7ff, 0xe000 <= r && r <= 0xfffd, r >= 0x10000:
		return r
	}
	return utf8.RuneError
}

// isSendable reports whether SQS takes a body and gives it back as it is.
func isSendable(body string) bool {
	return body != "" && utf8.ValidString(body) && !strings.ContainsFunc(body, func(r rune) bool { return sendable(r) != r })
}

// keep puts a body into the bucket, under its hash, and returns what stands for it.
func (b *Box) keep(ctx context.Context, body []byte) (string, error) {
	if b.bucket == "" {
		return "", &annals.Error{
			Code: annals.CodeInvalid, Message: "SQS takes no dead letter of this size or with these bytes, and the store has no bucket to keep it in",
			Hint: "name one in ANNALS_STORE: dynamodb://NAME?bucket=…",
		}
	}
	key := b.prefix + hash(body)
	if _, err := b.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: &b.bucket, Key: &key, Body: bytes.NewReader(body)}); err != nil {
		return "", explained("keep a dead letter in", "the bucket "+b.bucket, err)
	}
	text, err := json.Marshal(pointer{"s3://" + b.bucket + "/" + key, len(body)})
	return string(text), err
}

func hash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// body is the message of a letter. An object counts only if it is one of those that
// keep has made: a letter can't make its reader fetch another.
func (b *Box) body(ctx context.Context, l *Letter) (body []byte, err error) {
	if l.Object == "" {
		return []byte(l.Body), nil
	}
	key, ours := strings.CutPrefix(l.Object, "s3://"+b.bucket+"/"+b.prefix)
	if !ours || b.bucket == "" {
		return nil, annals.Invalid("letter", "%s names the object %s, which is not in s3://%s/%s", l.ID, l.Object, b.bucket, b.prefix)
	}
	got, err := b.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.bucket, Key: aws.String(b.prefix + key)})
	if err != nil {
		return nil, explained("read", l.Object, err)
	}
	defer func() { _ = got.Body.Close() }()
	if body, err = io.ReadAll(io.LimitReader(got.Body, ingest.MaxDocumentBytes)); err != nil {
		return nil, explained("read", l.Object, err)
	}
	if hash(body) != key {
		return nil, &annals.Error{Code: annals.CodeDamaged, Message: l.Object + " does not hold what was kept there: its hash is another", Hint: "drop the letter, or restore the object"}
	}
	return body, nil
}
