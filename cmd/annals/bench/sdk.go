package bench

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/eb901187/annals/dynamo"
)

// configuration is the SDK's for the store and its references alike: its
// defaults, but for connections. Stand-ins on this machine take any credentials.
func configuration(ctx context.Context, address dynamo.Address) (aws.Config, error) {
	// config adds what AWS_CA_BUNDLE names to no other kind of client.
	load := []func(*config.LoadOptions) error{config.WithHTTPClient(awshttp.NewBuildableClient())}
	if address.Region != "" {
		load = append(load, config.WithRegion(address.Region))
	}
	if loopback(address.Endpoint) && (address.Bucket == "" || loopback(address.S3Endpoint)) && os.Getenv("AWS_ACCESS_KEY_ID") == "" {
		load = append(load, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("local", "local", "")))
		if address.Region == "" && os.Getenv("AWS_REGION") == "" {
			load = append(load, config.WithRegion("us-east-1"))
		}
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	cfg.HTTPClient = wholeBodies{cfg.HTTPClient}
	return cfg, err
}

func loopback(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback())
}

// wholeBodies gives each request a body that nobody closes early. The SDK closes
// its own when the reply begins, net/http may still look for more of it then and
// takes that for an error, and the rest of the reply is lost to a retry: next to a
// fast stand-in that is about one in 400 replies of 100 KB.
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
