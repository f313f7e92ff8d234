package dynamoview

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/eb901187/annals/view"
)

const (
	// maxBatch is how many items one BatchWriteItem takes.
	maxBatch = 25
	// dropPage is how many keys are held while they are deleted.
	dropPage = 1000
)

// Drop implements view.Store. Each document costs a write unit for each KB.
func (s *Store) Drop(ctx context.Context, space string) error {
	if err := view.CheckSpace(space); err != nil {
		return err
	}
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	in := s.query(space, view.Range{Limit: dropPage})
	in.ProjectionExpression = aws.String("#s, #k")
	in.ExpressionAttributeNames["#k"] = attrKey
	for {
		out, err := s.db.Query(ctx, in)
		if err != nil {
			return s.ended(s.failed(ctx, "Query", err))
		}
		for part := range slices.Chunk(out.Items, maxBatch) {
			if err := s.deleteAll(ctx, part); err != nil {
				return s.ended(err)
			}
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 {
			return nil
		}
	}
}

// deleteAll sends again what a throttled table left undone.
func (s *Store) deleteAll(ctx context.Context, names []map[string]types.AttributeValue) error {
	requests := make([]types.WriteRequest, len(names))
	for i := range names {
		requests[i].DeleteRequest = &types.DeleteRequest{Key: names[i]}
	}
	for try := 0; len(requests) > 0; try++ {
		if try > 0 {
			if err := s.backoff(ctx, try); err != nil {
				return err
			}
		}
		out, err := s.db.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{s.table: requests}})
		if err != nil {
			return s.failed(ctx, "BatchWriteItem", err)
		}
		requests = out.UnprocessedItems[s.table]
	}
	return nil
}
