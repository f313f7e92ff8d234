package aws_test

import (
	"encoding/json"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"
	kinesistypes "github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// poisoned sends messages that can't be stored between some that can: by the queue
// and by Kinesis.
func (w *world) poisoned() {
	queue, url := sqs.NewFromConfig(w.Config()), w.QueueURL("annals-event-queue")
	for _, body := range []string{
		`{"id":"g-1","requestId":"good-1","timestamp":"2020-05-01T20:00:00Z","type":"MICROSERVICE_REQUEST","source":"Gateway","data":{"Name":"A"}}`,
		`{"requestId": poison of the queue`,
		`{"id":"g-2","requestId":"good-2","timestamp":"2020-05-01T20:00:00Z","type":"MICROSERVICE_REQUEST","source":"Gateway","data":{"Name":"A"}}`,
	} {
		if _, err := queue.SendMessage(w.t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body}); err != nil {
			w.t.Fatal(err)
		}
	}
	flow := sdk.NewFromConfig(w.Config())
	in := &sdk.PutRecordsInput{StreamName: awssdk.String("annals-ingest")}
	for _, data := range []string{"poison of the stream", "[" + command("account-13", "deposited", 5, "g-3") + "]"} {
		in.Records = append(in.Records, kinesistypes.PutRecordsRequestEntry{Data: []byte(data), PartitionKey: awssdk.String("account-13")})
	}
	if _, err := flow.PutRecords(w.t.Context(), in); err != nil {
		w.t.Fatal(err)
	}
	w.reads("/v1/streams/good-1/events", "g-1")
	w.reads("/v1/streams/good-2/events", "g-2")
	w.reads("/v1/views/accounts/account-13", `"balance":5`)

	letters := w.letters("poison of the queue", "poison of the stream")
	for _, l := range letters {
		if l.Reason == "" {
			w.t.Errorf("a letter without a reason: %+v", l)
		}
	}
	w.annals("dlq", "retry", "--all")
	w.letters("poison of the queue", "poison of the stream") // still poison
	w.annals("dlq", "drop", "--all", "--reason", "planted")
	if got := w.annals("dlq", "list", "--json"); strings.Contains(got, "poison") {
		w.t.Errorf("after they were dropped: %s", got)
	}
}

type letter struct{ ID, Reason, Body string }

// letters waits until the dead letters hold these texts.
func (w *world) letters(texts ...string) []letter {
	w.t.Helper()
	var list struct{ Letters []letter }
	until(w.t, strings.Join(texts, ", "), time.Minute, func() bool {
		out := w.annals("dlq", "list", "--json")
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			w.t.Fatalf("%s: %v", out, err)
		}
		for _, text := range texts {
			if !strings.Contains(out, text) {
				return false
			}
		}
		return true
	})
	return list.Letters
}

// wiped deletes all that the table of views holds, and has a playback bring it
// back.
func (w *world) wiped() {
	tables, table := dynamodb.NewFromConfig(w.Config()), awssdk.String("annals-views")
	var start map[string]types.AttributeValue
	deleted := 0
	for {
		page, err := tables.Scan(w.t.Context(), &dynamodb.ScanInput{TableName: table, ExclusiveStartKey: start})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, item := range page.Items {
			key := map[string]types.AttributeValue{"space": item["space"], "key": item["key"]}
			if _, err := tables.DeleteItem(w.t.Context(), &dynamodb.DeleteItemInput{TableName: table, Key: key}); err != nil {
				w.t.Fatal(err)
			}
			deleted++
		}
		if start = page.LastEvaluatedKey; start == nil {
			break
		}
	}
	if deleted == 0 {
		w.t.Fatal("there was nothing to delete")
	}
	result, err := w.Invoke(w.t.Context(), "annals-playback", []byte(`{"id":"again","selection":{"streams":["account-*"]}}`))
	if err != nil || result.Failed {
		w.t.Fatalf("%s %v", result.Payload, err)
	}
	w.reads("/v1/views/accounts/account-11", `"balance":6`)
	w.reads("/v1/views/accounts/account-12", `"balance":7`)
	w.reads("/v1/views/accounts/account-13", `"balance":5`)
}
