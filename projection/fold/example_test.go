package fold_test

import (
	"fmt"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/projection/fold"
)

func Example() {
	orders, err := fold.Parse("orders.yaml", []byte(`
fold:
  order-placed: '{total: $event.data.total, status: "placed"}'
  order-paid: .status = "paid" | .paidAt = $event.time
delete: [order-removed]
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(orders.Name, orders.Query.Types)

	var doc any
	for _, e := range []annals.Event{
		{Type: "order-placed", Stream: "order-7", Version: 1, Data: []byte(`{"total":9.90}`)},
		{Type: "order-paid", Stream: "order-7", Version: 2, Data: []byte(`{}`)},
	} {
		if doc, _, err = orders.Rules.Apply(doc, &e, nil); err != nil {
			fmt.Println(err)
			return
		}
	}
	text, err := fold.Encode(doc)
	fmt.Println(string(text), err)
	// Output:
	// orders [order-paid order-placed order-removed annals.state-restored]
	// {"paidAt":"0001-01-01T00:00:00Z","status":"paid","total":9.90} <nil>
}

func ExampleMergePatch() {
	doc := map[string]any{"status": "placed", "note": "leave at the door"}
	patch := map[string]any{"status": "paid", "note": nil}
	fmt.Println(fold.MergePatch(doc, patch))
	// Output: map[status:paid]
}

func ExampleParse() {
	_, err := fold.Parse("orders.yaml", []byte("fold:\n  order-paid: .paidAt = (now | localtime)"))
	fmt.Println(err)
	// Output: annals: orders.yaml:2: fold of order-paid uses localtime, at character 18 (it depends on the time zone of the machine: use gmtime)
}
