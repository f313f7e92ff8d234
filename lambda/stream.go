package lambda

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/eb901187/annals"
)

// A streamRecord is one of a stream of DynamoDB or Kinesis.
type streamRecord struct {
	Source   string `json:"eventSourceARN"`
	Name     string `json:"eventName"` // INSERT, MODIFY or REMOVE, of DynamoDB
	DynamoDB struct {
		Created  float64                  `json:"ApproximateCreationDateTime"` // Unix seconds
		Keys     map[string]streamedValue `json:"Keys"`
		NewImage map[string]streamedValue `json:"NewImage"`
		Sequence string                   `json:"SequenceNumber"`
	} `json:"dynamodb"`
	Kinesis struct {
		Arrived  float64 `json:"approximateArrivalTimestamp"`
		Sequence string  `json:"sequenceNumber"`
	} `json:"kinesis"`
}

// A streamedValue is an attribute of an item of the store's tables, which have
// these kinds only.
type streamedValue struct {
	S *string `json:"S"`
	N *string `json:"N"`
	B []byte  `json:"B"`
}

// streamRecords reads a batch.
func streamRecords(payload []byte) ([]streamRecord, error) {
	var batch struct{ Records []streamRecord }
	if err := json.Unmarshal(payload, &batch); err != nil {
		return nil, &annals.Error{Code: annals.CodeInvalidJSON, Message: "the payload is no batch of a stream", Err: err, Hint: "invoke the function by an event source mapping"}
	}
	return batch.Records, nil
}

// sequence is the number by which a partial response names the record.
func (r *streamRecord) sequence() string {
	if r.DynamoDB.Sequence != "" {
		return r.DynamoDB.Sequence
	}
	return r.Kinesis.Sequence
}

// age is how old the record is.
func (r *streamRecord) age(now time.Time) time.Duration {
	whole, part := math.Modf(max(r.DynamoDB.Created, r.Kinesis.Arrived))
	return max(0, now.Sub(time.Unix(int64(whole), int64(part*1e9))))
}

// from refuses a record of another table or stream than the one called name. An ARN
// ends in table/NAME/stream/LABEL for DynamoDB and in stream/NAME for Kinesis.
func (r *streamRecord) from(k kind, name string) error {
	parts := strings.SplitN(r.Source, ":", 6)
	path := strings.Split(parts[len(parts)-1], "/")
	if len(parts) == 6 && len(path) > 1 && path[1] == name && (k == fromDynamoDB) == (path[0] == "table") {
		return nil
	}
	what := "the stream of the table "
	if k == fromKinesis {
		what = "the Kinesis stream "
	}
	return &annals.Error{
		Code: annals.CodeInvalid, Message: fmt.Sprintf("a record is of %s, and this function takes those of %s%s", r.Source, what, name),
		Hint: "see the event source mappings of the function, and its environment",
	}
}

// item is the record's new image as the SDK has it.
func (r *streamRecord) item() map[string]types.AttributeValue {
	i := map[string]types.AttributeValue{}
	for name, v := range r.DynamoDB.NewImage {
		switch {
		case v.S != nil:
			i[name] = &types.AttributeValueMemberS{Value: *v.S}
		case v.N != nil:
			i[name] = &types.AttributeValueMemberN{Value: *v.N}
		case v.B != nil:
			i[name] = &types.AttributeValueMemberB{Value: v.B}
		}
	}
	return i
}

// key is the key of the record's item, for messages.
func (r *streamRecord) key() string {
	var b strings.Builder
	for _, name := range []string{"stream", "version"} {
		switch v := r.DynamoDB.Keys[name]; {
		case v.S != nil:
			fmt.Fprintf(&b, "%s", *v.S)
		case v.N != nil:
			fmt.Fprintf(&b, "@%s", *v.N)
		}
	}
	return b.String()
}
