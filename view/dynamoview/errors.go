package dynamoview

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	smithy "github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/eb901187/annals"
)

// Codes of AWS by what they ask of the user.
var (
	denied    = []string{"AccessDeniedException", "AccessDenied", "NotAuthorized"}
	strangers = []string{
		"UnrecognizedClientException", "InvalidClientTokenId", "ExpiredTokenException", "ExpiredToken", "MissingAuthenticationTokenException",
		"IncompleteSignatureException", "SignatureDoesNotMatch",
	}
	skewed = []string{"RequestTimeTooSkewed", "InvalidSignatureException", "RequestExpired"}
	met    = []string{"TransactionConflictException", "TransactionCanceledException", "TransactionInProgressException"}
)

// failed words an error of a request: what was asked of which table, and what to
// do.
func (s *Store) failed(ctx context.Context, action string, err error) error {
	if ended := ctx.Err(); ended != nil {
		return fmt.Errorf("%w (%v)", ended, err)
	}
	e := &annals.Error{Code: annals.CodeUnavailable, Err: err, Message: fmt.Sprintf("dynamodb:%s on %s failed", action, s.table)}
	var api smithy.APIError
	if strings.Contains(err.Error(), "get credentials") {
		e.Code, e.Hint = annals.CodeForbidden, noCredentials
		return e
	}
	if !errors.As(err, &api) {
		e.Hint = "check the network, the region and the endpoint, and try again"
		return e
	}
	is := func(codes []string) bool { return slices.Contains(codes, api.ErrorCode()) }
	switch {
	case is(denied):
		e.Code = annals.CodeForbidden
		e.Hint = fmt.Sprintf("allow dynamodb:%s on arn:aws:dynamodb:%s:*:table/%s to the identity that runs this", action, s.region, s.table)
	case is(strangers):
		e.Code, e.Hint = annals.CodeForbidden, noCredentials
	case is(skewed):
		e.Hint = "AWS refuses requests of a clock that is minutes off: set this machine's clock, and check the secret key"
	case api.ErrorCode() == "ResourceNotFoundException":
		e.Code, e.Message, e.Hint = annals.CodeNotFound, "there is no table "+s.table+" in "+s.where(), s.initHint()
	case api.ErrorCode() == "ValidationException" && aboutSize(api.ErrorMessage()):
		return errors.Join(tooLarge("is too large for DynamoDB"), err)
	case api.ErrorCode() == "ValidationException" && strings.Contains(api.ErrorMessage(), "key"):
		e.Code, e.Message = annals.CodeInvalid, "the table "+s.table+" has other keys than one of views"
		e.Hint = "give the store another name, or move the table away; then " + s.initHint()
	case is(met):
		e.Message = fmt.Sprintf("other changes of the same documents came between each of %d tries on %s; nothing was changed", maxTries, s.table)
		e.Hint = "try again"
	case refused(err) && !retry.DefaultThrottles[0].IsErrorThrottle(err).Bool():
		e.Code = annals.CodeInternal
	}
	return e
}

const noCredentials = "check the AWS credentials of this process: aws sts get-caller-identity shows them"

// refused reports whether the same request will fail again.
func refused(err error) bool {
	var reply *smithyhttp.ResponseError
	var api smithy.APIError
	if errors.As(err, &reply) {
		return reply.HTTPStatusCode() >= 400 && reply.HTTPStatusCode() < 500
	}
	return errors.As(err, &api) && api.ErrorFault() == smithy.FaultClient
}

func (s *Store) where() string {
	if endpoint := s.db.Options().BaseEndpoint; aws.ToString(endpoint) != "" {
		return *endpoint
	}
	return "region " + s.region
}

// initHint says how the table is made.
func (s *Store) initHint() string {
	address := "dynamodb://" + strings.TrimSuffix(s.table, Suffix) + "?region=" + s.region
	if endpoint := s.db.Options().BaseEndpoint; aws.ToString(endpoint) != "" {
		address += "&endpoint=" + *endpoint
	}
	return "check the name and the region; annals init --store '" + address + "' makes it, with the &bucket=… of the store if that has one"
}

// notMade is the error of a change that failed: unknown if some try of it may have
// been made.
func (s *Store) notMade(t *tries, err error) error {
	if t.unclear() {
		return s.unknown(err)
	}
	return err
}

func (s *Store) unknown(err error) error {
	return &annals.Error{
		Code: annals.CodeUnknownOutcome, Err: err, Message: "DynamoDB did not say whether documents in " + s.table + " were changed",
		Hint: "read what is there and decide anew",
	}
}
