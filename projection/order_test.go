package projection_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/dynamo"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/projection"
)

type user struct {
	Name  string `json:"name"`
	Claps int    `json:"claps"`
}

type clap struct {
	User string `json:"user"`
}

// users joins two kinds of streams in one document: users, and the articles whose
// readers clap. A clap for a user who is not there yet can't be folded.
func users() *projection.Projection {
	keys := func(e *annals.Event) []string {
		var c clap
		if e.Type == "user-created" || json.Unmarshal(e.Data, &c) != nil {
			return projection.ByStream(e)
		}
		return []string{c.User}
	}
	return projection.Documents("users", "1", annals.Query{}, keys, func(u *user, m *consumer.Message) error {
		if m.Type == "user-created" {
			u.Name = m.Stream
			return nil
		}
		if u.Name == "" {
			return consumer.Permanent(errors.New("a clap came before its user"))
		}
		u.Claps++
		return nil
	})
}

// race appends n users, and from another goroutine, as soon as each can be read,
// a clap that names it as its cause. Both go through their own handle of the store.
func race(t *testing.T, n int, creating, clapping *annals.Store) {
	var both sync.WaitGroup
	const nodes = 4
	for node := range nodes {
		created := make(chan string, 1)
		both.Go(func() {
			defer close(created)
			for i := node; i < n; i += nodes {
				name := fmt.Sprintf("user-%d", i)
				created <- name // before the user is there
				if _, err := creating.Append(t.Context(), name, annals.NoStream, annals.Event{Type: "user-created"}); err != nil {
					t.Error(err)
					return
				}
			}
		})
		both.Go(func() {
			for name := range created {
				if err := applaud(t.Context(), clapping, name); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	both.Wait()
}

// applaud appends a clap at the first moment at which its cause can be seen.
func applaud(ctx context.Context, store *annals.Store, name string) error {
	for {
		for e, err := range store.Stream(ctx, name, nil) {
			if err != nil {
				return err
			}
			_, err = store.Append(ctx, "article-"+name, annals.Any, annals.Event{
				Type: "user-clap", Causation: fmt.Sprintf("%s@%d", e.Stream, e.Version), Data: fmt.Appendf(nil, `{"user":%q}`, name),
			})
			return err
		}
	}
}

// joined checks that every clap was folded into its user.
func joined(t *testing.T, store *annals.Store, n int, during func()) {
	t.Helper()
	s := projection.Running(t, store, users())
	during()
	end, err := store.End(t.Context())
	if err != nil || end != int64(2*n) {
		t.Fatalf("the log ends at %d, %v", end, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.WaitFor(ctx, "users", end); err != nil {
		t.Fatal(err)
	}
	info, err := s.Show(t.Context(), "users")
	if err != nil || info.Generations[0].Status.Parked > 0 {
		t.Fatalf("effects came before their causes: %+v, %v", info, err)
	}
	for i := range n {
		name := fmt.Sprintf("user-%d", i)
		doc, _, err := s.Get(t.Context(), "users", name, nil)
		if want := fmt.Sprintf(`{"name":%q,"claps":1}`, name); err != nil || string(doc.Data) != want {
			t.Fatalf("%s %v, want %s", doc.Data, err, want)
		}
	}
}

const races = 3000

func TestNoEffectBeforeItsCauseEmbedded(t *testing.T) {
	store := projection.NewStore(t)
	joined(t, store, races, func() { race(t, races, store, store) })
}

func TestNoEffectBeforeItsCauseOverHTTP(t *testing.T) {
	server := httptest.NewServer(httpapi.New(projection.NewStore(t), &httpapi.Options{Logger: projection.Quiet()}))
	t.Cleanup(server.Close)
	node := func() *annals.Store {
		store, err := client.Open(server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		projection.Closing(t, store)
		return store
	}
	joined(t, node(), races, func() { race(t, races, node(), node()) })
}

// On DynamoDB the records of two items may reach the sequencer in any order. Here
// every clap reaches it before its user.
func TestNoEffectBeforeItsCauseDynamoDB(t *testing.T) {
	address := dynamo.Address{Name: "order", Region: "us-east-1", Endpoint: awstest.DynamoDB(t)}
	if err := dynamo.Init(t.Context(), address, nil, func(dynamo.Part) {}); err != nil {
		t.Fatal(err)
	}
	node := func() (*annals.Store, *dynamo.Driver) {
		driver, err := dynamo.OpenDriver(t.Context(), address, nil)
		if err != nil {
			t.Fatal(err)
		}
		store := annals.New(driver, nil)
		projection.Closing(t, store)
		return store, driver
	}
	creating, _ := node()
	clapping, _ := node()
	reading, driver := node()
	joined(t, reading, races, func() {
		race(t, races, creating, clapping)
		items := commits(t, address)
		slices.SortStableFunc(items, func(a, b map[string]types.AttributeValue) int {
			return strings.Compare(stream(a), stream(b)) // article-… before user-…
		})
		sequencer := dynamo.NewSequencer(driver)
		for chunk := range slices.Chunk(items, 50) {
			if err := sequencer.Sequence(t.Context(), chunk); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func stream(item map[string]types.AttributeValue) string {
	return item["stream"].(*types.AttributeValueMemberS).Value
}

// commits reads the items of the events table.
func commits(t *testing.T, address dynamo.Address) (items []map[string]types.AttributeValue) {
	cfg, err := dynamo.Configuration(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	db := dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.BaseEndpoint = aws.String(address.Endpoint) })
	pages := dynamodb.NewScanPaginator(db, &dynamodb.ScanInput{TableName: aws.String(address.Name + "-events")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, page.Items...)
	}
	return items
}
