package dynamoview

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/dynamo"
	"github.com/eb901187/annals/view"
)

func wantRefusal(t *testing.T, err error, code annals.Code, says ...string) {
	t.Helper()
	if annals.CodeOf(err) != code {
		t.Fatalf("got %v, want code %s", err, code)
	}
	for _, part := range says {
		if !strings.Contains(err.Error(), part) {
			t.Fatalf("got %v, want %q in it", err, part)
		}
	}
}

func TestOpenSaysHowAMissingTableIsMade(t *testing.T) {
	endpoint := awstest.DynamoDB(t)
	_, err := Open(t.Context(), newClient(endpoint), "orders"+Suffix)
	wantRefusal(t, err, annals.CodeNotFound, "no table orders-views in "+endpoint, "annals init --store 'dynamodb://orders?region=us-east-1&endpoint="+endpoint+"'")
	_, command, _ := strings.Cut(err.Error(), "--store '")
	command, _, _ = strings.Cut(command, "'")
	address, err := dynamo.ParseAddress(command)
	if err != nil {
		t.Fatal(err)
	}
	if err := dynamo.Init(t.Context(), address, nil, nil); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), newClient(endpoint), "orders"+Suffix)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefusesATableOfSomethingElse(t *testing.T) {
	endpoint, table := newTable(t)
	client := newClient(endpoint)
	_, err := Open(t.Context(), client, strings.TrimSuffix(table, Suffix)+"-log")
	wantRefusal(t, err, annals.CodeInvalid, "other keys", "annals init")

	other := item{attrSpace: text(markSpace), attrKey: text(markKey), attrLayout: &types.AttributeValueMemberN{Value: "2"}}
	if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: other}); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), client, table)
	wantRefusal(t, err, annals.CodeInvalid, "layout 2", "annals projection rebuild --all")
	err = dynamo.Init(t.Context(), dynamo.Address{Name: strings.TrimSuffix(table, Suffix), Region: "us-east-1", Endpoint: endpoint}, nil, nil)
	wantRefusal(t, errors.Unwrap(err), annals.CodeInvalid, "layout 2")

	if _, err := client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &table, Key: name(markSpace, markKey)}); err != nil {
		t.Fatal(err)
	}
}

func TestATableWithoutAMarkIsMarkedByTheFirstCommit(t *testing.T) {
	endpoint, table := newTable(t)
	client := newClient(endpoint)
	markItem := func() item {
		t.Helper()
		out, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &table, Key: name(markSpace, markKey)})
		if err != nil {
			t.Fatal(err)
		}
		return out.Item
	}
	unmark := func() {
		t.Helper()
		if _, err := client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &table, Key: name(markSpace, markKey)}); err != nil {
			t.Fatal(err)
		}
	}
	commit := func(s *Store) error {
		return s.Commit(t.Context(), view.Change{Put: []view.Put{{Space: "a", Document: view.Document{Key: "k", Data: []byte(`1`)}}}})
	}
	unmark()
	s, other := mustOpen(t, client, table), mustOpen(t, client, table)
	if _, err := s.Get(t.Context(), "a", "k"); err != nil || markItem() != nil {
		t.Fatalf("reading said %v and left the mark %v", err, markItem())
	}
	if err := commit(s); err != nil || number(markItem()[attrLayout]) != layout {
		t.Fatalf("the first commit said %v and left the mark %v", err, markItem())
	}
	if err := commit(other); err != nil {
		t.Fatalf("the second one's first commit said %v", err)
	}

	unmark()
	late := mustOpen(t, client, table)
	newer := item{attrSpace: text(markSpace), attrKey: text(markKey), attrLayout: &types.AttributeValueMemberN{Value: "2"}}
	if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: newer}); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, commit(late), annals.CodeInvalid, "layout 2")
}

func TestAnItemThatIsNoDocumentIsDamage(t *testing.T) {
	s := newStore(t)
	for key, i := range map[string]item{
		"no data":     {attrPosition: &types.AttributeValueMemberN{Value: "1"}},
		"no position": {attrData: text(`1`)},
		"other data":  {attrData: &types.AttributeValueMemberN{Value: "1"}, attrPosition: &types.AttributeValueMemberN{Value: "1"}},
	} {
		i[attrSpace], i[attrKey] = text("a"), text(key)
		if _, err := s.db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(s.table), Item: i}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), "a", key); !errors.Is(err, annals.ErrDamaged) {
			t.Errorf("%s: get says %v", key, err)
		}
		if _, err := s.Get(t.Context(), "a", key, "another"); !errors.Is(err, annals.ErrDamaged) {
			t.Errorf("%s: get of two says %v", key, err)
		}
		for _, err := range s.Scan(t.Context(), "a", view.Range{Prefix: key}) {
			if !errors.Is(err, annals.ErrDamaged) {
				t.Errorf("%s: scan says %v", key, err)
			}
		}
	}
}

func TestAnUnreachableTableIsUnavailable(t *testing.T) {
	_, err := Open(t.Context(), newClient("http://127.0.0.1:1"), "orders-views")
	wantRefusal(t, err, annals.CodeUnavailable, "orders-views", "check the network")
}
