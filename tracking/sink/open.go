package sink

import (
	"context"
	"net/url"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/kinesis"
	"github.com/eb901187/annals/tracking"
)

// What starts the addresses of queues and streams.
const (
	QueuePrefix  = "sqs:"
	StreamPrefix = "kinesis:"
)

// Options changes how Open opens; nil means the defaults.
type Options struct {
	// Token is for servers; see ServerOptions.
	Token string
}

// Opens reports whether address is one that Open takes: directories and tables are
// stores, which whoever opens them gives to ToStore.
func Opens(address string) bool {
	for _, prefix := range []string{"http://", "https://", QueuePrefix, StreamPrefix} {
		if strings.HasPrefix(address, prefix) {
			return true
		}
	}
	return false
}

// Open makes the sink that an address names: http://HOST:PORT or https://… is a server,
// sqs:URL a queue, kinesis:NAME a stream. AWS is configured by its variables and
// profiles. It sends no request.
func Open(ctx context.Context, address string, opts *Options) (tracking.Sink, error) {
	if opts == nil {
		opts = &Options{}
	}
	if queue, ok := strings.CutPrefix(address, QueuePrefix); ok {
		return openQueue(ctx, queue)
	}
	if stream, ok := strings.CutPrefix(address, StreamPrefix); ok {
		return openStream(ctx, stream)
	}
	if Opens(address) {
		return ToServer(address, &ServerOptions{Token: opts.Token})
	}
	return nil, annals.Invalid("address", "must be http://HOST:PORT, https://HOST:PORT, %sQUEUE_URL or %sSTREAM", QueuePrefix, StreamPrefix)
}

// queueRegion finds the region in the URL of a queue.
var queueRegion = regexp.MustCompile(`^sqs\.([a-z0-9-]+)\.amazonaws\.`)

func openQueue(ctx context.Context, queue string) (tracking.Sink, error) {
	u, err := url.Parse(queue)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") == "" {
		return nil, annals.Invalid("address", "must be %s and the URL of a queue, such as %shttps://sqs.eu-central-1.amazonaws.com/123456789012/events", QueuePrefix, QueuePrefix)
	}
	if strings.HasSuffix(u.Path, ".fifo") {
		return nil, annals.Invalid("address", "must be a standard queue, not a FIFO queue: the order of events is kept by their times")
	}
	region := ""
	if m := queueRegion.FindStringSubmatch(u.Host); m != nil {
		region = m[1]
	}
	c, err := configured(ctx, region)
	if err != nil {
		return nil, err
	}
	return ToQueue(sqs.NewFromConfig(c), queue, nil), nil
}

func openStream(ctx context.Context, stream string) (tracking.Sink, error) {
	if err := kinesis.CheckName(stream); err != nil {
		return nil, err
	}
	c, err := configured(ctx, "")
	if err != nil {
		return nil, err
	}
	const tries = 5 // the recorder goes on trying
	return ToStream(kinesis.NewWriter(sdk.NewFromConfig(c), stream, &kinesis.WriterOptions{Tries: tries})), nil
}

// configured reads the configuration of AWS; region is used where it is not empty.
func configured(ctx context.Context, region string) (aws.Config, error) {
	var load []func(*config.LoadOptions) error
	if region != "" {
		load = append(load, config.WithRegion(region))
	}
	c, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return c, &annals.Error{Code: annals.CodeInvalid, Message: "the AWS configuration can't be read", Err: err, Hint: "check the AWS profile and the AWS_… variables"}
	}
	if c.Region == "" {
		return c, &annals.Error{Code: annals.CodeInvalid, Message: "no AWS region is set", Hint: "set AWS_REGION"}
	}
	return c, nil
}
