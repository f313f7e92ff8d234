package dynamo

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"io"
	"net/url"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithy "github.com/aws/smithy-go"
)

// interpObjects is an S3 in this process, for simulations: any bucket is there. It
// is safe for concurrent use.
type interpObjects struct {
	interpHooks

	mu     sync.Mutex
	bodies map[string][]byte // by bucket/key; never changed in place
}

var _ objects = (*interpObjects)(nil)

func newInterpObjects() *interpObjects { return &interpObjects{bodies: map[string][]byte{}} }

func (o *interpObjects) PutObject(ctx context.Context, in *s3.PutObjectInput, _ ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	return interpret(ctx, &o.interpHooks, &o.mu, "PutObject", in, o.putObject)
}

func (o *interpObjects) GetObject(ctx context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	return interpret(ctx, &o.interpHooks, &o.mu, "GetObject", in, o.getObject)
}

func (o *interpObjects) CopyObject(ctx context.Context, in *s3.CopyObjectInput, _ ...func(*s3.Options)) (*s3.CopyObjectOutput, error) {
	return interpret(ctx, &o.interpHooks, &o.mu, "CopyObject", in, o.copyObject)
}

func (o *interpObjects) DeleteObject(ctx context.Context, in *s3.DeleteObjectInput, _ ...func(*s3.Options)) (*s3.DeleteObjectOutput, error) {
	return interpret(ctx, &o.interpHooks, &o.mu, "DeleteObject", in, o.deleteObject)
}

func objectPlace(bucket, key *string) string { return aws.ToString(bucket) + "/" + aws.ToString(key) }

func etag(body []byte) *string {
	sum := md5.Sum(body)
	return aws.String(`"` + hex.EncodeToString(sum[:]) + `"`)
}

func (o *interpObjects) putObject(in *s3.PutObjectInput) (*s3.PutObjectOutput, error) {
	var body []byte
	if in.Body != nil {
		var err error
		if body, err = io.ReadAll(in.Body); err != nil {
			return nil, err
		}
	}
	at := objectPlace(in.Bucket, in.Key)
	if _, found := o.bodies[at]; found && aws.ToString(in.IfNoneMatch) == "*" {
		return nil, &smithy.GenericAPIError{Code: "PreconditionFailed", Message: "At least one of the pre-conditions you specified did not hold", Fault: smithy.FaultClient}
	}
	o.bodies[at] = body
	return &s3.PutObjectOutput{ETag: etag(body)}, nil
}

func (o *interpObjects) getObject(in *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	body, found := o.bodies[objectPlace(in.Bucket, in.Key)]
	if !found {
		return nil, &s3types.NoSuchKey{Message: aws.String("The specified key does not exist.")}
	}
	return &s3.GetObjectOutput{
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: aws.Int64(int64(len(body))), ETag: etag(body),
	}, nil
}

// copyObject fails with the code NoSuchKey but not its type: the SDK knows the
// type in answers to GetObject only.
func (o *interpObjects) copyObject(in *s3.CopyObjectInput) (*s3.CopyObjectOutput, error) {
	source, err := url.PathUnescape(strings.TrimPrefix(aws.ToString(in.CopySource), "/"))
	if err != nil {
		return nil, err
	}
	body, found := o.bodies[source]
	if !found {
		return nil, &smithy.GenericAPIError{Code: "NoSuchKey", Message: "The specified key does not exist.", Fault: smithy.FaultClient}
	}
	o.bodies[objectPlace(in.Bucket, in.Key)] = body
	return &s3.CopyObjectOutput{CopyObjectResult: &s3types.CopyObjectResult{ETag: etag(body)}}, nil
}

func (o *interpObjects) deleteObject(in *s3.DeleteObjectInput) (*s3.DeleteObjectOutput, error) {
	delete(o.bodies, objectPlace(in.Bucket, in.Key))
	return &s3.DeleteObjectOutput{}, nil
}
