package dynamo

import (
	"context"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/eb901187/annals"
)

// clients are the SDK's, for one store.
type clients struct {
	db     *dynamodb.Client
	shards *dynamodbstreams.Client
	s3     *s3.Client // nil without a bucket
}

// objects is nil, and not a nil in an interface, without a bucket.
func (c *clients) objects() objects {
	if c.s3 == nil {
		return nil
	}
	return c.s3
}

// Limits of one try; the SDK sends a request up to maxTries times.
const (
	tryTimeout = 10 * time.Second
	maxTries   = 6
	maxBackoff = time.Second
)

// connect makes the clients and completes the address with its region.
func connect(ctx context.Context, address *Address, opts *Options) (*clients, error) {
	cfg, err := configuration(ctx, *address, opts)
	if err != nil {
		return nil, err
	}
	if address.Region == "" {
		if address.Region = cfg.Region; cfg.Region == "" {
			return nil, annals.Invalid("store", "must name its region=…, as the environment names none")
		}
	}
	cfg.Region = address.Region
	cfg.APIOptions = append(append(cfg.APIOptions[:len(cfg.APIOptions):len(cfg.APIOptions)], opts.Middleware...), countTries)
	if cfg.Retryer == nil {
		cfg.Retryer = newRetryer
	}
	c := &clients{
		db:     dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.BaseEndpoint = endpoint(address.Endpoint) }),
		shards: dynamodbstreams.NewFromConfig(cfg, func(o *dynamodbstreams.Options) { o.BaseEndpoint = endpoint(address.Endpoint) }),
	}
	if address.Bucket != "" {
		c.s3 = s3.NewFromConfig(cfg, func(o *s3.Options) {
			o.BaseEndpoint = endpoint(address.S3Endpoint)
			o.UsePathStyle = address.S3Endpoint != ""
			o.DisableLogOutputChecksumValidationSkipped = true
		})
	}
	return c, nil
}

func endpoint(s string) *string {
	if s == "" {
		return nil
	}
	return aws.String(s)
}

func configuration(ctx context.Context, address Address, opts *Options) (aws.Config, error) {
	if opts.Config != nil {
		return opts.Config.Copy(), nil
	}
	load := []func(*config.LoadOptions) error{
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(tryTimeout)),
	}
	if address.Region != "" {
		load = append(load, config.WithRegion(address.Region))
	}
	if address.local() && os.Getenv("AWS_ACCESS_KEY_ID") == "" {
		// A stand-in on this machine takes any; asking the cloud for some takes long.
		load = append(load, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("local", "local", "")))
		if address.Region == "" && os.Getenv("AWS_REGION") == "" {
			load = append(load, config.WithRegion("us-east-1"))
		}
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return cfg, &annals.Error{Code: annals.CodeInvalid, Message: "the AWS configuration can't be read", Err: err, Hint: "check the AWS profile and the AWS_… variables"}
	}
	return cfg, nil
}

// retryer is the SDK's own, with what the SDK does not send again and without
// its budget of retries, which would fail calls that may still succeed.
type retryer struct{ *retry.Standard }

func newRetryer() aws.Retryer {
	return retryer{retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff = maxTries, maxBackoff
		o.RateLimiter = ratelimit.None
		o.Retryables = append(o.Retryables, retryCodes)
	})}
}
