package dynamo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync/atomic"
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
	"github.com/aws/smithy-go/logging"

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
	tryTimeout  = 10 * time.Second
	bodyTimeout = time.Minute // of S3, whose bodies may be large
	maxTries    = 6
	maxBackoff  = time.Second
	connections = 128 // kept open to each service
)

// connect makes the clients and completes the address with its region.
func connect(ctx context.Context, address *Address, opts *Options) (*clients, error) {
	var cfg, large aws.Config
	var err error
	if opts.Config != nil {
		cfg, large = opts.Config.Copy(), *opts.Config
	} else if cfg, err = Configuration(ctx, *address); err == nil {
		large, err = configured(ctx, *address, bodyTimeout)
	}
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
		db:     dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { at(&o.BaseEndpoint, address.Endpoint) }),
		shards: dynamodbstreams.NewFromConfig(cfg, func(o *dynamodbstreams.Options) { at(&o.BaseEndpoint, address.Endpoint) }),
	}
	if address.Bucket != "" {
		c.s3 = s3.NewFromConfig(cfg, func(o *s3.Options) {
			at(&o.BaseEndpoint, address.S3Endpoint)
			o.UsePathStyle = o.BaseEndpoint != nil // stand-ins have no names of hosts for buckets
			if large.HTTPClient != nil {
				o.HTTPClient = large.HTTPClient
			}
			o.DisableLogOutputChecksumValidationSkipped = true
		})
	}
	return c, nil
}

// at sets the endpoint of a client to that of an address, if it names one; else
// that of the configuration stays, which AWS_ENDPOINT_URL_… may have set.
func at(endpoint **string, address string) {
	if address != "" {
		*endpoint = &address
	}
}

// Configuration is the AWS configuration that the store at address is opened with
// by default: what the environment and the profile say, and connections that suit
// many requests at once. Stand-ins on this machine take any credentials.
func Configuration(ctx context.Context, address Address) (aws.Config, error) {
	return configured(ctx, address, tryTimeout)
}

func configured(ctx context.Context, address Address, timeout time.Duration) (aws.Config, error) {
	load := []func(*config.LoadOptions) error{
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(timeout).WithTransportOptions(func(t *http.Transport) {
			t.MaxIdleConns, t.MaxIdleConnsPerHost = connections, connections
		})),
	}
	if address.Region != "" {
		load = append(load, config.WithRegion(address.Region))
	}
	load = append(load, config.WithLogger(logging.Nop{})) // errors say what there is to say
	if address.local() && os.Getenv("AWS_ACCESS_KEY_ID") == "" {
		load = append(load, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("local", "local", "")))
		if address.Region == "" && os.Getenv("AWS_REGION") == "" {
			load = append(load, config.WithRegion("us-east-1"))
		}
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return cfg, &annals.Error{Code: annals.CodeInvalid, Message: "the AWS configuration can't be read", Err: err, Hint: "check the AWS profile and the AWS_… variables"}
	}
	if buildable, is := cfg.HTTPClient.(*awshttp.BuildableClient); is {
		cfg.HTTPClient = newFreshConnections(buildable)
	}
	cfg.HTTPClient = wholeBodies{cfg.HTTPClient}
	return cfg, nil
}

// freshConnections leaves what it has kept open once nothing was sent for a while.
// A process that was frozen does not learn that the other side has closed them, and
// each costs a try: after a burst there are more of them than tries.
type freshConnections struct {
	client atomic.Pointer[awshttp.BuildableClient]
	now    func() time.Time
	used   atomic.Int64 // when something was sent or received last, in Unix nanoseconds
}

// keptOpen is how long unused connections count as open. AWS closes them later.
const keptOpen = 15 * time.Second

func newFreshConnections(client *awshttp.BuildableClient) *freshConnections {
	c := &freshConnections{now: time.Now}
	c.client.Store(client)
	c.used.Store(c.now().UnixNano())
	return c
}

// Do implements aws.HTTPClient.
func (c *freshConnections) Do(r *http.Request) (*http.Response, error) {
	now := c.now().UnixNano() // by the clock on the wall, which goes on in a freeze
	if age := now - c.used.Swap(now); age < 0 || age > int64(keptOpen) {
		old := c.client.Load()
		c.client.Store(old.WithTimeout(old.GetTimeout())) // a copy without connections
	}
	defer func() { c.used.Store(c.now().UnixNano()) }()
	return c.client.Load().Do(r)
}

// wholeBodies gives each request a body that nobody closes early. The SDK closes
// its own when the reply begins; net/http may still look for more of it then,
// takes that for an error, and the rest of the reply is lost to a retry: of large
// replies one in some hundred, next to a fast server (aws-sdk-go-v2#2935).
type wholeBodies struct{ aws.HTTPClient }

// Do implements aws.HTTPClient.
func (c wholeBodies) Do(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return c.HTTPClient.Do(r)
	}
	body, err := io.ReadAll(r.Body)
	if err = errors.Join(err, r.Body.Close()); err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	return c.HTTPClient.Do(r)
}

// newRetryer is the SDK's own, with what the SDK does not send again and without
// its budget of retries, which would fail calls that may still succeed.
func newRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff = maxTries, maxBackoff
		o.RateLimiter = ratelimit.None
		o.Retryables = append(o.Retryables, retryCodes)
	})
}
