package dynamoview

import (
	"context"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/eb901187/annals/view"
)

// maxGet is how many items one BatchGetItem takes.
const maxGet = 100

// Get implements view.Store: one request for a single key, one for each 100
// others.
func (s *Store) Get(ctx context.Context, space string, keys ...string) (map[string]view.Document, error) {
	if err := view.CheckKeys(space, keys); err != nil {
		return nil, err
	}
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	documents := make(map[string]view.Document, len(keys))
	found := func(i item) error {
		d, err := s.document(space, i)
		documents[d.Key] = d
		return err
	}
	if keys = slices.Compact(slices.Sorted(slices.Values(keys))); len(keys) == 1 {
		err = s.getOne(ctx, space, keys[0], found)
	} else {
		for part := range slices.Chunk(keys, maxGet) {
			if err = s.getMany(ctx, space, part, found); err != nil {
				break
			}
		}
	}
	if err != nil {
		return nil, s.ended(err)
	}
	return documents, nil
}

func (s *Store) getOne(ctx context.Context, space, key string, found func(item) error) error {
	out, err := s.db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.table, Key: name(space, key), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return s.failed(ctx, "GetItem", err)
	}
	if out.Item == nil {
		return nil
	}
	return found(out.Item)
}

// getMany asks again for what a reply of 16 MB, or a throttled table, left out.
func (s *Store) getMany(ctx context.Context, space string, keys []string, found func(item) error) error {
	names := make([]map[string]types.AttributeValue, len(keys))
	for i, key := range keys {
		names[i] = name(space, key)
	}
	for try := 0; len(names) > 0; {
		out, err := s.db.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
			RequestItems: map[string]types.KeysAndAttributes{s.table: {Keys: names, ConsistentRead: aws.Bool(true)}},
		})
		if err != nil {
			return s.failed(ctx, "BatchGetItem", err)
		}
		for _, i := range out.Responses[s.table] {
			if err := found(i); err != nil {
				return err
			}
		}
		left := out.UnprocessedKeys[s.table].Keys
		if len(left) == len(names) {
			if err := s.backoff(ctx, try); err != nil {
				return err
			}
			try++
		}
		names = left
	}
	return nil
}

// Scan implements view.Store: one request for each page of 1 MB.
func (s *Store) Scan(ctx context.Context, space string, r view.Range) iter.Seq2[view.Document, error] {
	return func(yield func(view.Document, error) bool) {
		if err := r.Check(space); err != nil {
			yield(view.Document{}, err)
			return
		}
		left := r.Limit
		for items, err := range s.pages(ctx, space, r) {
			if err != nil {
				yield(view.Document{}, err)
				return
			}
			for _, i := range items {
				d, err := s.document(space, i)
				if !yield(d, err) || err != nil {
					return
				}
				if left--; left == 0 {
					return
				}
			}
		}
	}
}

// pages yields the items of a range by pages, to the last one.
func (s *Store) pages(ctx context.Context, space string, r view.Range) iter.Seq2[[]map[string]types.AttributeValue, error] {
	return func(yield func([]map[string]types.AttributeValue, error) bool) {
		in := s.query(space, r)
		if in == nil {
			return
		}
		for {
			out, err := s.page(ctx, in)
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(out.Items, nil) || len(out.LastEvaluatedKey) == 0 {
				return
			}
			in.ExclusiveStartKey = out.LastEvaluatedKey
		}
	}
}

func (s *Store) page(ctx context.Context, in *dynamodb.QueryInput) (*dynamodb.QueryOutput, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	out, err := s.db.Query(ctx, in)
	if err != nil {
		return nil, s.ended(s.failed(ctx, "Query", err))
	}
	return out, nil
}

// last is behind everything that can follow a prefix in a key.
var last = strings.Repeat("\U0010ffff", view.MaxKeyBytes/4)

// query asks for a range; nil where no key can be in it.
func (s *Store) query(space string, r view.Range) *dynamodb.QueryInput {
	in := &dynamodb.QueryInput{
		TableName: &s.table, ConsistentRead: aws.Bool(true), KeyConditionExpression: aws.String("#s = :s"),
		ExpressionAttributeNames: map[string]string{"#s": attrSpace}, ExpressionAttributeValues: item{":s": text(space)},
	}
	if r.Prefix != "" {
		// begins_with says the same, but stand-ins for DynamoDB do not agree on it.
		in.KeyConditionExpression = aws.String("#s = :s AND #k BETWEEN :a AND :b")
		in.ExpressionAttributeNames["#k"] = attrKey
		in.ExpressionAttributeValues[":a"], in.ExpressionAttributeValues[":b"] = text(r.Prefix), text(r.Prefix+last)
	}
	switch {
	case r.After == "" || r.After < r.Prefix:
	case strings.HasPrefix(r.After, r.Prefix):
		in.ExclusiveStartKey = name(space, r.After)
	default:
		return nil
	}
	if r.Limit > 0 {
		in.Limit = aws.Int32(int32(min(r.Limit, math.MaxInt32)))
	}
	return in
}
