package lambda

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/eb901187/annals"
)

// A kind says what invoked the function.
type kind string

const (
	fromSQS      kind = "aws:sqs"
	fromKinesis  kind = "aws:kinesis"
	fromDynamoDB kind = "aws:dynamodb"
	fromHTTP     kind = "http"     // API Gateway's HTTP API, payload 2.0
	fromSchedule kind = "schedule" // EventBridge
	fromCaller   kind = "caller"   // Invoke, by hand or by ourselves
)

// taken are the kinds that a role takes. An empty batch, which names no source,
// counts as the first of them.
var taken = map[Role][]kind{
	Load:     {fromHTTP},
	Track:    {fromSQS},
	Pump:     {fromKinesis},
	Command:  {fromHTTP},
	Query:    {fromHTTP},
	Sequence: {fromDynamoDB},
	Write:    {fromDynamoDB, fromKinesis, fromSchedule, fromCaller, fromHTTP},
	React:    {fromDynamoDB, fromSchedule, fromCaller},
	Playback: {fromCaller, fromHTTP},
}

// An invocation is one event that Lambda hands to the function.
type invocation struct {
	kind    kind
	payload json.RawMessage
	request string // Lambda's id of it, for the log
	report  *report
}

// batchAnswer is a partial batch response: the items that are to come again.
type batchAnswer struct {
	Failures []batchFailure `json:"batchItemFailures"`
}

type batchFailure struct {
	ID string `json:"itemIdentifier"` // a message id of SQS, a sequence number of a stream
}

// kindOf recognizes what invoked a function of role r, and refuses what that role
// does not take.
func kindOf(r Role, payload []byte) (kind, error) {
	var seen struct {
		Records []struct {
			Source string `json:"eventSource"`
		}
		Version        string `json:"version"`
		RequestContext struct {
			HTTP       *struct{} `json:"http"`
			HTTPMethod string    `json:"httpMethod"`
		} `json:"requestContext"`
		HTTPMethod string `json:"httpMethod"`
		Source     string `json:"source"`
		DetailType string `json:"detail-type"`
	}
	// What a caller sends has any members, of any types: only a payload that is no
	// JSON at all is nobody's.
	if err := json.Unmarshal(payload, &seen); err != nil && !json.Valid(payload) {
		return "", &annals.Error{
			Code: annals.CodeInvalidJSON, Message: "the payload of the invocation is not JSON", Err: err, Hint: "send JSON; {} where there is nothing to say",
		}
	}
	k := fromCaller
	switch {
	case len(seen.Records) > 0:
		k = kind(seen.Records[0].Source)
		for i := range seen.Records {
			if kind(seen.Records[i].Source) != k {
				return "", annals.Invalid("Records", "are of %q and of %q in one batch", k, seen.Records[i].Source)
			}
		}
	case seen.Records != nil:
		k = taken[r][0]
	case seen.RequestContext.HTTP != nil:
		if k = fromHTTP; seen.Version != "2.0" {
			return "", annals.Invalid("version", "must be 2.0, and is %q: set the payload format of API Gateway's integration to 2.0", seen.Version)
		}
	case seen.HTTPMethod != "" && seen.RequestContext.HTTPMethod != "":
		return "", annals.Invalid("version", "must be 2.0: use an HTTP API with payload format 2.0, or a function URL, in place of a REST API or a load balancer")
	case seen.DetailType != "" && seen.Source != "":
		k = fromSchedule
	}
	if slices.Contains(taken[r], k) {
		return k, nil
	}
	return "", &annals.Error{
		Code: annals.CodeInvalid, Message: fmt.Sprintf("role %s was invoked by %s, and takes %s", r, k.describe(), describeAll(taken[r])),
		Hint: "see the triggers of this function, and its " + variableRole,
	}
}

func (k kind) describe() string {
	names := map[kind]string{
		fromSQS: "SQS", fromKinesis: "Kinesis", fromDynamoDB: "a stream of DynamoDB", fromHTTP: "HTTP", fromSchedule: "a schedule", fromCaller: "a direct call",
	}
	if name := names[k]; name != "" {
		return name
	}
	return fmt.Sprintf("records of %q", string(k))
}

func describeAll(kinds []kind) string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.describe()
	}
	return strings.Join(names, ", ")
}
