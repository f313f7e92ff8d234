package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/awstest/local"
	"github.com/eb901187/annals/deadletter"
	"github.com/eb901187/annals/dynamo"
)

// buried makes a store with a queue, its dead letters, and letters of these bodies.
func buried(t *testing.T, bodies ...string) (store string, received func() []string) {
	t.Helper()
	t.Setenv("AWS_ENDPOINT_URL_SQS", local.SQS(t))
	store = initialized(t)
	address, err := dynamo.ParseAddress(store)
	if err != nil {
		t.Fatal(err)
	}
	config, err := dynamo.Configuration(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	client, urls := sqs.NewFromConfig(config), map[string]string{}
	for _, name := range []string{"orders-dead-letters", "orders-event-queue"} {
		made, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name})
		if err != nil {
			t.Fatal(err)
		}
		urls[name] = *made.QueueUrl
	}
	box, err := deadletter.New(config, urls["orders-dead-letters"], &deadletter.Options{Name: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range bodies {
		if err := box.Send(t.Context(), deadletter.Refusal{
			Body: []byte(body), Err: annals.Invalid("type", "is\nbad\x1b[31m"), Source: "arn:aws:sqs:eu-central-1:123456789012:orders-event-queue", Place: "m1#1", Correlation: "req-1",
		}); err != nil {
			t.Fatal(err)
		}
	}
	return store, func() (bodies []string) {
		got, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: aws.String(urls["orders-event-queue"]), MaxNumberOfMessages: 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range got.Messages {
			bodies = append(bodies, *m.Body)
		}
		return bodies
	}
}

func listLetters(t *testing.T, store string) (list letterList) {
	t.Helper()
	got := typed(t.Context(), "", "dlq", "list", "--json", "--store", store)
	if err := json.Unmarshal([]byte(got.out), &list); err != nil || got.exit != 0 {
		t.Fatalf("%v: %+v", err, got)
	}
	return list
}

func TestDLQ(t *testing.T) {
	store, received := buried(t, "one", "two", "three")
	list := listLetters(t, store)
	if list.Queue != "orders-dead-letters" || len(list.Letters) != 3 || list.More || list.Letters[0].Kind != deadletter.Refused || list.Letters[0].Correlation != "req-1" || list.Letters[0].Body == "" {
		t.Fatalf("%+v", list)
	}
	got := typed(t.Context(), "", "dlq", "list", "--store", store, "--queue", "orders-dead-letters")
	if got.exit != 0 || strings.Count(got.out, "\n") != 4 || !strings.Contains(got.out, "  orders-event-queue  m1#1   req-1        ") || strings.Contains(got.out, "\x1b") || !strings.Contains(got.out, "type is bad") {
		t.Fatalf("%+v", got)
	}
	byBody := map[string]string{}
	for _, l := range list.Letters {
		byBody[l.Body] = l.ID
	}
	got = typed(t.Context(), "", "dlq", "retry", byBody["one"], "--store", store)
	if got.exit != 0 || got.out != "1 letter sent again\n" {
		t.Fatalf("%+v", got)
	}
	if bodies := received(); len(bodies) != 1 || bodies[0] != "one" {
		t.Fatalf("sent again: %q", bodies)
	}
	got = typed(t.Context(), "", "dlq", "drop", byBody["two"], "none", "--reason", "a test of ours", "--store", store)
	if got.exit != 4 || got.out != "1 letter dropped\n" || !strings.Contains(got.errs, "none: ") || !strings.Contains(got.errs, "1 letter could not be dropped") {
		t.Fatalf("%+v", got)
	}
	got = typed(t.Context(), "", "read", "--json", deadletter.StreamPrefix+byBody["two"], "--store", store)
	if got.exit != 0 || !strings.Contains(got.out, "a test of ours") || !strings.Contains(got.out, "dead-letter-dropped") {
		t.Fatalf("%+v", got)
	}
	got = typed(t.Context(), "", "dlq", "drop", "--all", "--reason", "x", "--json", "--store", store)
	if got.exit != 0 || got.out != `{"queue":"orders-dead-letters","done":["`+byBody["three"]+`"],"failed":[]}`+"\n" {
		t.Fatalf("%+v", got)
	}
	for command, want := range map[string]string{"list": "no dead letters in orders-dead-letters\n", "retry --all": "0 letters sent again\n"} {
		if got := typed(t.Context(), "", append(append([]string{"dlq"}, strings.Fields(command)...), "--store", store)...); got.exit != 0 || got.out != want {
			t.Fatalf("%s: %+v", command, got)
		}
	}
	got = typed(t.Context(), "", "read", access.Stream, "--store", store, "--json")
	for what, times := range map[string]int{`"what":"dlq.retry","target":"` + byBody["one"]: 1, `"what":"dlq.retry"`: 2, `"what":"dlq.drop"`: 2} {
		if strings.Count(got.out, what) != times {
			t.Errorf("%s is not noted %d times: %+v", what, times, got)
		}
	}
	got = typed(t.Context(), "", "dlq", "list", "--queue", "nosuch", "--store", store)
	if got.exit != 4 || !strings.Contains(got.errs, "the queue nosuch") || !strings.Contains(got.errs, "AWS_REGION") {
		t.Fatalf("%+v", got)
	}
}

// None of these sends a request.
func TestDLQMisuse(t *testing.T) {
	const tables = " --store dynamodb://orders?region=eu-central-1"
	for line, c := range map[string]misuse{
		"list":                               {2, "works on a dynamodb:// store"},
		"list x" + tables:                    {2, "dlq list takes no arguments"},
		"list --queue=" + tables:             {2, "--queue is empty"},
		"list --all" + tables:                {2, "no flag --all"},
		"retry" + tables:                     {2, "dlq retry needs one ID or more, or --all"},
		"retry x --all" + tables:             {2, "annals dlq list shows the ids"},
		"drop x" + tables:                    {2, "dlq drop needs --reason"},
		"drop --reason x" + tables:           {2, "needs one ID or more"},
		"drop x --reason x":                  {2, "works on a dynamodb:// store"},
		"nosuch":                             {2, "annals dlq"},
		"drop x --reason x --store http://h": {2, "works on a dynamodb:// store"},
	} {
		got := typed(t.Context(), "", append([]string{"dlq"}, strings.Fields(line)...)...)
		if got.exit != c.exit || !strings.Contains(got.errs, c.want) || strings.Count(got.errs, "annals: ") != 1 {
			t.Errorf("dlq %s: %+v, want exit %d and %q", line, got, c.exit, c.want)
		}
	}
}
