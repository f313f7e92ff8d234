package delivery_test

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/dynamo"
)

var tableSeeds = flag.Uint64("table-seeds", 2, "how many seeds to run over DynamoDB")

// onTables opens a store on tables of its own, with a worker that numbers its log.
func onTables(t *testing.T, name, endpoint string) annals.Driver {
	t.Helper()
	config := aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("id", "secret", "")}
	address := dynamo.Address{Name: name, Region: "us-east-1", Endpoint: endpoint}
	opts := &dynamo.Options{Poll: 2 * time.Millisecond, Config: &config}
	if err := dynamo.Init(t.Context(), address, opts, nil); err != nil {
		t.Fatal(err)
	}
	open := func() *dynamo.Driver {
		driver, err := dynamo.OpenDriver(t.Context(), address, opts)
		if err != nil {
			t.Fatal(err)
		}
		return driver
	}
	sequencer := open()
	ctx, stop := context.WithCancel(context.Background())
	var working sync.WaitGroup
	working.Go(func() {
		if err := dynamo.NewWorker(sequencer).Run(ctx); err != nil {
			t.Errorf("the worker ended: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		working.Wait()
		if err := sequencer.Close(); err != nil {
			t.Error(err)
		}
	})
	return open()
}

// The same holds where the store is DynamoDB, whose log is numbered behind the appends.
func TestSeedsOverDynamoDB(t *testing.T) {
	t.Parallel()
	endpoint := awstest.DynamoDB(t)
	for seed := *first; seed < *first+*tableSeeds; seed++ {
		r, wrongs := testedOn(t, onTables(t, fmt.Sprintf("seed-%d", seed), endpoint), seed, messages, nil)
		if len(wrongs) > 0 {
			t.Fatalf("-first %d -table-seeds 1: %s", seed, strings.Join(wrongs, "\n"))
		}
		t.Logf("seed %d: %d steps, %d instances ended, %d dead letters", seed, r.steps, r.kills, len(r.letters))
	}
}
