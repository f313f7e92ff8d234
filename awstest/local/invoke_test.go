package local_test

import (
	"encoding/base64"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/eb901187/annals/awstest/local"
)

func TestInvokeByTheSDK(t *testing.T) {
	t.Parallel()
	d := local.Deploy(t, local.Stack{Functions: []local.Function{{Name: "f"}}}, local.Options{Bootstrap: self(t), Patience: time.Millisecond})
	c := lambda.NewFromConfig(d.Config())
	out, err := c.Invoke(t.Context(), &lambda.InvokeInput{
		FunctionName: aws.String("arn:aws:lambda:us-east-1:123456789012:function:f"), Payload: []byte(`{"a":1}`), LogType: types.LogTypeTail,
	})
	if err != nil || out.FunctionError != nil || string(out.Payload) != `{"a":1}` {
		t.Fatalf("got %+v, %v", out, err)
	}
	if tail, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult)); err != nil || !strings.Contains(string(tail), `{"a":1}`) {
		t.Errorf("log %q, %v", tail, err)
	}
	out, err = c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f"), Payload: []byte(`{"do":"fail"}`)})
	if err != nil || aws.ToString(out.FunctionError) == "" {
		t.Fatalf("a failure: %+v, %v", out, err)
	}
	if _, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("none")}); err == nil || !strings.Contains(err.Error(), "ResourceNotFound") {
		t.Errorf("an unknown function: %v", err)
	}
	before := d.Stats("f").Invocations
	out, err = c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f"), Payload: []byte(`{"do":"fail"}`), InvocationType: types.InvocationTypeEvent})
	if err != nil || out.StatusCode != 202 {
		t.Fatalf("to run later: %+v, %v", out, err)
	}
	until(t, "three tries", func() bool { return d.Stats("f").Invocations == before+3 })
}

// until waits for what another goroutine does.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s", what)
		}
		runtime.Gosched()
	}
}
