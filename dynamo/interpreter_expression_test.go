package dynamo

import (
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

var (
	notExistsText = regexp.MustCompile(`^\s*attribute_not_exists\s*\(\s*([#\w]+)\s*\)\s*$`)
	betweenText   = regexp.MustCompile(`^\s*(#\w+)\s*=\s*(:\w+)\s+AND\s+(#\w+)\s+BETWEEN\s+(:\w+)\s+AND\s+(:\w+)\s*$`)
)

// interpNames are ExpressionAttributeNames; those that no expression uses are an
// error, as is one that an expression uses and nobody gave.
type interpNames struct {
	given map[string]string
	used  map[string]bool
	err   error
}

func newNames(given map[string]string) *interpNames {
	return &interpNames{given: given, used: map[string]bool{}}
}

func (n *interpNames) resolve(name string) string {
	if !strings.HasPrefix(name, "#") {
		return name
	}
	n.used[name] = true
	attribute, ok := n.given[name]
	if !ok {
		n.err = invalidCall("Invalid expression: An expression attribute name used in the document path is not defined; attribute name: %s", name)
	}
	return attribute
}

func (n *interpNames) check() error {
	if n.err == nil && len(n.used) != len(n.given) {
		n.err = invalidCall("Value provided in ExpressionAttributeNames unused in expressions")
	}
	return n.err
}

// putCondition says whether a put is to fail when there is an item already.
func putCondition(t *interpTable, in *dynamodb.PutItemInput) (absent bool, err error) {
	names := newNames(in.ExpressionAttributeNames)
	if in.ConditionExpression != nil {
		m := notExistsText.FindStringSubmatch(*in.ConditionExpression)
		if m == nil {
			return false, invalidCall("the interpreter does not play the condition %q", *in.ConditionExpression)
		}
		if a := names.resolve(m[1]); a != t.pk && a != t.sk {
			return false, invalidCall("the interpreter plays attribute_not_exists of a key only, and %q is none", a)
		}
		absent = true
	}
	if len(in.ExpressionAttributeValues) > 0 {
		return false, invalidCall("Value provided in ExpressionAttributeValues unused in expressions")
	}
	return absent, names.check()
}

// interpRange is what a key condition selects.
type interpRange struct {
	partition string
	from, to  int64
}

func keyCondition(t *interpTable, in *dynamodb.QueryInput, names *interpNames) (interpRange, error) {
	m := betweenText.FindStringSubmatch(aws.ToString(in.KeyConditionExpression))
	if m == nil {
		return interpRange{}, invalidCall("the interpreter does not play the key condition %q", aws.ToString(in.KeyConditionExpression))
	}
	if names.resolve(m[1]) != t.pk || names.resolve(m[3]) != t.sk {
		return interpRange{}, invalidCall("Query condition missed key schema element")
	}
	for _, v := range []string{m[2], m[4], m[5]} {
		if in.ExpressionAttributeValues[v] == nil {
			return interpRange{}, invalidCall("Invalid KeyConditionExpression: An expression attribute value used in expression is not defined; attribute value: %s", v)
		}
	}
	for v := range in.ExpressionAttributeValues {
		if !slices.Contains(m, v) {
			return interpRange{}, invalidCall("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}", v)
		}
	}
	key, err := t.keyIn(interpItem{t.pk: in.ExpressionAttributeValues[m[2]], t.sk: in.ExpressionAttributeValues[m[4]]})
	if err != nil {
		return interpRange{}, err
	}
	to, err := sortKeyOf(in.ExpressionAttributeValues[m[5]])
	if err != nil {
		return interpRange{}, err
	}
	if key.sort > to {
		return interpRange{}, invalidCall("The BETWEEN operator requires upper bound to be greater than or equal to lower bound")
	}
	return interpRange{key.partition, key.sort, to}, nil
}

// projectionOf says which attributes a reader gets; nil is all of them.
func projectionOf(expression *string, names *interpNames) []string {
	if expression == nil {
		return nil
	}
	var attributes []string
	for name := range strings.SplitSeq(*expression, ",") {
		attributes = append(attributes, names.resolve(strings.TrimSpace(name)))
	}
	return attributes
}

// checkOut copies what a reader gets of an item.
func checkOut(item interpItem, attributes []string) interpItem {
	if attributes == nil {
		return cloneItem(item)
	}
	out := interpItem{}
	for _, name := range attributes {
		if v := item[name]; v != nil {
			out[name] = cloneValue(v)
		}
	}
	return out
}

// readShape resolves the names of a read that has no other expression.
func readShape(expression *string, given map[string]string) ([]string, error) {
	names := newNames(given)
	attributes := projectionOf(expression, names)
	return attributes, names.check()
}

func onlyTotal(c types.ReturnConsumedCapacity) error {
	return unplayed(c != "" && c != types.ReturnConsumedCapacityNone && c != types.ReturnConsumedCapacityTotal, "ReturnConsumedCapacity "+string(c))
}
