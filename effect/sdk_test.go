package effect_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/effect"
)

// An SDK that signs requests by the time, tries again by itself and checks what it gets
// works through a Transport, in each mode.
func TestSDK(t *testing.T) {
	const text = `{"z": 1, "a": 2}`
	endpoint, store := awstest.S3(t, "bucket"), openStore(t)
	client := s3.NewFromConfig(aws.Config{
		Region: "us-east-1", HTTPClient: &http.Client{Transport: &effect.Transport{}},
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
	}, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = &endpoint, true })
	code := func(ctx context.Context) error {
		bucket, key := aws.String("bucket"), aws.String("key")
		_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader([]byte(text)), ContentType: aws.String("application/json")})
		if err != nil {
			return err
		}
		head, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key})
		if err != nil {
			return err
		}
		got, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key})
		if err != nil {
			return err
		}
		defer got.Body.Close()
		if body, err := io.ReadAll(got.Body); err != nil || *head.ContentLength != int64(len(text)) {
			return fmt.Errorf("%s, of %d bytes: %w", body, *head.ContentLength, err)
		}
		return nil
	}
	e := place(t, store, "order-7")
	for i, want := range []effect.Stats{{Handler: "h", Sent: 3}, {Handler: "h", Answered: 3}, {Handler: "h", Answered: 3}} {
		g := newGateway(t, store, nil)
		err := g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e, Mode: []effect.Mode{effect.Live, effect.Live, effect.Replay}[i]}, code)
		if got := g.Stats()[0]; err != nil || got != want {
			t.Errorf("%v; %+v, want %+v", err, got, want)
		}
	}
	g, found := newGateway(t, store, nil), 0
	err := g.Handle(t.Context(), effect.Handling{
		Handler: "h", Event: place(t, store, "order-8"), Mode: effect.Repair,
		Differs: func(context.Context, effect.Difference) error { found++; return nil },
	}, code)
	if got := g.Stats()[0].Suppressed; err != nil || found != 1 || got != 1 {
		t.Errorf("%v; %d differences, %d suppressed", err, found, got)
	}
}

// Checksums of an answer are those of its bytes, which the journal does not keep of JSON.
func TestChecksums(t *testing.T) {
	for body, want := range map[string]string{`{"a":1}`: "sum", `{"b":1, "a":2}`: "", "text": "sum"} {
		o := newOutside(t, func(w http.ResponseWriter, _ *http.Request, _ string, _ int) {
			w.Header().Set("X-Amz-Checksum-Crc32", "sum")
			fmt.Fprint(w, body)
		})
		store := openStore(t)
		g, e, got := newGateway(t, store, nil), place(t, store, "order-7"), ""
		for range 2 {
			err := g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
				r, err := http.NewRequestWithContext(ctx, http.MethodGet, o.URL, nil)
				if err != nil {
					return err
				}
				answer, err := once().RoundTrip(r)
				if err != nil {
					return err
				}
				got = answer.Header.Get("X-Amz-Checksum-Crc32")
				return answer.Body.Close()
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}
