package main

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/eb901187/annals/awstest/local"
)

// kinesisStream makes a stream on a stand-in that commands find by the environment.
func kinesisStream(t *testing.T, name string) *sdk.Client {
	t.Helper()
	t.Setenv("AWS_ENDPOINT_URL_KINESIS", local.Kinesis(t))
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	loaded, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client := sdk.NewFromConfig(loaded)
	if _, err := client.CreateStream(t.Context(), &sdk.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	for {
		out, err := client.DescribeStreamSummary(t.Context(), &sdk.DescribeStreamSummaryInput{StreamName: &name})
		if err != nil {
			t.Fatal(err)
		}
		if out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive {
			return client
		}
	}
}

func TestPlaybackToKinesis(t *testing.T) {
	client := kinesisStream(t, "again")
	p := &place{store: t.TempDir() + "/store"}
	p.shop(t)
	p.want(t, "playback start --streams order-* --id k --to-kinesis again", 0, "playback k has finished: 3 events sent to kinesis again; annals playback read --kinesis again --playback k shows them")
	p.want(t, "playback show k --json", 0, `"target":{"kind":"kinesis","name":"again"}`)
	if _, err := client.PutRecord(t.Context(), &sdk.PutRecordInput{StreamName: aws.String("again"), PartitionKey: aws.String("x"), Data: []byte("oops")}); err != nil {
		t.Fatal(err)
	}
	p.want(t, "playback start --id l --to-kinesis again", 0, "4 events sent")
	got := typed(t.Context(), "", "playback", "read", "--kinesis", "again", "--playback", "k", "--json", "--store", p.store)
	if got.exit != 0 || strings.Count(got.out, "\n") != 3 || strings.Count(got.out, `"playback":"k","playbackof":"order-`) != 3 || !strings.Contains(got.errs, "of the Kinesis stream again holds no events") {
		t.Errorf("%+v", got)
	}
	p.want(t, "playback read --kinesis again", 0, "basket-1@1", "order-7@2")
	p.want(t, "playback read --kinesis again --latest", 0)
	p.want(t, "playback read --kinesis none", 4, "there is no Kinesis stream none", "AWS_REGION")

	p.want(t, "playback start --id m --to-kinesis none", 4, "playback m failed at position 0 of ", "the Kinesis stream none took 0 of 4 events", "annals playback resume m")
	if _, err := client.CreateStream(t.Context(), &sdk.CreateStreamInput{StreamName: aws.String("none"), ShardCount: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	p.want(t, "playback resume m", 0, "playback m has finished: 4 events sent to kinesis none")
}

func TestPlaybackReadFollows(t *testing.T) {
	kinesisStream(t, "again")
	p := &place{store: t.TempDir() + "/store"}
	p.shop(t)
	p.want(t, "playback start --id k --to-kinesis again", 0, "4 events")
	r := begin(t, `"playback":"k"`, "playback", "read", "--kinesis", "again", "--follow", "--json")
	p.want(t, "playback start --id l --to-kinesis again", 0, "4 events")
	for strings.Count(r.String(), "\n") < 8 {
		<-r.more
	}
	if exit := r.interrupt(); exit != 0 {
		t.Errorf("exit %d: %s", exit, r)
	}
}

// A server over DynamoDB sends to Kinesis; one over a directory says that it does not.
func TestServerSendsToKinesis(t *testing.T) {
	kinesisStream(t, "again")
	store := initialized(t)
	got := typed(t.Context(), "", "append", "order-7", "--type", "placed", "--data", `{"n":1}`, "--store", store)
	if got.exit != 0 {
		t.Fatalf("%+v", got)
	}
	if got = typed(t.Context(), "", "reindex", "--store", store); got.exit != 0 {
		t.Fatalf("%+v", got)
	}
	serving := func(store string) *place {
		server := begin(t, " on http://", "serve", "--listen", "127.0.0.1:0", "--store", store)
		_, address, _ := strings.Cut(strings.TrimSpace(server.String()), " on ")
		return &place{store: address}
	}
	served := serving(store)
	served.want(t, "playback start --id k --to-kinesis again", 0, "playback k has finished: 1 event sent to kinesis again")
	served.want(t, "playback read --kinesis again --playback k --json", 0, `"playbackof":"order-7@1"`)
	here := serving(stored(t, command1))
	here.want(t, "playback start --to-kinesis again", 5, "this server does not send to Kinesis", "--to-kinesis")
}

func TestPlaybackKinesisMisuses(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	p := &place{store: stored(t, command1)}
	for line, c := range map[string]misuse{
		"playback start --to-kinesis=":                                    {2, "--to-kinesis is empty"},
		"playback start --to-kinesis a --to-stream b":                     {2, "two are named: stream b and kinesis a"},
		"playback start --to-kinesis a":                                   {2, "set AWS_REGION"},
		"playback read":                                                   {2, "name one with --kinesis"},
		"playback read --kinesis a b":                                     {2, "takes no arguments"},
		"playback read --kinesis a/b":                                     {5, "no name of a Kinesis stream"},
		"playback read --kinesis a --since x":                             {5, "since must be an RFC 3339 time"},
		"playback read --kinesis a --since 2999-01-01T00:00:00Z":          {5, "lies in the future"},
		"playback read --kinesis a --latest --since 2020-01-01T00:00:00Z": {2, "leave one of them out"},
		"playback read --kinesis a":                                       {2, "set AWS_REGION"},
	} {
		got := typed(t.Context(), "", append(strings.Fields(line), "--store", p.store)...)
		if got.exit != c.exit || !strings.Contains(got.errs, c.want) {
			t.Errorf("%s: %+v", line, got)
		}
	}
}
