package deadletter

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/eb901187/annals"
)

// Options are of a Box; nil means the defaults.
type Options struct {
	// Bucket holds the bodies that SQS does not take, under Name/dead/. Without one
	// such letters can't be sent.
	Bucket string
	// Name is that of the store.
	Name string
	// S3Endpoint is the address of a stand-in for S3.
	S3Endpoint string
	// Clock stamps letters; the machine's by default.
	Clock func() time.Time
}

// A Box is a queue of dead letters. It is safe for concurrent use.
type Box struct {
	url     string
	bucket  string
	prefix  string // of keys in the bucket
	sqs     *sqs.Client
	s3      *s3.Client
	kinesis *kinesis.Client
	clock   func() time.Time
	wait    int32 // seconds that a receive waits for letters
	listed  int   // the most letters of a List
}

// New makes the Box of the queue at this URL. It sends no request.
func New(config aws.Config, queueURL string, opts *Options) (*Box, error) {
	if opts == nil {
		opts = &Options{}
	}
	if u, err := url.Parse(queueURL); err != nil || u.Host == "" || path.Base(u.Path) == "/" {
		return nil, annals.Invalid("queue", "must be the URL of an SQS queue, and is %q", queueURL)
	}
	b := &Box{
		url: queueURL, bucket: opts.Bucket, prefix: opts.Name + "/dead/", clock: opts.Clock, wait: 1, listed: MaxLetters,
		sqs: sqs.NewFromConfig(config), kinesis: kinesis.NewFromConfig(config),
		s3: s3.NewFromConfig(config, func(o *s3.Options) {
			if opts.S3Endpoint != "" {
				o.BaseEndpoint = &opts.S3Endpoint
			}
			o.UsePathStyle = o.BaseEndpoint != nil // stand-ins have no names of hosts for buckets
			o.DisableLogOutputChecksumValidationSkipped = true
		}),
	}
	if b.clock == nil {
		b.clock = time.Now
	}
	return b, nil
}

// Find returns the URL of the queue called name in the account and region of
// config. A URL is returned as it is.
func Find(ctx context.Context, config aws.Config, name string) (string, error) {
	if strings.Contains(name, "://") {
		return name, nil
	}
	return queueURL(ctx, sqs.NewFromConfig(config), name)
}

func queueURL(ctx context.Context, client *sqs.Client, name string) (string, error) {
	found, err := client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name})
	if err != nil {
		return "", explained("find", "the queue "+name, err)
	}
	return aws.ToString(found.QueueUrl), nil
}

// Queue is the name of the queue.
func (b *Box) Queue() string { return path.Base(b.url) }

// A passing error is one of a service, or of the way there, that may be gone next
// time. It does not match annals.ErrUnavailable, which is about stores.
type passing struct {
	text string
	err  error
}

func (e passing) Error() string          { return "annals: " + e.text + ": " + e.err.Error() }
func (e passing) Unwrap() error          { return e.err }
func (e passing) ErrorCode() annals.Code { return annals.CodeUnavailable }

// explained words an error of AWS for whoever can act on it.
func explained(verb, resource string, err error) error {
	text := "can't " + verb + " " + resource
	var api smithy.APIError
	var answered *smithyhttp.ResponseError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", text, err)
	case !errors.As(err, &api):
		return passing{text, err}
	}
	missing := new(sqstypes.QueueDoesNotExist)
	switch code := api.ErrorCode(); {
	case errors.As(err, &missing), strings.Contains(code, "NonExistentQueue"), code == "ResourceNotFoundException", code == "NoSuchBucket":
		return &annals.Error{Code: annals.CodeNotFound, Err: err, Message: text + ": it does not exist in this account and region", Hint: "check its name and AWS_REGION"}
	case strings.Contains(code, "AccessDenied"):
		return &annals.Error{Code: annals.CodeForbidden, Err: err, Message: text + ": these credentials may not", Hint: "give them the right that is named"}
	case strings.Contains(code, "Throttl"), strings.Contains(code, "ThroughputExceeded"), strings.Contains(code, "LimitExceeded"), strings.Contains(code, "OverLimit"):
		return passing{text, err}
	case errors.As(err, &answered) && answered.HTTPStatusCode() >= 500:
		return passing{text, err}
	}
	return &annals.Error{Code: annals.CodeInvalid, Err: err, Message: text}
}
