package dynamo

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/storetest"
)

const testBucket = "annals-test"

// newAddress is a store of its own on fresh stand-ins.
func newAddress(t testing.TB) Address {
	t.Helper()
	return Address{
		Name: "test", Region: "us-east-1", Bucket: testBucket,
		Endpoint: awstest.DynamoDB(t), S3Endpoint: awstest.S3(t, testBucket),
	}
}

func mustInit(t testing.TB, address Address) {
	t.Helper()
	if err := Init(t.Context(), address, nil, func(Part) {}); err != nil {
		t.Fatal(err)
	}
}

func mustOpen(t testing.TB, address Address, opts *Options) *Driver {
	t.Helper()
	d, err := OpenDriver(t.Context(), address, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// sequencing keeps a worker running until the test ends.
func sequencing(t testing.TB, d *Driver) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := NewWorker(d).Run(ctx); err != nil {
			t.Errorf("the worker ended: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); done.Wait() })
}

// opener opens stores for storetest: those of one directory are the same.
func opener(opts func() *Options) storetest.Open {
	addresses := map[string]Address{}
	return func(t *testing.T, dir string) annals.Driver {
		address, there := addresses[dir]
		if !there {
			address = newAddress(t)
			addresses[dir] = address
			mustInit(t, address)
			sequencing(t, mustOpen(t, address, opts()))
		}
		d, err := OpenDriver(t.Context(), address, opts())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
}

// smallSizes make a few events fill every kind of part.
var smallSizes = sizes{runPages: 3, runEvents: 40, runBytes: 1 << 20, pageEvents: 7, pageBytes: 1 << 20, commitUnits: 1, pageUnits: 1}

func TestStoreContractAcrossSealedRuns(t *testing.T) {
	storetest.Run(t, opener(func() *Options { return &Options{Poll: 2 * time.Millisecond, sizes: &smallSizes} }))
}

func TestStoreContract(t *testing.T) {
	storetest.Run(t, opener(func() *Options { return &Options{Poll: 2 * time.Millisecond} }))
}
