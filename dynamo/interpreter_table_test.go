package dynamo

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/cespare/xxhash/v2"
)

// interpTable holds items in the order in which a scan meets them: by the hash of
// the partition key, then by the keys.
type interpTable struct {
	name, pk, sk string
	partitions   []*interpPartition
	byName       map[string]*interpPartition
	count        int
	stream       *interpStream // nil if the table has none
}

type interpPartition struct {
	hash uint64
	name string
	rows []interpRow // by their sort key
}

type interpRow struct {
	sort int64
	item interpItem
	size int
}

type interpKey struct {
	partition string
	sort      int64
}

func comparePartitions(a, b *interpPartition) int {
	return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.name, b.name))
}

// from is the index of the first row whose sort key is not below the given one.
func (p *interpPartition) from(sort int64) (int, bool) {
	return slices.BinarySearchFunc(p.rows, sort, func(r interpRow, s int64) int { return cmp.Compare(r.sort, s) })
}

// get returns the stored row itself; only copies of it may leave.
func (t *interpTable) get(k interpKey) (interpRow, bool) {
	p := t.byName[k.partition]
	if p == nil {
		return interpRow{}, false
	}
	at, found := p.from(k.sort)
	if !found {
		return interpRow{}, false
	}
	return p.rows[at], true
}

func (t *interpTable) set(k interpKey, row interpRow) {
	p := t.byName[k.partition]
	if p == nil {
		p = &interpPartition{hash: xxhash.Sum64String(k.partition), name: k.partition}
		t.byName[k.partition] = p
		at, _ := slices.BinarySearchFunc(t.partitions, p, comparePartitions)
		t.partitions = slices.Insert(t.partitions, at, p)
	}
	if at, found := p.from(k.sort); found {
		p.rows[at] = row
	} else {
		p.rows = slices.Insert(p.rows, at, row)
		t.count++
	}
}

func (t *interpTable) remove(k interpKey) {
	p := t.byName[k.partition]
	if p == nil {
		return
	}
	at, found := p.from(k.sort)
	if !found {
		return
	}
	p.rows = slices.Delete(p.rows, at, at+1)
	t.count--
	if len(p.rows) == 0 {
		delete(t.byName, k.partition)
		at, _ := slices.BinarySearchFunc(t.partitions, p, comparePartitions)
		t.partitions = slices.Delete(t.partitions, at, at+1)
	}
}

// keyIn reads the key attributes of an item.
func (t *interpTable) keyIn(item interpItem) (interpKey, error) {
	s, ok := item[t.pk].(*types.AttributeValueMemberS)
	if !ok {
		return interpKey{}, invalidCall("One or more parameter values were invalid: the key %s is missing or is no string", t.pk)
	}
	if s.Value == "" {
		return interpKey{}, invalidCall("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: %s", t.pk)
	}
	sort, err := sortKeyOf(item[t.sk])
	return interpKey{s.Value, sort}, err
}

// key reads what has to be a key and nothing else.
func (t *interpTable) key(item interpItem) (interpKey, error) {
	if len(item) != 2 {
		return interpKey{}, invalidCall("The provided key element does not match the schema")
	}
	return t.keyIn(item)
}

func sortKeyOf(v types.AttributeValue) (int64, error) {
	n, ok := v.(*types.AttributeValueMemberN)
	if !ok {
		return 0, invalidCall("One or more parameter values were invalid: the sort key is missing or is no number")
	}
	d, err := parseDecimal(n.Value)
	if err != nil {
		return 0, err
	}
	// DynamoDB orders all decimals; these tables have integers.
	sort, err := strconv.ParseInt(d.String(), 10, 64)
	if err != nil {
		return 0, invalidCall("the interpreter does not play the sort key %q", n.Value)
	}
	return sort, nil
}

func (t *interpTable) keyItem(k interpKey) interpItem {
	return interpItem{
		t.pk: &types.AttributeValueMemberS{Value: k.partition},
		t.sk: &types.AttributeValueMemberN{Value: strconv.FormatInt(k.sort, 10)},
	}
}
