package dynamo

import (
	"math"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/eb901187/annals"
)

// item is a row of a table by its attributes' names. The names are short: they
// are a part of every item's size, and so of its price.
type item map[string]types.AttributeValue

func (i item) text(name string) string {
	if s, ok := i[name].(*types.AttributeValueMemberS); ok {
		return s.Value
	}
	return ""
}

// number is 0 where there is none.
func (i item) number(name string) int64 {
	if n, ok := i[name].(*types.AttributeValueMemberN); ok {
		if v, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
			return v
		}
	}
	return 0
}

func (i item) bytes(name string) []byte {
	if b, ok := i[name].(*types.AttributeValueMemberB); ok {
		return b.Value
	}
	return nil
}

// hash reads a hash, which stays zero where there is none; false if what is there
// is none.
func (i item) hash(name string, h *annals.Hash) bool {
	return i[name] == nil || copy(h[:], i.bytes(name)) == len(h) && len(i.bytes(name)) == len(h)
}

func textValue(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func numberValue(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func bytesValue(b []byte) types.AttributeValue { return &types.AttributeValueMemberB{Value: b} }

const (
	writeUnit = 1 << 10 // bytes
	// maxItem is DynamoDB's limit of an item, less some room for what its size
	// rules count differently.
	maxItem = 400<<10 - 512
)

// size is the item's size by DynamoDB's rules: names and values, a number at a
// byte for two digits and one more.
func (i item) size() int {
	n := 0
	for name, value := range i {
		n += len(name)
		switch v := value.(type) {
		case *types.AttributeValueMemberS:
			n += len(v.Value)
		case *types.AttributeValueMemberB:
			n += len(v.Value)
		case *types.AttributeValueMemberN:
			n += 1 + (len(v.Value)+1)/2
		}
	}
	return n
}

// writeUnits is what writing the item costs.
func (i item) writeUnits() int { return int(math.Ceil(float64(i.size()) / writeUnit)) }
