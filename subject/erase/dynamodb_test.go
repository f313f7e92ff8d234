package erase_test

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/awstest/local"
	"github.com/eb901187/annals/dynamo"
	"github.com/eb901187/annals/subject"
	"github.com/eb901187/annals/subject/keys"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/dynamoview"
)

// inTables is a place in DynamoDB, with a key of KMS.
func inTables(t *testing.T) (*place, *dynamodb.Client, *dynamo.Driver) {
	t.Helper()
	config := aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("id", "secret", "")}
	p := &place{keys: keys.Address{Table: "keys", Endpoint: awstest.DynamoDB(t), KMSEndpoint: local.KMS(t)}}
	p.keysOpts = keys.Options{Config: &config, Keyring: &subject.Options{Wait: quickly}}
	master, err := kms.NewFromConfig(config, func(o *kms.Options) { o.BaseEndpoint = &p.keys.KMSEndpoint }).CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	p.keys.Key = *master.KeyMetadata.KeyId
	if err := keys.Create(t.Context(), p.keys, &p.keysOpts); err != nil {
		t.Fatal(err)
	}
	address := dynamo.Address{Name: "test", Region: "us-east-1", Endpoint: p.keys.Endpoint}
	if err := dynamo.Init(t.Context(), address, nil, func(dynamo.Part) {}); err != nil {
		t.Fatal(err)
	}
	open := func(t *testing.T) *dynamo.Driver {
		driver, err := dynamo.OpenDriver(t.Context(), address, &dynamo.Options{Poll: 2 * time.Millisecond, Config: &config})
		if err != nil {
			t.Fatal(err)
		}
		return driver
	}
	sequencer := open(t)
	ctx, stop := context.WithCancel(context.Background())
	var worker sync.WaitGroup
	worker.Go(func() {
		if err := dynamo.NewWorker(sequencer).Run(ctx); err != nil {
			t.Errorf("the worker ended: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		worker.Wait()
		if err := sequencer.Close(); err != nil {
			t.Error(err)
		}
	})
	p.openStore = func(t *testing.T, k *subject.Keyring) *annals.Store {
		return annals.New(open(t), &annals.Options{Sealer: k})
	}
	db := dynamodb.NewFromConfig(config, func(o *dynamodb.Options) { o.BaseEndpoint = &p.keys.Endpoint })
	p.openViews = func(t *testing.T) view.Store {
		s, err := dynamoview.Open(t.Context(), db, address.Name+dynamoview.Suffix)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	return p, db, sequencer
}

// inItems names the tables of which an item holds text.
func inItems(t *testing.T, db *dynamodb.Client, text string) (tables []string) {
	t.Helper()
	all, err := db.ListTables(t.Context(), &dynamodb.ListTablesInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all.TableNames {
		for pages := dynamodb.NewScanPaginator(db, &dynamodb.ScanInput{TableName: &name}); pages.HasMorePages(); {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, item := range page.Items {
				if holds(t, item, text) {
					tables = append(tables, name)
				}
			}
		}
	}
	return tables
}

func holds(t *testing.T, item any, text string) bool {
	t.Helper()
	// Bytes come as base64, and what lies in them compressed shows in the log and the
	// streams, which are read through the store.
	content, err := json.Marshal(item)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(content, []byte(text))
}

func TestErasedDataIsInNoItem(t *testing.T) {
	p, db, driver := inTables(t)
	w := p.open(t)
	w.live(t)
	before := hashes(t, w.store)
	if len(inItems(t, db, secretOfP1)) == 0 {
		t.Fatal("the views don't hold the secret: this test shows nothing")
	}
	w.end()
	w = p.open(t)
	receipt, err := w.erase(t, "p1", nil)
	if err != nil {
		t.Fatal(err)
	}
	wantReceipt(t, &receipt)
	if after := hashes(t, w.store); len(after) < len(before) {
		t.Fatalf("%d commits before, %d after", len(before), len(after))
	} else {
		for i := range before {
			if before[i] != after[i] {
				t.Fatalf("the hash of commit %d is another", i)
			}
		}
	}
	w.wantErased(t)
	if left := inItems(t, db, secretOfP1); len(left) > 0 {
		t.Fatalf("the secret is in %v", left)
	}
	if len(inItems(t, db, secretOfP2)) == 0 {
		t.Fatal("the other subject's data is gone from the views")
	}
	report, err := driver.Verify(t.Context(), nil)
	if err != nil || len(report.Problems) > 0 {
		t.Fatalf("verify: %+v, %v", report, err)
	}
}
