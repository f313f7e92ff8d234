package dynamo

import (
	"fmt"
	"math"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

var writeCases = []contractCase{
	{"a put replaces the whole item and is paid for by the larger one", func(w *world) {
		w.create(contractTable, false)
		w.put(thing("a", 1, "body", "x"))
		w.put(thing("a", 1, "body", strings.Repeat("x", 3000), "other", 7))
		w.put(thing("a", 1, "body", "y"))
		w.get(thing("a", 1))
		w.put(thing("a", 1), func(in *dynamodb.PutItemInput) { in.ReturnConsumedCapacity = "" })
	}},
	{"a condition holds for a new item and fails for an old one", func(w *world) {
		w.create(contractTable, false)
		w.put(thing("a", 1, "body", "first"), ifAbsent)
		w.put(thing("a", 1, "body", "second"), ifAbsent)
		w.put(thing("a", 2, "body", "second"), ifAbsent)
		w.put(thing("a", 1, "body", "third"), ifAbsent, func(in *dynamodb.PutItemInput) { in.ReturnValuesOnConditionCheckFailure = "" })
		w.put(thing("a", 2), func(in *dynamodb.PutItemInput) { in.ConditionExpression = aws.String("attribute_not_exists(p)") })
		w.get(thing("a", 1))
	}},
	{"names that no expression uses and names that nobody gave are invalid", func(w *world) {
		w.create(contractTable, false)
		w.put(thing("a", 1), func(in *dynamodb.PutItemInput) { in.ExpressionAttributeNames = map[string]string{"#p": "p"} })
		w.put(thing("a", 1), ifAbsent, func(in *dynamodb.PutItemInput) { in.ExpressionAttributeNames["#x"] = "x" })
		w.put(thing("a", 1), ifAbsent, func(in *dynamodb.PutItemInput) { in.ExpressionAttributeNames = nil })
		w.query("a", 1, 2, func(in *dynamodb.QueryInput) { in.ExpressionAttributeNames["#x"] = "x" })
		w.query("a", 1, 2, func(in *dynamodb.QueryInput) { in.ExpressionAttributeValues[":x"] = valueOf(1) })
		w.query("a", 1, 2, func(in *dynamodb.QueryInput) { delete(in.ExpressionAttributeValues, ":b") })
		w.get(thing("a", 1))
	}},
	{"an item has at most 400 KB, names and key included", func(w *world) {
		w.create(contractTable, false)
		// The names p, s and body, "a" and the number 1 are 6 + 1 + 2 bytes.
		w.put(thing("a", 1, "body", make([]byte, 400<<10-9)))
		w.put(thing("a", 1, "body", make([]byte, 400<<10-8)))
		w.batchWrite(putting(thing("a", 2, "body", make([]byte, 400<<10)))...)
		w.get(thing("a", 1))
	}},
	{"every type comes back as it was put, and numbers in one form", func(w *world) {
		w.create(contractTable, false)
		w.put(thing("a", 1, "s0", "", "s1", "é\n", "b0", []byte{}, "b1", []byte{0, 255}, "t", true, "f", false, "n", nil))
		w.put(thing("a", 2, "l", []any{"x", 1, []any{}, interpItem{}}, "m", interpItem{"in": valueOf([]any{true, []byte("b")}), "k": valueOf("v")}))
		for k, n := range []string{"0", "-0", "007", "1.50", "-0.25", "100", "1e3", "12E-1", "+5", "12345678901234567890123456789012345678", "0.00001", "-1200"} {
			w.put(thing("n", k, "v", &types.AttributeValueMemberN{Value: n}))
			w.get(thing("n", k))
		}
		for _, n := range []string{"", "x", "1 ", "123456789012345678901234567890123456789", "1e126", "--1", "1.2.3"} {
			w.put(thing("n", 99, "v", &types.AttributeValueMemberN{Value: n}))
		}
		w.get(thing("a", 1))
		w.get(thing("a", 2))
	}},
	{"sizes of attributes show in the units", sizesShow},
	{"what has no key or a wrong one is invalid", func(w *world) {
		w.create(contractTable, false)
		w.put(thing("", 1))
		w.put(interpItem{"p": valueOf("a")})
		w.put(interpItem{"s": valueOf(1)})
		w.put(interpItem{"p": valueOf(1), "s": valueOf(1)})
		w.put(interpItem{"p": valueOf("a"), "s": valueOf("1")})
		for _, key := range []interpItem{thing("", 1), {"p": valueOf("a")}, thing("a", 1, "x", 1), {"p": valueOf("a"), "s": valueOf("1")}} {
			w.get(key)
			w.batchGet(true, key)
			w.batchWrite(deleting(key)...)
		}
	}},
	{"a missing table is not found", func(w *world) {
		w.put(thing("a", 1))
		w.get(thing("a", 1))
		w.query("a", 1, 2)
		w.scan()
		w.batchGet(true, thing("a", 1))
		w.batchWrite(putting(thing("a", 1))...)
		_, err := w.db.DescribeTable(w.t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String(contractTable)})
		w.say("%s", renderError(err))
	}},
	{"a table is described", func(w *world) {
		w.create(contractTable, false)
		w.create("streamed", true)
		for _, table := range []string{contractTable, "streamed"} {
			out, err := w.db.DescribeTable(w.t.Context(), &dynamodb.DescribeTableInput{TableName: &table})
			if err != nil {
				w.t.Fatal(err)
			}
			d := out.Table
			w.say("%s %s stream %v", aws.ToString(d.TableName), d.TableStatus, d.LatestStreamArn != nil)
			for _, k := range d.KeySchema {
				w.say("%s %s", aws.ToString(k.AttributeName), k.KeyType)
			}
			for _, a := range d.AttributeDefinitions {
				w.say("%s %s", aws.ToString(a.AttributeName), a.AttributeType)
			}
			if s := d.StreamSpecification; s != nil {
				w.say("%v %s", aws.ToBool(s.StreamEnabled), s.StreamViewType)
			}
		}
	}},
}

