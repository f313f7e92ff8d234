package kinesis_test

import (
	"fmt"

	"github.com/eb901187/annals/kinesis"
)

// What other programs may put on an event stream: any message that ingest takes.
func Example() {
	events, err := kinesis.Decode([]byte(`[
		{"specversion":"1.0","id":"1","source":"/shop","type":"order-placed","stream":"order-7","data":{"total":40}},
		{"aggregateId":"order-7","eventType":"order-paid","eventData":{"amount":40}}]`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range events {
		fmt.Println(e.Stream, e.Type, string(e.Data))
	}
	// Output:
	// order-7 order-placed {"total":40}
	// order-7 order-paid {"amount":40}
}
