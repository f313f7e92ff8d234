package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/eb901187/annals/awstest"
)

// standIns starts a DynamoDB and an S3 and returns a --store there, which
// nothing has made.
func standIns(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("dynamodb://orders?region=eu-central-1&bucket=bodies&endpoint=%s&s3endpoint=%s", awstest.DynamoDB(t), awstest.S3(t))
}

// initialized is a --store that is made.
func initialized(t *testing.T) string {
	t.Helper()
	store := standIns(t)
	if got := typed(t.Context(), "", "init", "--store", store); got.exit != 0 {
		t.Fatalf("%+v", got)
	}
	return store
}

// A running command line and what it has printed.
type running struct {
	mu   sync.Mutex
	said bytes.Buffer
	more chan struct{} // holds a value after a write
	stop context.CancelFunc
	exit chan int
}

func (r *running) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case r.more <- struct{}{}:
	default:
	}
	return r.said.Write(b)
}

func (r *running) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said.String()
}

// interrupt ends the command line in order.
func (r *running) interrupt() int {
	r.stop()
	return <-r.exit
}

// begin runs a command line until it is interrupted, and returns once it has
// printed until.
func begin(t *testing.T, until string, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := &running{stop: stop, exit: make(chan int, 1), more: make(chan struct{}, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.exit <- Run(ctx, args, strings.NewReader(""), r, r)
	}()
	t.Cleanup(func() { stop(); <-ended })
	deadline := time.After(20 * time.Second)
	for !strings.Contains(r.String(), until) {
		select {
		case <-ended:
			t.Fatalf("%q ended: %s", args, r)
		case <-deadline:
			t.Fatalf("%q says only: %s", args, r)
		case <-r.more:
		}
	}
	return r
}

func TestInit(t *testing.T) {
	const nowhere = "dynamodb://orders?bucket=bodies&endpoint=http://127.0.0.1:1"
	got := typed(t.Context(), "", "init", "--dry-run", "--store", nowhere)
	if got.exit != 0 || !strings.Contains(got.out, "table orders-events: keys stream") || !strings.Contains(got.out, "bucket bodies: ") {
		t.Fatalf("the plan needs no request: %+v", got)
	}
	planned := strings.Count(got.out, "\n")
	store := standIns(t)
	if got := typed(t.Context(), "", "append", "a", "--type", "T", "--store", store); got.exit != 4 || !strings.Contains(got.errs, "annals init --store '"+store+"'") {
		t.Fatalf("an append before init: %+v", got)
	}
	for _, status := range []string{"made", "there"} {
		got := typed(t.Context(), "", "init", "--store", store)
		if got.exit != 0 || strings.Count(got.out, "\n") != planned || !strings.HasPrefix(got.out, status+"  table orders-events: keys stream") || !strings.HasSuffix(got.out, status+"  table orders-log: the mark of layout 1\n") {
			t.Fatalf("%s: %+v", status, got)
		}
	}
	got = typed(t.Context(), "", "init", "--json", "--store", store)
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	var p part
	if err := json.Unmarshal([]byte(lines[0]), &p); err != nil || len(lines) != planned || p.Resource != "table orders-events" || p.Setting == "" || p.Status != "there" {
		t.Fatalf("%v: %+v", err, got)
	}
	got = typed(t.Context(), "", "init", "--json", "--dry-run", "--store", store)
	if got.exit != 0 || strings.Contains(got.out, "status") || strings.Count(got.out, "\n") != planned {
		t.Fatalf("%+v", got)
	}
}

// A step is a command line on one store and parts of what it prints.
type step struct {
	args string
	want []string
}

func (s step) run(t *testing.T, store string) {
	t.Helper()
	got := typed(t.Context(), "", append(strings.Fields(s.args), "--store", store)...)
	printed := got.out + got.errs
	if got.exit != 0 {
		t.Errorf("annals %s: exit %d:\n%s", s.args, got.exit, printed)
	}
	for _, want := range s.want {
		if !strings.Contains(printed, want) {
			t.Errorf("annals %s does not print %q:\n%s", s.args, want, printed)
		}
	}
}

func TestCommandsOnDynamoDB(t *testing.T) {
	store := initialized(t)
	for _, s := range []step{
		{`append order-7 --type placed --data {"total":12.5} --expect 0 --correlation r-1`, []string{"order-7 is at version 1\n"}},
		{"append order-7 --type paid --id 1 --correlation r-1", []string{"order-7 is at version 2\n"}},
		{"append order-7 --type paid --id 1 --correlation r-1", []string{"order-7 is at version 2 (stored before)\n"}},
		{"append order-8 --type placed --json", []string{`{"stream":"order-8","version":"1","position":"0","count":1,"replayed":false}`}},
		{"read order-7", []string{"     1  ", "placed", `{"total":12.5}`, "     2  "}},
		{"read order-7 --json --limit 1", []string{`"stream":"order-7","version":"1","correlation":"r-1"`}},
		{"log --explain", []string{"0 found"}},
		{"verify", []string{"0 events in 0 streams checked: all is well\n3 commits wait to be numbered, which annals sequence does\n"}},
		{"verify --json", []string{`{"events":0,"streams":0,"ok":true,"problems":[],"waiting":3}`}},
	} {
		s.run(t, store)
	}
	worker := begin(t, "sequencing dynamodb://orders", "sequence", "--poll", "2ms", "--store", store)
	follower := begin(t, "order-8@1", "log", "--follow", "--store", store)
	for _, s := range []step{
		{"log", []string{"       1  ", "order-7@1", "order-7@2", "order-8@1", "       3  "}},
		{"append order-8 --type paid --wait --expect 1", []string{"order-8 is at version 2, position 4\n"}},
		{"log --types placed --json", []string{`"version":"1","position":"1"`, `"stream":"order-8"`}},
		{"log --types placed --explain", []string{"order-7@1", "plan: scan; 0 of 0 runs read, 2 pages of the tail; 4 events decoded, 2 found\ncost: ", " RRU, 0 WRU, 0 S3 gets, 0 S3 puts; $", "us-east-1"}},
		{"trace r-1", []string{"request r-1: 2 events, 0 calls"}},
		{"verify", []string{"4 events in 2 streams checked: all is well\n"}},
		{"reindex", []string{"0 commits numbered that the log did not hold\n"}},
		{"reindex --json", []string{`{"commits":0}`}},
	} {
		s.run(t, store)
	}
	for _, r := range []*running{worker, follower} {
		if exit := r.interrupt(); exit != 0 {
			t.Errorf("exit %d: %s", exit, r)
		}
	}
	step{"append order-9 --type placed", []string{"version 1\n"}}.run(t, store)
	step{"verify", []string{"1 commit waits to be numbered"}}.run(t, store)
	step{"reindex", []string{"1 commit numbered"}}.run(t, store)
	step{"log --backward --limit 1", []string{"       5  ", "order-9@1"}}.run(t, store)
}

// With --json, events are all of stdout, and the explanation is all of stderr.
func TestExplainAsJSON(t *testing.T) {
	store := initialized(t)
	step{"append a --type T", nil}.run(t, store)
	step{"reindex", nil}.run(t, store)
	got := typed(t.Context(), "", "log", "--explain", "--json", "--store", store)
	var e explained
	if err := json.Unmarshal([]byte(got.errs), &e); err != nil || strings.Count(got.out, "\n") != 1 || e.Plan.Found != 1 || e.Cost.Requests < 1 || e.Cost.ReadUnits <= 0 || e.Dollars <= 0 || e.Prices == "" {
		t.Fatalf("%v: %+v", err, got)
	}
}

// streamless switches the stream of the store's events table off.
func streamless(t *testing.T, store string) {
	t.Helper()
	_, rest, _ := strings.Cut(store, "&endpoint=")
	endpoint, _, _ := strings.Cut(rest, "&")
	client := dynamodb.New(dynamodb.Options{
		Region: "eu-central-1", Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""), BaseEndpoint: aws.String(endpoint),
	})
	_, err := client.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{
		TableName: aws.String("orders-events"), StreamSpecification: &types.StreamSpecification{StreamEnabled: aws.Bool(false)},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestServingEndsWithItsWorker(t *testing.T) {
	store := initialized(t)
	streamless(t, store)
	for _, args := range [][]string{{"sequence"}, {"serve", "--sequence", "--listen", "127.0.0.1:0"}} {
		got := typed(t.Context(), "", append(args, "--store", store)...)
		if got.exit != 5 || !strings.Contains(got.errs, "has no stream") || strings.Contains(got.errs, "can't listen") {
			t.Errorf("%q: %+v", args, got)
		}
	}
}