// sizesShow puts items around the border of a unit: a byte that is counted
// otherwise shows.
func sizesShow(w *world) {
	w.create(contractTable, false)
	attributes := map[string]any{
		"string": "x", "unicode": "éé", "binary": []byte("abc"), "true": true, "null": nil,
		"zero": 0, "digits": 12345, "even": 1234, "negative": -12345, "trailing": 1200, "large": math.MaxInt64,
		"fraction":  &types.AttributeValueMemberN{Value: "-0.00123"},
		"emptylist": []any{}, "list": []any{"a", 1, nil}, "nested": []any{[]any{"x"}, interpItem{"k": valueOf(1)}},
		"emptymap": interpItem{}, "map": interpItem{"one": valueOf("1"), "two": valueOf([]any{1, 2})},
	}
	for _, name := range sortedNames(attributes) {
		item := thing("a", 1, name, attributes[name])
		_, size, err := checkIn(item)
		if err != nil {
			w.t.Fatal(err)
		}
		for missing := range 3 { // one byte over the unit, exactly, one byte less
			filler := interpWriteUnit + 1 - missing - size - len("z")
			w.put(thing("a", 1, name, attributes[name], "z", strings.Repeat("z", filler)))
			w.batchWrite(deleting(thing("a", 1))...)
		}
	}
	// The same border, of reads.
	for extra := range 3 {
		w.put(thing("a", 2, "body", make([]byte, interpReadUnit-10+extra)))
		w.get(thing("a", 2))
		w.get(thing("a", 2), eventually)
		w.query("a", 2, 2)
		w.query("a", 2, 2, func(in *dynamodb.QueryInput) { in.ConsistentRead = nil })
		w.scan()
		w.batchGet(true, thing("a", 2), thing("a", 3))
		w.batchGet(false, thing("a", 2), thing("a", 3))
	}
}

func eventually(in *dynamodb.GetItemInput) { in.ConsistentRead = nil }

