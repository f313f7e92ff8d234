package dynamo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	smithy "github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/eb901187/annals"
)

// Codes of AWS by what they ask of the user.
var (
	denied    = []string{"AccessDeniedException", "AccessDenied", "Forbidden", "AllAccessDisabled", "NotAuthorized"}
	strangers = []string{
		"UnrecognizedClientException", "InvalidClientTokenId", "ExpiredTokenException", "ExpiredToken", "InvalidAccessKeyId",
		"MissingAuthenticationTokenException", "IncompleteSignatureException", "SignatureDoesNotMatch",
	}
	skewed = []string{"RequestTimeTooSkewed", "InvalidSignatureException", "RequestExpired"}
	absent = []string{"ResourceNotFoundException", "NoSuchBucket"}
	moved  = []string{"PermanentRedirect", "MovedPermanently", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)

// failed words an error of a request for whoever can act on it: what was asked
// of which resource, and what to do.
func (c *calls) failed(ctx context.Context, action, resource string, err error) error {
	if ended := ctx.Err(); ended != nil {
		return fmt.Errorf("%w (%v)", ended, err)
	}
	service := "dynamodb"
	if resource == c.address.Bucket && resource != "" {
		service = "s3"
		if name, known := permissions[action]; known {
			action = name
		}
	}
	e := &annals.Error{
		Code: annals.CodeUnavailable, Err: err,
		Message: fmt.Sprintf("%s:%s on %s failed", service, action, resource),
	}
	var api smithy.APIError
	if strings.Contains(err.Error(), "get credentials") {
		e.Code = annals.CodeForbidden
		e.Hint = noCredentials
		return e
	}
	if !errors.As(err, &api) {
		e.Hint = "check the network, the region and the endpoint, and try again"
		return e
	}
	code := api.ErrorCode()
	is := func(codes []string) bool { return slices.Contains(codes, code) }
	switch {
	case is(denied):
		e.Code = annals.CodeForbidden
		e.Message = fmt.Sprintf("%s:%s on %s is not allowed", service, action, resource)
		e.Hint = fmt.Sprintf("allow %s:%s on %s to the identity that runs this", service, action, c.arn(service, action, resource))
	case is(strangers):
		e.Code = annals.CodeForbidden
		e.Hint = noCredentials
	case is(skewed):
		e.Hint = "AWS refuses requests of a clock that is minutes off: set this machine's clock, and check the secret key"
	case is(absent) && service == "s3":
		e.Code = annals.CodeNotFound
		e.Message = fmt.Sprintf("there is no bucket %s in %s", resource, c.address.whereObjects())
		e.Hint = "if it held events of this store, restore it; if it was never made, annals init --store '" + c.address.String() + "' does"
	case is(absent):
		e.Code = annals.CodeNotFound
		e.Message = fmt.Sprintf("there is no %s in %s", resource, c.address.where())
		e.Hint = "check the name and the region; annals init --store '" + c.address.String() + "' makes a new store"
	case is(moved) || elsewhere(err):
		e.Code = annals.CodeInvalid
		e.Message = fmt.Sprintf("the bucket %s is not in region %s", resource, c.address.Region)
		e.Hint = "name the bucket's own region, or take a bucket of the tables' region"
	case code == "ValidationException" && strings.Contains(api.ErrorMessage(), "key"):
		e.Code = annals.CodeInvalid
		e.Message = fmt.Sprintf("%s has other keys than a table of this version of Annals", resource)
		e.Hint = "give the store another name, or move the table away"
	case refused(err, api) && !throttled(err):
		e.Code = annals.CodeInternal
	}
	return e
}

const noCredentials = "check the AWS credentials of this process: aws sts get-caller-identity shows them"

// permissions are the names that policies have for actions, where they differ.
var permissions = map[string]string{
	"CopyObject": "PutObject", "HeadBucket": "ListBucket", "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
}

// refused reports whether the same request will fail again. The SDK does not say
// of every code whose fault it is.
func refused(err error, api smithy.APIError) bool {
	var reply *smithyhttp.ResponseError
	if errors.As(err, &reply) {
		return reply.HTTPStatusCode() >= 400 && reply.HTTPStatusCode() < 500
	}
	return api.ErrorFault() == smithy.FaultClient
}

// elsewhere reports S3's redirect to a bucket's own region, which has no code
// where the body is empty.
func elsewhere(err error) bool {
	var reply *smithyhttp.ResponseError
	return errors.As(err, &reply) && reply.HTTPStatusCode() == 301
}

// throttled reports whether the same request may succeed later.
func throttled(err error) bool {
	return retry.DefaultThrottles[0].IsErrorThrottle(err).Bool() || retryCodes.IsErrorRetryable(err).Bool()
}

// retryCodes are what the SDK itself does not send again.
var retryCodes = retry.RetryableErrorCode{Codes: map[string]struct{}{"TransactionConflictException": {}}}

// unknown is an append whose outcome can't be told.
func unknown(stream string, err error) error {
	return &annals.Error{
		Code: annals.CodeUnknownOutcome, Err: err,
		Message: "DynamoDB did not say whether the events were appended to stream " + stream,
		Hint:    "append the same events with the same ids again",
	}
}
