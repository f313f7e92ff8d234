package dynamo

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/cespare/xxhash/v2"
)

const contractTable = "events"

// thing is an item of the contract's tables; attributes are pairs of a name and a
// string, []byte, int, bool, nil or types.AttributeValue.
func thing(p string, s int, attributes ...any) interpItem {
	out := interpItem{"p": valueOf(p), "s": valueOf(s)}
	for k := 0; k < len(attributes); k += 2 {
		out[attributes[k].(string)] = valueOf(attributes[k+1])
	}
	return out
}

func valueOf(v any) types.AttributeValue {
	switch v := v.(type) {
	case string:
		return &types.AttributeValueMemberS{Value: v}
	case []byte:
		return &types.AttributeValueMemberB{Value: v}
	case int:
		return &types.AttributeValueMemberN{Value: strconv.Itoa(v)}
	case bool:
		return &types.AttributeValueMemberBOOL{Value: v}
	case nil:
		return &types.AttributeValueMemberNULL{Value: true}
	case []any:
		list := make([]types.AttributeValue, len(v))
		for k := range v {
			list[k] = valueOf(v[k])
		}
		return &types.AttributeValueMemberL{Value: list}
	case interpItem:
		return &types.AttributeValueMemberM{Value: v}
	}
	return v.(types.AttributeValue)
}

func render(item interpItem) string {
	if item == nil {
		return "none"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(item)) {
		parts = append(parts, name+":"+renderValue(item[name]))
	}
	return "{" + strings.Join(parts, " ") + "}"
}

func renderValue(v types.AttributeValue) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return "S" + shortened(v.Value)
	case *types.AttributeValueMemberB:
		return "B" + shortened(string(v.Value))
	case *types.AttributeValueMemberN:
		return "N" + v.Value
	case *types.AttributeValueMemberBOOL:
		return strconv.FormatBool(v.Value)
	case *types.AttributeValueMemberNULL:
		return "null"
	case *types.AttributeValueMemberM:
		return render(v.Value)
	case *types.AttributeValueMemberL:
		parts := make([]string, len(v.Value))
		for k := range v.Value {
			parts[k] = renderValue(v.Value[k])
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	return fmt.Sprintf("%T", v)
}

func shortened(s string) string {
	if len(s) > 60 {
		return fmt.Sprintf("(%d bytes, %x)", len(s), xxhash.Sum64String(s))
	}
	return strconv.Quote(s)
}

func renderUnits(c *types.ConsumedCapacity) string {
	if c == nil {
		return "units unsaid"
	}
	return fmt.Sprintf("%v units of %s", aws.ToFloat64(c.CapacityUnits), aws.ToString(c.TableName))
}

// Every call below says what it got, and how much it used.

func (w *world) put(item interpItem, change ...func(*dynamodb.PutItemInput)) {
	w.t.Helper()
	in := &dynamodb.PutItemInput{TableName: aws.String(contractTable), Item: item, ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal}
	for _, f := range change {
		f(in)
	}
	out, err := w.db.PutItem(w.t.Context(), in)
	if err != nil {
		w.say("put %s: %s", render(item), renderError(err))
		return
	}
	w.say("put %s: %s", render(item), renderUnits(out.ConsumedCapacity))
}

// ifAbsent is the condition of the store's puts.
func ifAbsent(in *dynamodb.PutItemInput) {
	in.ConditionExpression = aws.String("attribute_not_exists(#p)")
	in.ExpressionAttributeNames = map[string]string{"#p": "p"}
	in.ReturnValuesOnConditionCheckFailure = types.ReturnValuesOnConditionCheckFailureAllOld
}

func (w *world) get(key interpItem, change ...func(*dynamodb.GetItemInput)) {
	w.t.Helper()
	in := &dynamodb.GetItemInput{
		TableName: aws.String(contractTable), Key: key,
		ConsistentRead: aws.Bool(true), ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	}
	for _, f := range change {
		f(in)
	}
	out, err := w.db.GetItem(w.t.Context(), in)
	if err != nil {
		w.say("get %s: %s", render(key), renderError(err))
		return
	}
	w.say("get %s: %s, %s", render(key), render(out.Item), renderUnits(out.ConsumedCapacity))
}

func queryOf(p string, from, to int, change []func(*dynamodb.QueryInput)) *dynamodb.QueryInput {
	in := &dynamodb.QueryInput{
		TableName:                 aws.String(contractTable),
		KeyConditionExpression:    aws.String("#p = :p AND #s BETWEEN :a AND :b"),
		ExpressionAttributeNames:  map[string]string{"#p": "p", "#s": "s"},
		ExpressionAttributeValues: interpItem{":p": valueOf(p), ":a": valueOf(from), ":b": valueOf(to)},
		ConsistentRead:            aws.Bool(true), ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	}
	for _, f := range change {
		f(in)
	}
	return in
}

