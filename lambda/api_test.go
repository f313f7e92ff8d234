package lambda

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// plainItem makes a key of JSON.
func plainItem(t *testing.T, text string) map[string]types.AttributeValue {
	t.Helper()
	var plain map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&plain); err != nil {
		t.Fatal(err)
	}
	i := map[string]types.AttributeValue{}
	for name, value := range plain {
		if n, is := value.(json.Number); is {
			i[name] = &types.AttributeValueMemberN{Value: n.String()}
		} else {
			i[name] = &types.AttributeValueMemberS{Value: value.(string)}
		}
	}
	return i
}

// ordersFile folds the totals of orders.
const ordersFile = `fold:
  placed: '.total += $event.data.amount'
`

func writeProjection(t *testing.T, text string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "orders.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// An event goes from a command through the log into a view, and everything is read
// from what a deployment makes: tables without marks.
func TestAnEventGoesThroughTheRoles(t *testing.T) {
	s := newStage(t)
	dir := "ANNALS_PROJECTIONS=" + writeProjection(t, ordersFile)
	command, query, sequence := s.function(Command, nil), s.function(Query, nil, dir), s.function(Sequence, nil)
	s.mustAsk(command, "POST", "/v1/commands", `{"aggregateId":"order-1","eventType":"placed","eventData":{"amount":5},"id":"1"}`, 201, `"version":"1","position":"0"`)
	s.mustAsk(command, "POST", "/v1/streams/order-1/events", `{"type":"placed","data":{"amount":7},"correlation":"r-1"}`, 201, `"version":"2"`)
	s.mustAsk(query, "GET", "/v1/streams/order-1/events", "", 200, `"amount":7`)
	s.mustAsk(query, "GET", "/v1/position", "", 200, `"position":"0"`)
	s.mustInvoke(sequence, s.batch("stage-events"), allDone)
	s.mustAsk(query, "GET", "/v1/position", "", 200, `"position":"2"`)
	s.mustAsk(query, "GET", "/v1/traces/r-1", "", 200, `"amount":7`)
	write := s.function(Write, nil, dir)
	s.mustInvoke(write, s.batch("stage-log"), allDone)
	s.mustAsk(query, "GET", "/v1/views/orders/order-1", "", 200, `{"total":12}`)

	s.mustAsk(query, "POST", "/v1/commands", "{}", 404, "belongs to the group command, and this process serves query, process")
	s.mustAsk(command, "GET", "/v1/position", "", 404, "this process serves command")
	s.mustAsk(write, "POST", "/v1/projections/orders/pause", "", 200, "")
	s.mustAsk(command, "POST", "/v1/commands", `{"aggregateId":"order-1","eventType":"placed","eventData":{"amount":1}}`, 201, `"version":"3"`)
	s.mustInvoke(sequence, s.batch("stage-events"), allDone)
	s.mustInvoke(write, s.batch("stage-log"), allDone)
	s.mustAsk(query, "GET", "/v1/views/orders/order-1", "", 200, `{"total":12}`)
	s.mustAsk(write, "POST", "/v1/projections/orders/resume", "", 200, "")
	s.mustAsk(query, "GET", "/v1/views/orders/order-1", "", 200, `{"total":13}`)
	s.mustAsk(write, "POST", "/v1/projections/orders/rebuild", "", 200, "")
	s.mustAsk(query, "GET", "/v1/views/orders/order-1?generation=2", "", 200, `{"total":13}`)
}
