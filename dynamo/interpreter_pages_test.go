package dynamo

import (
	"context"
	"iter"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/cespare/xxhash/v2"
)

func (i *interpreter) Query(ctx context.Context, in *dynamodb.QueryInput, _ ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	return interpret(ctx, &i.interpHooks, &i.mu, "Query", in, i.query)
}

func (i *interpreter) Scan(ctx context.Context, in *dynamodb.ScanInput, _ ...func(*dynamodb.Options)) (*dynamodb.ScanOutput, error) {
	return interpret(ctx, &i.interpHooks, &i.mu, "Scan", in, i.scan)
}

// interpPage is one answer of Query or Scan.
type interpPage struct {
	items []interpItem
	size  int        // of the whole items, whatever the reader gets of them
	last  *interpKey // the page ended here
}

// page reads rows until the limit or the size of a page is reached. The item that
// reaches the size is still of the page, which is why full pages of DynamoDB use
// a little more than 128 units. A page that was ended by its limit has a last key
// even when nothing comes after it.
func (i *interpreter) page(rows iter.Seq2[interpKey, interpRow], limit *int32, attributes []string) interpPage {
	var p interpPage
	for key, row := range rows {
		p.items = append(p.items, checkOut(row.item, attributes))
		p.size += row.size
		if p.size >= i.pageBytes || limit != nil && len(p.items) == int(*limit) {
			p.last = &key
			break
		}
	}
	return p
}

func checkLimit(limit *int32) error {
	if limit != nil && *limit < 1 {
		return invalidCall("Value at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1")
	}
	return nil
}

func (i *interpreter) query(in *dynamodb.QueryInput) (*dynamodb.QueryOutput, error) {
	t, err := i.table(in.TableName)
	if err != nil {
		return nil, err
	}
	if err := firstOf(
		unplayed(in.IndexName != nil, "IndexName"),
		unplayed(in.FilterExpression != nil || in.QueryFilter != nil || in.ConditionalOperator != "", "a filter"),
		unplayed(in.KeyConditions != nil || in.AttributesToGet != nil || in.Select != "", "KeyConditions, AttributesToGet or Select"),
		checkLimit(in.Limit), onlyTotal(in.ReturnConsumedCapacity),
	); err != nil {
		return nil, err
	}
	names := newNames(in.ExpressionAttributeNames)
	selected, err := keyCondition(t, in, names)
	attributes := projectionOf(in.ProjectionExpression, names)
	if err := firstOf(err, names.check()); err != nil {
		return nil, err
	}
	backward := in.ScanIndexForward != nil && !*in.ScanIndexForward
	if len(in.ExclusiveStartKey) > 0 {
		start, err := t.key(in.ExclusiveStartKey)
		if err != nil {
			return nil, err
		}
		if selected, err = selected.beyond(start, backward); err != nil {
			return nil, err
		}
	}
	p := i.page(t.rowsBetween(selected, backward), in.Limit, attributes)
	units := getUnits(p.size, aws.ToBool(in.ConsistentRead))
	i.reads += units
	out := &dynamodb.QueryOutput{
		Items: p.items, Count: int32(len(p.items)), ScannedCount: int32(len(p.items)),
		ConsumedCapacity: capacityOf(in.ReturnConsumedCapacity, t.name, units),
	}
	if p.last != nil {
		out.LastEvaluatedKey = t.keyItem(*p.last)
	}
	return out, nil
}

// beyond is what is left of a range after its rows up to the start.
func (r interpRange) beyond(start interpKey, backward bool) (interpRange, error) {
	if start.partition != r.partition || start.sort < r.from || start.sort > r.to {
		return r, invalidCall("The provided starting key is outside query boundaries based on provided conditions")
	}
	switch {
	case backward && start.sort == r.from, !backward && start.sort == r.to:
		return interpRange{}, nil // no partition's name is empty
	case backward:
		r.to = start.sort - 1
	default:
		r.from = start.sort + 1
	}
	return r, nil
}

func (t *interpTable) rowsBetween(selected interpRange, backward bool) iter.Seq2[interpKey, interpRow] {
	return func(yield func(interpKey, interpRow) bool) {
		p := t.byName[selected.partition]
		if p == nil {
			return
		}
		from, _ := p.from(selected.from)
		to, found := p.from(selected.to)
		if found {
			to++
		}
		rows := p.rows[from:to]
		for at := range rows {
			if backward {
				at = len(rows) - 1 - at
			}
			if !yield(interpKey{p.name, rows[at].sort}, rows[at]) {
				return
			}
		}
	}
}

func (i *interpreter) scan(in *dynamodb.ScanInput) (*dynamodb.ScanOutput, error) {
	t, err := i.table(in.TableName)
	if err != nil {
		return nil, err
	}
	attributes, err := readShape(in.ProjectionExpression, in.ExpressionAttributeNames)
	if err := firstOf(
		err, checkLimit(in.Limit), checkSegment(in), onlyTotal(in.ReturnConsumedCapacity),
		unplayed(in.IndexName != nil, "IndexName"),
		unplayed(in.FilterExpression != nil || in.ScanFilter != nil || in.ConditionalOperator != "", "a filter"),
		unplayed(in.ExpressionAttributeValues != nil || in.AttributesToGet != nil || in.Select != "", "values, AttributesToGet or Select"),
	); err != nil {
		return nil, err
	}
	var start *interpKey
	if len(in.ExclusiveStartKey) > 0 {
		key, err := t.key(in.ExclusiveStartKey)
		if err != nil {
			return nil, err
		}
		start = &key
	}
	rows := t.rowsOfSegment(uint64(aws.ToInt32(in.Segment)), uint64(max(1, aws.ToInt32(in.TotalSegments))), start)
	p := i.page(rows, in.Limit, attributes)
	units := getUnits(p.size, aws.ToBool(in.ConsistentRead))
	i.reads += units
	out := &dynamodb.ScanOutput{
		Items: p.items, Count: int32(len(p.items)), ScannedCount: int32(len(p.items)),
		ConsumedCapacity: capacityOf(in.ReturnConsumedCapacity, t.name, units),
	}
	if p.last != nil {
		out.LastEvaluatedKey = t.keyItem(*p.last)
	}
	return out, nil
}

func checkSegment(in *dynamodb.ScanInput) error {
	if (in.Segment == nil) != (in.TotalSegments == nil) {
		return invalidCall("The Segment and TotalSegments parameters are required together")
	}
	if in.Segment != nil && (*in.Segment < 0 || *in.TotalSegments < 1 || *in.Segment >= *in.TotalSegments) {
		return invalidCall("The Segment parameter is zero-based and must be less than parameter TotalSegments")
	}
	return nil
}

// rowsOfSegment goes on after a key, of which there may be no item any more.
func (t *interpTable) rowsOfSegment(segment, total uint64, start *interpKey) iter.Seq2[interpKey, interpRow] {
	return func(yield func(interpKey, interpRow) bool) {
		partitions := t.partitions
		if start != nil {
			first := &interpPartition{hash: xxhash.Sum64String(start.partition), name: start.partition}
			at, _ := slices.BinarySearchFunc(partitions, first, comparePartitions)
			partitions = partitions[at:]
		}
		for _, p := range partitions {
			if p.hash%total != segment {
				continue
			}
			rows := p.rows
			if start != nil && p.name == start.partition {
				at, found := p.from(start.sort)
				if found {
					at++
				}
				rows = rows[at:]
			}
			for _, row := range rows {
				if !yield(interpKey{p.name, row.sort}, row) {
					return
				}
			}
		}
	}
}