var readCases = []contractCase{
	{"a missing item costs as much as a small one", func(w *world) {
		w.create(contractTable, false)
		w.get(thing("a", 1))
		w.get(thing("a", 1), eventually)
		w.put(thing("a", 1, "body", "x"))
		w.get(thing("a", 1))
		w.get(thing("a", 1), eventually)
		w.get(thing("a", 1), func(in *dynamodb.GetItemInput) { in.ReturnConsumedCapacity = "" })
		w.get(thing("a", 1), func(in *dynamodb.GetItemInput) { in.ProjectionExpression = aws.String("body, nothing") })
	}},
	{"a query reads between bounds in both directions", func(w *world) {
		w.create(contractTable, false)
		for s := 1; s <= 9; s += 2 {
			w.put(thing("a", s, "body", fmt.Sprint(s)))
			w.put(thing("b", s))
		}
		for _, bounds := range [][2]int{{1, 9}, {2, 8}, {3, 3}, {4, 4}, {10, 20}, {-5, 0}, {math.MinInt64, math.MaxInt64}} {
			w.query("a", bounds[0], bounds[1])
			w.query("a", bounds[0], bounds[1], readBackward)
		}
		w.query("nobody", 1, 9)
		w.query("a", 5, 4)
		w.query("a", 1, 9, func(in *dynamodb.QueryInput) { in.ConsistentRead = nil })
	}},
	{"a limit pages a query", func(w *world) {
		w.create(contractTable, false)
		for s := range 7 {
			w.put(thing("a", s))
		}
		for _, n := range []int32{1, 2, 3, 6, 7, 8} {
			w.query("a", 0, 100, withLimit(n))
			w.query("a", 0, 100, withLimit(n), readBackward)
		}
		w.query("a", 0, 100, withLimit(0))
		w.query("a", 0, 3, withLimit(2), readBackward)
	}},
	{"a start key goes on where there is no item", func(w *world) {
		w.create(contractTable, false)
		for s := 1; s <= 9; s += 2 {
			w.put(thing("a", s))
		}
		from := func(p string, s int) func(*dynamodb.QueryInput) {
			return func(in *dynamodb.QueryInput) { in.ExclusiveStartKey = thing(p, s) }
		}
		w.query("a", 1, 9, from("a", 4))
		w.query("a", 1, 9, from("a", 4), readBackward)
		w.query("a", 1, 9, from("a", 9))
		w.query("a", 1, 9, from("a", 1), readBackward)
	}},
	{"sort keys are numbers", func(w *world) {
		w.create(contractTable, false)
		for _, s := range []int{math.MaxInt64, 10, 9, -1, -10, -9, 0, math.MinInt64, 1 << 53, 1<<53 + 1, 100} {
			w.put(thing("a", s))
		}
		w.query("a", math.MinInt64, math.MaxInt64)
		w.query("a", math.MinInt64, math.MaxInt64, readBackward, withLimit(4))
		w.query("a", -9, 9)
		w.query("a", 1<<53+1, math.MaxInt64)
	}},
	{"a query of more than 1 MB comes in pages", func(w *world) {
		w.create(contractTable, false)
		for s, n := range []int{300 << 10, 300 << 10, 300 << 10, 300 << 10, 10, 10, 399 << 10, 399 << 10, 250 << 10, 10} {
			w.put(thing("a", s, "body", make([]byte, n)))
		}
		w.query("a", 0, 2)
		w.query("a", 0, 7, withLimit(3))
		w.queryPaged("a", 0, 100)
		w.queryPaged("a", 0, 100, readBackward)
	}},
	{"scans meet every item once", scansMeetAll},
}

func scansMeetAll(w *world) {
	w.create(contractTable, false)
	w.say("%v", w.scan())
	for s := range 40 {
		w.put(thing(fmt.Sprint("p", s%11), s, "body", strings.Repeat("x", s*20), "extra", s))
	}
	w.say("%v", w.scan())
	w.say("%v", w.scan(func(in *dynamodb.ScanInput) { in.ConsistentRead = aws.Bool(true) }))
	for _, limit := range []int32{1, 7, 39, 40, 41} {
		w.say("%v", w.scan(func(in *dynamodb.ScanInput) { in.Limit = &limit }))
	}
	w.say("%v", w.scan(func(in *dynamodb.ScanInput) {
		in.ProjectionExpression, in.ExpressionAttributeNames = aws.String("#p, extra"), map[string]string{"#p": "p"}
	}))
	for _, total := range []int32{1, 2, 5} {
		var all []string
		for segment := range total {
			all = append(all, w.scan(func(in *dynamodb.ScanInput) {
				in.Segment, in.TotalSegments, in.Limit = aws.Int32(segment), aws.Int32(total), aws.Int32(3)
			})...)
		}
		w.say("%v", sortedTexts(all))
	}
	w.scan(func(in *dynamodb.ScanInput) { in.Segment = aws.Int32(0) })
	w.scan(func(in *dynamodb.ScanInput) { in.Segment, in.TotalSegments = aws.Int32(2), aws.Int32(2) })
}
