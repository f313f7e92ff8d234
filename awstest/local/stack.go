package local

import (
	"fmt"
	"time"
)

// account owns everything, as it does in the stand-in of SQS.
const account = "123456789012"

// A Stack is what is deployed together.
type Stack struct {
	Region    string // us-east-1 if empty
	Functions []Function
	Tables    []Table
	Buckets   []string
	Queues    []Queue
	Streams   []Stream
	Mappings  []Mapping
	Routes    []Route
	Schedules []Schedule
}

// A Function is a Lambda function.
type Function struct {
	Name    string
	Env     map[string]string
	Timeout time.Duration // 3 seconds if 0, as AWS has it
	Memory  int           // in MB; told to the function, not enforced
	// Concurrency is how many invocations run at once: more wait. The number of
	// Options.Instances if 0.
	Concurrency int
	Grants      []Grant
}

// A Grant is a statement of a function's role.
type Grant struct {
	Deny      bool
	Actions   []string // such as dynamodb:Query, with * and ?
	Resources []string // ARNs, with * and ?
}

// A Table is a DynamoDB table with a hash and a range key, each as NAME:TYPE.
type Table struct {
	Name        string
	Hash, Range string
	StreamView  string // such as NEW_IMAGE; no stream if empty
	TTL         string // the attribute, if any
}

// A Queue is an SQS queue.
type Queue struct {
	Name       string
	Attributes map[string]string // as SetQueueAttributes takes them
}

// A Stream is a Kinesis stream.
type Stream struct {
	Name   string
	Shards int32 // 4 if 0, what an on-demand stream starts with
}

// A Mapping is an event source mapping. The numbers mean what they mean to AWS: -1
// for without end.
type Mapping struct {
	Source            string // ARN of a queue, a Kinesis stream or a table's stream
	Function          string // name
	BatchSize         int
	Window            time.Duration
	Position          string // TRIM_HORIZON or LATEST, of streams
	Bisect            bool
	Retries           int
	MaxAge            time.Duration // negative for without end
	Filters           []string      // patterns; a record that matches one of them passes
	PartialResponses  bool          // ReportBatchItemFailures
	OnFailure         string        // ARN of a queue; none if empty
	MaximumConcurrent int           // of an SQS queue; 5 if 0, what Lambda starts with
}

// A Route leads requests of the HTTP API to a function. Its key is a method, or
// ANY, and a path such as /v1/streams/{proxy+}; or $default.
type Route struct{ Key, Function string }

// A Schedule invokes a function at a rate. One that invokes several is as many, of
// one name.
type Schedule struct {
	Name     string
	Every    time.Duration
	Function string
}

func (s *Stack) region() string {
	if s.Region == "" {
		return "us-east-1"
	}
	return s.Region
}

// ARN names a resource of the stack's account, such as ARN("sqs", "queue") or
// ARN("dynamodb", "table/events").
func (s *Stack) ARN(service, resource string) string {
	if service == "s3" {
		return "arn:aws:s3:::" + resource
	}
	return fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, s.region(), account, resource)
}

// streamLabel ends the ARN of each table's stream.
const streamLabel = "/stream/2026-01-01T00:00:00.000"

// TableStreamARN names the stream of a table.
func (s *Stack) TableStreamARN(table string) string {
	return s.ARN("dynamodb", "table/"+table+streamLabel)
}
