package dynamo

import (
	"context"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func (i *interpreter) PutItem(ctx context.Context, in *dynamodb.PutItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	return interpret(ctx, &i.interpHooks, &i.mu, "PutItem", in, i.putItem)
}

func (i *interpreter) GetItem(ctx context.Context, in *dynamodb.GetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	return interpret(ctx, &i.interpHooks, &i.mu, "GetItem", in, i.getItem)
}

func (i *interpreter) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	n := 0
	for _, keys := range in.RequestItems {
		n += len(keys.Keys)
	}
	todo := n - i.undone("BatchGetItem", n)
	return interpret(ctx, &i.interpHooks, &i.mu, "BatchGetItem", in, func(in *dynamodb.BatchGetItemInput) (*dynamodb.BatchGetItemOutput, error) {
		return i.batchGet(in, todo)
	})
}

func (i *interpreter) BatchWriteItem(ctx context.Context, in *dynamodb.BatchWriteItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error) {
	n := 0
	for _, requests := range in.RequestItems {
		n += len(requests)
	}
	todo := n - i.undone("BatchWriteItem", n)
	return interpret(ctx, &i.interpHooks, &i.mu, "BatchWriteItem", in, func(in *dynamodb.BatchWriteItemInput) (*dynamodb.BatchWriteItemOutput, error) {
		return i.batchWrite(in, todo)
	})
}

// rowOf checks an item that is to be written.
func (t *interpTable) rowOf(item interpItem) (interpKey, interpRow, error) {
	stored, size, err := checkIn(item)
	if err != nil {
		return interpKey{}, interpRow{}, err
	}
	key, err := t.keyIn(stored)
	if err != nil {
		return interpKey{}, interpRow{}, err
	}
	if size > interpMaxItem {
		return interpKey{}, interpRow{}, invalidCall("Item size has exceeded the maximum allowed size")
	}
	return key, interpRow{key.sort, stored, size}, nil
}

func (i *interpreter) putItem(in *dynamodb.PutItemInput) (*dynamodb.PutItemOutput, error) {
	t, err := i.table(in.TableName)
	if err != nil {
		return nil, err
	}
	if err := firstOf(
		unplayed(in.Expected != nil || in.ConditionalOperator != "", "Expected"),
		unplayed(in.ReturnValues != "" && in.ReturnValues != types.ReturnValueNone, "ReturnValues"),
		onlyTotal(in.ReturnConsumedCapacity),
	); err != nil {
		return nil, err
	}
	absent, err := putCondition(t, in)
	if err != nil {
		return nil, err
	}
	key, row, err := t.rowOf(in.Item)
	if err != nil {
		return nil, err
	}
	old, found := t.get(key)
	// A condition that fails is paid for like the write.
	units := putUnits(max(row.size, old.size))
	i.writes += units
	if found && absent {
		failed := &types.ConditionalCheckFailedException{Message: aws.String("The conditional request failed")}
		if in.ReturnValuesOnConditionCheckFailure == types.ReturnValuesOnConditionCheckFailureAllOld {
			failed.Item = cloneItem(old.item)
		}
		return nil, failed
	}
	t.set(key, row)
	i.record(t, key, old.item, row.item)
	return &dynamodb.PutItemOutput{ConsumedCapacity: capacityOf(in.ReturnConsumedCapacity, t.name, units)}, nil
}