// query reads all pages between two sort keys.
func (w *world) query(p string, from, to int, change ...func(*dynamodb.QueryInput)) {
	w.t.Helper()
	in := queryOf(p, from, to, change)
	for {
		out, err := w.db.Query(w.t.Context(), in)
		if err != nil {
			w.say("query %s %d to %d: %s", p, from, to, renderError(err))
			return
		}
		for _, item := range out.Items {
			w.say("query %s %d to %d: %s", p, from, to, render(item))
		}
		w.say("query %s %d to %d: %d of %d, last %s, %s", p, from, to, out.Count, out.ScannedCount, render(out.LastEvaluatedKey), renderUnits(out.ConsumedCapacity))
		if len(out.LastEvaluatedKey) == 0 {
			return
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

// queryPaged reads what does not fit a page, and does not say where pages end.
func (w *world) queryPaged(p string, from, to int, change ...func(*dynamodb.QueryInput)) {
	w.t.Helper()
	in := queryOf(p, from, to, change)
	for page := 0; ; page++ {
		out, err := w.db.Query(w.t.Context(), in)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, item := range out.Items {
			w.say("query %s %d to %d: %s", p, from, to, render(item))
		}
		if len(out.LastEvaluatedKey) == 0 {
			w.say("query %s %d to %d: more than one page: %v", p, from, to, page > 0)
			return
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

func readBackward(in *dynamodb.QueryInput) { in.ScanIndexForward = aws.Bool(false) }

func withLimit(n int32) func(*dynamodb.QueryInput) {
	return func(in *dynamodb.QueryInput) { in.Limit = aws.Int32(n) }
}

// scan reads all pages. Which items come first is nobody's promise, so it says
// them sorted, and the units only if one page held all.
func (w *world) scan(change ...func(*dynamodb.ScanInput)) []string {
	w.t.Helper()
	in := &dynamodb.ScanInput{TableName: aws.String(contractTable), ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal}
	for _, f := range change {
		f(in)
	}
	var items []string
	for page := 0; ; page++ {
		out, err := w.db.Scan(w.t.Context(), in)
		if err != nil {
			w.say("scan: %s", renderError(err))
			return nil
		}
		for _, item := range out.Items {
			items = append(items, render(item))
		}
		if len(out.LastEvaluatedKey) == 0 {
			if page == 0 && in.TotalSegments == nil {
				w.say("scan: %s", renderUnits(out.ConsumedCapacity))
			}
			slices.Sort(items)
			return items
		}
		if in.Limit != nil && len(out.Items) != int(*in.Limit) {
			w.say("scan: a page of %d, not %d", len(out.Items), *in.Limit)
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

func (w *world) batchGet(strong bool, keys ...interpItem) {
	w.t.Helper()
	out, err := w.db.BatchGetItem(w.t.Context(), &dynamodb.BatchGetItemInput{
		RequestItems:           map[string]types.KeysAndAttributes{contractTable: {Keys: keys, ConsistentRead: &strong}},
		ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	})
	if err != nil {
		w.say("batch get of %d: %s", len(keys), renderError(err))
		return
	}
	var items []string
	for _, item := range out.Responses[contractTable] {
		items = append(items, render(item))
	}
	slices.Sort(items)
	w.say("batch get of %d: %v, %d left, %s", len(keys), items, len(out.UnprocessedKeys), renderAllUnits(out.ConsumedCapacity))
}

func renderAllUnits(all []types.ConsumedCapacity) string {
	parts := make([]string, len(all))
	for k := range all {
		parts[k] = renderUnits(&all[k])
	}
	slices.Sort(parts)
	return strings.Join(parts, " and ")
}

func putting(items ...interpItem) []types.WriteRequest {
	out := make([]types.WriteRequest, len(items))
	for k, item := range items {
		out[k].PutRequest = &types.PutRequest{Item: item}
	}
	return out
}

func deleting(keys ...interpItem) []types.WriteRequest {
	out := make([]types.WriteRequest, len(keys))
	for k, key := range keys {
		out[k].DeleteRequest = &types.DeleteRequest{Key: key}
	}
	return out
}

func (w *world) batchWrite(requests ...types.WriteRequest) {
	w.t.Helper()
	out, err := w.db.BatchWriteItem(w.t.Context(), &dynamodb.BatchWriteItemInput{
		RequestItems:           map[string][]types.WriteRequest{contractTable: requests},
		ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	})
	if err != nil {
		w.say("batch write of %d: %s", len(requests), renderError(err))
		return
	}
	w.say("batch write of %d: %d left, %s", len(requests), len(out.UnprocessedItems), renderAllUnits(out.ConsumedCapacity))
}
