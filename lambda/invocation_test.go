package lambda

import (
	"slices"
	"testing"

	"github.com/eb901187/annals"
)

// payloads are what AWS sends, as far as it says what sends it.
var payloads = map[kind]string{
	fromSQS:      `{"Records":[{"messageId":"m","eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:eu-central-1:1:q"}]}`,
	fromKinesis:  `{"Records":[{"eventSource":"aws:kinesis","kinesis":{"data":""}}]}`,
	fromDynamoDB: `{"Records":[{"eventSource":"aws:dynamodb","dynamodb":{}}]}`,
	fromHTTP:     request("GET", "/v1/events", ""),
	fromSchedule: `{"version":"0","id":"1","detail-type":"Scheduled Event","source":"aws.events","account":"1","time":"2026-11-21T12:00:00Z","region":"eu-central-1","resources":["arn:aws:events:eu-central-1:1:rule/annals-tick"],"detail":{}}`,
	fromCaller:   `{"resume":"p-1"}`,
}

func TestKindOf(t *testing.T) {
	for _, r := range Roles() {
		for k, payload := range payloads {
			got, err := kindOf(r, []byte(payload))
			if slices.Contains(taken[r], k) {
				if err != nil || got != k {
					t.Errorf("%s by %s: %s, %v", r, k, got, err)
				}
				continue
			}
			wantError(t, err, annals.CodeInvalid, "role "+string(r)+" was invoked by "+k.describe()+", and takes ")
		}
		if got, err := kindOf(r, []byte(`{"Records":[]}`)); err != nil || got != taken[r][0] {
			t.Errorf("%s by an empty batch: %s, %v", r, got, err)
		}
	}
	for _, payload := range []string{`null`, `[]`, `"x"`, `7`, `{}`, `{"Records":7}`, `{"source":3,"version":{}}`} {
		if got, err := kindOf(Playback, []byte(payload)); err != nil || got != fromCaller {
			t.Errorf("%s: %s, %v", payload, got, err)
		}
	}
}

func TestKindOfRefuses(t *testing.T) {
	for _, c := range []struct {
		payload string
		code    annals.Code
		says    string
	}{
		{``, annals.CodeInvalidJSON, "is not JSON"},
		{`{`, annals.CodeInvalidJSON, "is not JSON"},
		{`{"Records":[{"eventSource":"aws:sqs"},{"eventSource":"aws:kinesis"}]}`, annals.CodeInvalid, `"aws:sqs" and of "aws:kinesis"`},
		{`{"Records":[{"eventSource":"aws:s3"}]}`, annals.CodeInvalid, `records of "aws:s3"`},
		{`{"Records":[{"EventSource":"aws:sns"}]}`, annals.CodeInvalid, `records of "`},
		{`{"version":"1.0","requestContext":{"http":{"method":"GET"}}}`, annals.CodeInvalid, "payload format"},
		{`{"version":"1.0","httpMethod":"GET","requestContext":{"httpMethod":"GET"}}`, annals.CodeInvalid, "HTTP API with payload format 2.0"},
	} {
		_, err := kindOf(Write, []byte(c.payload))
		wantError(t, err, c.code, c.says)
	}
}
