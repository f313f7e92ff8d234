package kinesis

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/eb901187/annals"
)

// An Outcome is what became of an event that was to be put.
type Outcome string

// The outcomes.
const (
	Accepted    Outcome = "accepted"
	NotAccepted Outcome = "not accepted"
	// Unknown: it may be there, as a reply was lost.
	Unknown Outcome = "unknown"
)

// A PutError says that not all events were put. Putting the same events again is safe:
// readers tell repetitions by their ids.
type PutError struct {
	Stream   string    // of Kinesis
	Outcomes []Outcome // of each event, as they were given
	Err      error     // why Put gave up
}

// Count says how many events had an outcome.
func (e *PutError) Count(of Outcome) (n int) {
	for _, o := range e.Outcomes {
		if o == of {
			n++
		}
	}
	return n
}

func (e *PutError) Error() string {
	text := fmt.Sprintf("annals: the Kinesis stream %s took %d of %d events", e.Stream, e.Count(Accepted), len(e.Outcomes))
	if n := e.Count(Unknown); n > 0 {
		text += fmt.Sprintf(", and of %d more that is unknown", n)
	}
	return text + ": " + e.Err.Error()
}

func (e *PutError) Unwrap() error { return e.Err }

// ErrorCode is annals.CodeUnknownOutcome where an outcome is unknown, else that of the
// cause: annals.CodeUnavailable for what may pass, such as too many records. It matches
// neither annals.ErrUnknownOutcome nor annals.ErrUnavailable, which are about stores.
func (e *PutError) ErrorCode() annals.Code {
	if e.Count(Unknown) > 0 {
		return annals.CodeUnknownOutcome
	}
	return annals.CodeOf(e.Err)
}

// A passing error is one of Kinesis, or of the way there, that may be gone next time.
type passing struct{ err error }

func (e passing) Error() string          { return e.err.Error() }
func (e passing) Unwrap() error          { return e.err }
func (e passing) ErrorCode() annals.Code { return annals.CodeUnavailable }

// refused reports whether Kinesis has certainly done nothing of what was asked.
func refused(err error) bool {
	var answered *smithyhttp.ResponseError
	if !errors.As(err, &answered) {
		return false
	}
	status := answered.HTTPStatusCode()
	return status >= 400 && status < 500
}

// throttled reports whether Kinesis wants to be asked later.
func throttled(err error) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	switch api.ErrorCode() {
	case "ProvisionedThroughputExceededException", "LimitExceededException", "KMSThrottlingException", "ThrottlingException", "RequestLimitExceeded":
		return true
	}
	return false
}

// explained words what Kinesis has refused for good, or failed in often enough.
func explained(stream string, err error) error {
	var missing *types.ResourceNotFoundException
	var denied smithy.APIError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &missing):
		return &annals.Error{
			Code: annals.CodeNotFound, Err: err, Message: "there is no Kinesis stream " + stream + " for this account and region",
			Hint: "check its name and AWS_REGION; aws kinesis list-streams names those that there are",
		}
	case !refused(err) || throttled(err):
		return passing{err}
	case errors.As(err, &denied) && denied.ErrorCode() == "AccessDeniedException":
		return &annals.Error{
			Code: annals.CodeForbidden, Err: err, Message: "the Kinesis stream " + stream + " may not be used with these credentials",
			Hint: "give them the right that is named",
		}
	}
	return &annals.Error{Code: annals.CodeInvalid, Err: err, Message: "the Kinesis stream " + stream + " refused the request"}
}
