package dynamo

import (
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// The sizes and units below follow the developer guide's pages "DynamoDB item
// sizes and formats" and "DynamoDB read and write operations".
const (
	interpMaxItem   = 400 << 10
	interpWriteUnit = 1 << 10
	interpReadUnit  = 4 << 10
)

// interpDecimal is ±digits × 10^exponent; zero has no digits. Digits begin and end
// with another digit than 0.
type interpDecimal struct {
	negative bool
	digits   string
	exponent int
}

func parseDecimal(s string) (interpDecimal, error) {
	bad := invalidCall("The parameter cannot be converted to a numeric value: %s", s)
	rest, negative := strings.CutPrefix(s, "-")
	if !negative {
		rest = strings.TrimPrefix(rest, "+")
	}
	d := interpDecimal{negative: negative}
	if at := strings.IndexAny(rest, "eE"); at >= 0 {
		exponent, err := strconv.Atoi(rest[at+1:])
		if err != nil {
			return d, bad
		}
		rest, d.exponent = rest[:at], exponent
	}
	whole, fraction, _ := strings.Cut(rest, ".")
	all := whole + fraction
	if all == "" || strings.Trim(all, "0123456789") != "" {
		return d, bad
	}
	d.exponent -= len(fraction)
	d.digits = strings.TrimRight(all, "0")
	d.exponent += len(all) - len(d.digits)
	d.digits = strings.TrimLeft(d.digits, "0")
	if d.digits == "" {
		return interpDecimal{}, nil
	}
	if highest := d.exponent + len(d.digits) - 1; len(d.digits) > 38 || highest > 125 || highest < -130 {
		return d, invalidCall("Number overflow, underflow, or more than 38 significant digits: %s", s)
	}
	return d, nil
}

// String writes the number out as DynamoDB returns it, without an exponent.
func (d interpDecimal) String() string {
	s := d.digits
	switch {
	case s == "":
		return "0"
	case d.exponent >= 0:
		s += strings.Repeat("0", d.exponent)
	case -d.exponent >= len(s):
		s = "0." + strings.Repeat("0", -d.exponent-len(s)) + s
	default:
		at := len(s) + d.exponent
		s = s[:at] + "." + s[at:]
	}
	if d.negative {
		s = "-" + s
	}
	return s
}

func (d interpDecimal) size() int {
	size := 1 + (len(d.digits)+1)/2
	if d.negative {
		size++
	}
	return size
}

// checkIn copies an item that comes in, with its numbers as they are stored, and
// measures it.
func checkIn(item interpItem) (interpItem, int, error) {
	out, size := make(interpItem, len(item)), 0
	for name, v := range item {
		c, n, err := checkInValue(v)
		if err != nil {
			return nil, 0, err
		}
		out[name] = c
		size += len(name) + n
	}
	return out, size, nil
}

func checkInValue(v types.AttributeValue) (types.AttributeValue, int, error) {
	switch v := v.(type) {
	case *types.AttributeValueMemberN:
		d, err := parseDecimal(v.Value)
		return &types.AttributeValueMemberN{Value: d.String()}, d.size(), err
	case *types.AttributeValueMemberS:
		return cloneValue(v), len(v.Value), nil
	case *types.AttributeValueMemberB:
		return cloneValue(v), len(v.Value), nil
	case *types.AttributeValueMemberBOOL, *types.AttributeValueMemberNULL:
		return cloneValue(v), 1, nil
	case *types.AttributeValueMemberL:
		out, size := make([]types.AttributeValue, len(v.Value)), 3
		for k, element := range v.Value {
			c, n, err := checkInValue(element)
			if err != nil {
				return nil, 0, err
			}
			out[k] = c
			size += 1 + n
		}
		return &types.AttributeValueMemberL{Value: out}, size, nil
	case *types.AttributeValueMemberM:
		out, size, err := checkIn(v.Value)
		return &types.AttributeValueMemberM{Value: out}, 3 + len(out) + size, err
	}
	return nil, 0, invalidCall("the interpreter does not play attributes of type %T", v)
}

func cloneItem(item interpItem) interpItem {
	out := make(interpItem, len(item))
	for name, v := range item {
		out[name] = cloneValue(v)
	}
	return out
}

func cloneValue(v types.AttributeValue) types.AttributeValue {
	switch v := v.(type) {
	case *types.AttributeValueMemberN:
		return &types.AttributeValueMemberN{Value: v.Value}
	case *types.AttributeValueMemberS:
		return &types.AttributeValueMemberS{Value: v.Value}
	case *types.AttributeValueMemberB:
		return &types.AttributeValueMemberB{Value: slices.Clone(v.Value)}
	case *types.AttributeValueMemberBOOL:
		return &types.AttributeValueMemberBOOL{Value: v.Value}
	case *types.AttributeValueMemberNULL:
		return &types.AttributeValueMemberNULL{Value: v.Value}
	case *types.AttributeValueMemberL:
		out := make([]types.AttributeValue, len(v.Value))
		for k, element := range v.Value {
			out[k] = cloneValue(element)
		}
		return &types.AttributeValueMemberL{Value: out}
	case *types.AttributeValueMemberM:
		return &types.AttributeValueMemberM{Value: cloneItem(v.Value)}
	}
	return v // checkInValue lets no other type in
}

func putUnits(size int) float64 { return float64(max(1, ceilOf(size, interpWriteUnit))) }

// getUnits is what reading so many bytes at once takes.
func getUnits(size int, strong bool) float64 {
	units := float64(max(1, ceilOf(size, interpReadUnit)))
	if !strong {
		units /= 2
	}
	return units
}

func ceilOf(n, unit int) int { return (n + unit - 1) / unit }

// capacityOf is what a reply says was used.
func capacityOf(want types.ReturnConsumedCapacity, table string, units float64) *types.ConsumedCapacity {
	if want != types.ReturnConsumedCapacityTotal {
		return nil
	}
	return &types.ConsumedCapacity{TableName: aws.String(table), CapacityUnits: aws.Float64(units)}
}