func (i *interpreter) getItem(in *dynamodb.GetItemInput) (*dynamodb.GetItemOutput, error) {
	t, err := i.table(in.TableName)
	if err != nil {
		return nil, err
	}
	attributes, err := readShape(in.ProjectionExpression, in.ExpressionAttributeNames)
	if err := firstOf(err, unplayed(in.AttributesToGet != nil, "AttributesToGet"), onlyTotal(in.ReturnConsumedCapacity)); err != nil {
		return nil, err
	}
	key, err := t.key(in.Key)
	if err != nil {
		return nil, err
	}
	row, found := t.get(key)
	units := getUnits(row.size, aws.ToBool(in.ConsistentRead))
	i.reads += units
	out := &dynamodb.GetItemOutput{ConsumedCapacity: capacityOf(in.ReturnConsumedCapacity, t.name, units)}
	if found {
		out.Item = checkOut(row.item, attributes)
	}
	return out, nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// batchGet answers the first keys, so many of them as it is told to.
func (i *interpreter) batchGet(in *dynamodb.BatchGetItemInput, todo int) (*dynamodb.BatchGetItemOutput, error) {
	n := 0
	for name, keys := range in.RequestItems {
		if err := i.checkKeys(name, keys); err != nil {
			return nil, err
		}
		n += len(keys.Keys)
	}
	if n == 0 || n > 100 {
		return nil, invalidCall("Too many items requested for the BatchGetItem call, or none: %d", n)
	}
	out := &dynamodb.BatchGetItemOutput{Responses: map[string][]interpItem{}, UnprocessedKeys: map[string]types.KeysAndAttributes{}}
	for _, name := range slices.Sorted(maps.Keys(in.RequestItems)) {
		keys := in.RequestItems[name]
		now := min(todo, len(keys.Keys))
		todo -= now
		units := i.getKeys(out, i.tables[name], keys, now)
		i.reads += units
		if c := capacityOf(in.ReturnConsumedCapacity, name, units); c != nil {
			out.ConsumedCapacity = append(out.ConsumedCapacity, *c)
		}
	}
	return out, nil
}

func (i *interpreter) checkKeys(name string, keys types.KeysAndAttributes) error {
	t, err := i.table(&name)
	if err != nil {
		return err
	}
	if err := unplayed(keys.AttributesToGet != nil, "AttributesToGet"); err != nil {
		return err
	}
	if _, err := readShape(keys.ProjectionExpression, keys.ExpressionAttributeNames); err != nil {
		return err
	}
	seen := map[interpKey]bool{}
	for _, k := range keys.Keys {
		key, err := t.key(k)
		if err != nil {
			return err
		}
		if seen[key] {
			return invalidCall("Provided list of item keys contains duplicates")
		}
		seen[key] = true
	}
	return nil
}

// getKeys answers the first keys of a table that checkKeys found good.
func (i *interpreter) getKeys(out *dynamodb.BatchGetItemOutput, t *interpTable, keys types.KeysAndAttributes, now int) float64 {
	attributes, _ := readShape(keys.ProjectionExpression, keys.ExpressionAttributeNames)
	units := 0.0
	out.Responses[t.name] = []interpItem{}
	for _, k := range keys.Keys[:now] {
		key, _ := t.key(k)
		row, found := t.get(key)
		units += getUnits(row.size, aws.ToBool(keys.ConsistentRead))
		if found {
			out.Responses[t.name] = append(out.Responses[t.name], checkOut(row.item, attributes))
		}
	}
	if left := keys.Keys[now:]; len(left) > 0 {
		keys.Keys = nil
		for _, k := range left {
			keys.Keys = append(keys.Keys, cloneItem(k))
		}
		out.UnprocessedKeys[t.name] = keys
	}
	return units
}

// interpWrite is a checked request of a batch; a row without an item deletes.
type interpWrite struct {
	key interpKey
	row interpRow
}

func (t *interpTable) writeOf(r types.WriteRequest) (w interpWrite, err error) {
	switch {
	case (r.PutRequest == nil) == (r.DeleteRequest == nil):
		err = invalidCall("Supplied AttributeValue has more than one or no request set, must contain exactly one")
	case r.PutRequest != nil:
		w.key, w.row, err = t.rowOf(r.PutRequest.Item)
	default:
		w.key, err = t.key(r.DeleteRequest.Key)
	}
	return w, err
}

func (i *interpreter) checkWrites(in *dynamodb.BatchWriteItemInput) (map[string][]interpWrite, error) {
	n, writes := 0, map[string][]interpWrite{}
	for name, requests := range in.RequestItems {
		t, err := i.table(&name)
		if err != nil {
			return nil, err
		}
		seen := map[interpKey]bool{}
		for _, r := range requests {
			w, err := t.writeOf(r)
			if err != nil {
				return nil, err
			}
			if seen[w.key] {
				return nil, invalidCall("Provided list of item keys contains duplicates")
			}
			seen[w.key] = true
			writes[name] = append(writes[name], w)
		}
		n += len(requests)
	}
	if n == 0 || n > 25 {
		return nil, invalidCall("Too many items requested for the BatchWriteItem call, or none: %d", n)
	}
	return writes, nil
}

// batchWrite does the first requests, so many of them as it is told to.
func (i *interpreter) batchWrite(in *dynamodb.BatchWriteItemInput, todo int) (*dynamodb.BatchWriteItemOutput, error) {
	writes, err := i.checkWrites(in)
	if err != nil {
		return nil, err
	}
	out := &dynamodb.BatchWriteItemOutput{UnprocessedItems: map[string][]types.WriteRequest{}}
	for _, name := range slices.Sorted(maps.Keys(writes)) {
		t, units := i.tables[name], 0.0
		now := min(todo, len(writes[name]))
		todo -= now
		for _, w := range writes[name][:now] {
			units += i.write(t, w)
		}
		i.writes += units
		if left := in.RequestItems[name][now:]; len(left) > 0 {
			out.UnprocessedItems[name] = slices.Clone(left)
		}
		if c := capacityOf(in.ReturnConsumedCapacity, name, units); c != nil {
			out.ConsumedCapacity = append(out.ConsumedCapacity, *c)
		}
	}
	return out, nil
}

func (i *interpreter) write(t *interpTable, w interpWrite) float64 {
	old, found := t.get(w.key)
	switch {
	case w.row.item != nil:
		t.set(w.key, w.row)
		i.record(t, w.key, old.item, w.row.item)
	case found:
		t.remove(w.key)
		i.record(t, w.key, old.item, nil)
	}
	return putUnits(max(old.size, w.row.size))
}
