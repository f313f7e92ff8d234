package dynamo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithy "github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/eb901187/annals"
)

// Places in the bucket. A commit's body goes to pending first and is copied to
// bodies once its item is there, so that the bucket's lifecycle rule sweeps the
// bodies of commits that never came to be, and nothing else.
const (
	pendingPrefix = "pending/"
	bodiesPrefix  = "bodies/"
	pagesPrefix   = "pages/"
	runsPrefix    = "runs/"
)

func (c *calls) key(prefix, name string) string { return c.address.Name + "/" + prefix + name }

func (c *calls) putObject(ctx context.Context, key string, body []byte) error {
	tally := &tries{}
	_, err := c.s3.PutObject(context.WithValue(ctx, triesKey{}, tally), &s3.PutObjectInput{
		Bucket: &c.address.Bucket, Key: &key, Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body))),
	})
	c.count(ctx, Cost{Puts: max(tally.n, 1)})
	return c.failedIf(ctx, "PutObject", err)
}

func (c *calls) failedIf(ctx context.Context, action string, err error) error {
	if err == nil {
		return nil
	}
	return c.failed(ctx, action, c.address.Bucket, err)
}

// errNoObject says that an object is not there.
var errNoObject = errors.New("dynamo: no such object")

// getObject reads an object and checks it against its hash.
func (c *calls) getObject(ctx context.Context, key, hash string) ([]byte, error) {
	if c.s3 == nil {
		return nil, &annals.Error{
			Code: annals.CodeInvalid, Message: "the body " + key + " is in a bucket, and the store's address names none",
			Hint: "give the store's address its bucket=…",
		}
	}
	var body []byte
	var err error
	// The SDK sends a request again, but not one whose reply broke off.
	for try := 1; ; try++ {
		if body, err = c.fetch(ctx, key); err == nil || !errors.Is(err, errBrokenOff) || try == maxTries {
			break
		}
	}
	if isMissing(err) {
		return nil, fmt.Errorf("%w: s3://%s/%s", errNoObject, c.address.Bucket, key)
	}
	if err != nil {
		return nil, c.failedIf(ctx, "GetObject", err)
	}
	if got := hashOf(body); got != hash {
		return nil, damaged(fmt.Sprintf("s3://%s/%s", c.address.Bucket, key), fmt.Errorf("its SHA-256 is %s and must be %s", got, hash))
	}
	return body, nil
}

// errBrokenOff says that the body of a reply did not come whole.
var errBrokenOff = errors.New("the reply broke off")

func (c *calls) fetch(ctx context.Context, key string) ([]byte, error) {
	tally := &tries{}
	out, err := c.s3.GetObject(context.WithValue(ctx, triesKey{}, tally), &s3.GetObjectInput{Bucket: &c.address.Bucket, Key: &key})
	c.count(ctx, Cost{Gets: max(tally.n, 1)})
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(out.Body)
	if err = errors.Join(err, out.Body.Close()); err != nil {
		return nil, fmt.Errorf("%w: %w", errBrokenOff, err)
	}
	return body, nil
}

func isMissing(err error) bool {
	var api smithy.APIError
	var reply *smithyhttp.ResponseError
	return errors.As(err, &api) && (api.ErrorCode() == "NoSuchKey" || api.ErrorCode() == "NotFound") ||
		errors.As(err, &reply) && reply.HTTPStatusCode() == 404 && !(errors.As(err, &api) && api.ErrorCode() == "NoSuchBucket")
}

// keep puts the body of a commit to be and returns its hash.
func (c *calls) keep(ctx context.Context, packed []byte) (hash string, err error) {
	hash = hashOf(packed)
	return hash, c.putObject(ctx, c.key(pendingPrefix, hash), packed)
}

// promote makes the body of a commit permanent. Doing it again is harmless.
func (c *calls) promote(ctx context.Context, hash string) error {
	tally := &tries{}
	key := c.key(bodiesPrefix, hash)
	_, err := c.s3.CopyObject(context.WithValue(ctx, triesKey{}, tally), &s3.CopyObjectInput{
		Bucket: &c.address.Bucket, Key: &key,
		CopySource: aws.String(c.address.Bucket + "/" + c.key(pendingPrefix, hash)),
	})
	c.count(ctx, Cost{Puts: max(tally.n, 1)})
	if isMissing(err) {
		// Swept, as someone has promoted it long ago; or lost, which reading says.
		_, err = c.getObject(ctx, key, hash)
		return err
	}
	return c.failedIf(ctx, "CopyObject", err)
}

// commitBody is the text of a commit whose body is in the bucket; pending says
// that it still lies where the lifecycle rule sweeps.
func (c *calls) commitBody(ctx context.Context, name, hash string) (text []byte, pending bool, err error) {
	key := c.key(bodiesPrefix, hash)
	body, err := c.getObject(ctx, key, hash)
	if errors.Is(err, errNoObject) {
		pending = true
		body, err = c.getObject(ctx, c.key(pendingPrefix, hash), hash)
	}
	if errors.Is(err, errNoObject) {
		// It may have been promoted and swept in between.
		pending = false
		body, err = c.getObject(ctx, key, hash)
	}
	if errors.Is(err, errNoObject) {
		return nil, false, &annals.Error{
			Code: annals.CodeDamaged, Message: fmt.Sprintf("the body of %s, s3://%s/%s, is missing", name, c.address.Bucket, key),
			Hint: "restore that object, from an older version of it if the bucket keeps them",
		}
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading the body of %s: %w", name, err)
	}
	// What this process could not promote it must not find stored, as an append
	// whose outcome is unknown is settled by reading.
	if _, owed := c.owed.Load(hash); owed && pending {
		if err := c.promote(ctx, hash); err != nil {
			return nil, true, err
		}
		pending = false
	}
	c.owed.Delete(hash)
	if text, err = unpack(body); err != nil {
		return nil, false, damaged(name, err)
	}
	return text, pending, nil
}

// dropObject removes an object that nothing refers to; the next best thing is
// that it stays.
func (c *calls) dropObject(ctx context.Context, key string) {
	if _, err := c.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &c.address.Bucket, Key: &key}); err != nil {
		c.logger.Warn("an object that is not needed any more could not be removed", "bucket", c.address.Bucket, "key", key, "error", err)
	}
}
