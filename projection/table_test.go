package projection

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/dynamo"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/dynamoview"
)

// newTable is an empty table of views.
func newTable(t *testing.T) view.Store {
	t.Helper()
	address := dynamo.Address{Name: "test", Region: "us-east-1", Endpoint: awstest.DynamoDB(t)}
	if err := dynamo.Init(t.Context(), address, nil, func(dynamo.Part) {}); err != nil {
		t.Fatal(err)
	}
	cfg, err := dynamo.Configuration(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	db := dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.BaseEndpoint = aws.String(address.Endpoint) })
	views, err := dynamoview.Open(t.Context(), db, address.Name+dynamoview.Suffix)
	if err != nil {
		t.Fatal(err)
	}
	closing(t, views)
	return views
}

// On DynamoDB a change is one transaction of few documents.
func TestChaosOnDynamoDB(t *testing.T) {
	seed := newSeed(t)
	c := newChaos(t, rand.New(rand.NewPCG(seed, 1)))
	c.views = newTable(t)
	c.faults = 0.02
	c.crash = func(consumer.Step) bool { return c.rng.Float64() < 0.02 }
	c.play(3, 200)
	c.compare()
}

// A batch that touches more documents than a transaction takes is folded in parts.
func TestManyDocumentsOnDynamoDB(t *testing.T) {
	store, views := newStore(t), newTable(t)
	const n = 350
	for i := range n {
		move(t, store, accountName(i), 1)
	}
	move(t, store, accountName(0), 0) // parked, so that the next ones wait
	for range 5 {
		move(t, store, accountName(0), 1)
	}
	for i := range n {
		move(t, store, accountName(i), 2)
	}
	s, _ := open(t, store, views, quick(), accounts("1", 1))
	caughtUp(t, s, "accounts", 1, 2*n+6)
	for i := 1; i < n; i++ {
		if got := get(t, s, "accounts", accountName(i), nil); got != `{"balance":3,"versions":[1,2]}` {
			t.Fatalf("%s is %s", accountName(i), got)
		}
	}
	if got := get(t, s, "accounts", accountName(0), nil); got != `{"balance":1,"versions":[1]}` {
		t.Errorf("the document of the stream with a parked event is %s", got)
	}
	info, err := s.Show(t.Context(), "accounts")
	if err != nil || info.Generations[0].Status.Parked != 7 {
		t.Errorf("%+v, %v", info, err)
	}
}

func accountName(i int) string { return fmt.Sprintf("account-%d", i) }
