package fold

import "testing"

const orderData = `{"orderId":"o-1234","customer":{"name":"Ada Lovelace","email":"ada@example.com"},"items":[{"sku":"A-1","qty":2,"price":9.99},{"sku":"B-7","qty":1,"price":120}],"total":139.98,"currency":"EUR","paid":false}`

// Each iteration is one event: its keys, its input decoded, its fold.
func BenchmarkApply(b *testing.B) {
	for name, text := range map[string]string{
		"object":      "fold: {a: '{total: $event.data.total, status: \"placed\"}'}",
		"add":         "fold: {a: '.total += $event.data.total | .count += 1'}",
		"key":         "key: .data.customer.name\nfold: {a: '.total = (.total // 0) + $event.data.total'}",
		"index":       "fold: {a: '.items[$event.data.orderId] = $event.data.items[0].price * 2'}",
		"merge-patch": "fold: merge-patch",
	} {
		b.Run(name, func(b *testing.B) {
			r, e := rulesOf(b, text), event("a", orderData)
			var doc any
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Keys(e); err != nil {
					b.Fatal(err)
				}
				input, err := r.Input(e)
				if err != nil {
					b.Fatal(err)
				}
				if doc, _, err = r.Apply(doc, e, input); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// A document of 2,000 members, of which each event changes one.
func BenchmarkApplyToALargeDocument(b *testing.B) {
	r, e := rulesOf(b, "fold: {a: '.n += 1'}"), event("a", "{}")
	items := make([]any, 2000)
	for i := range items {
		items[i] = map[string]any{"sku": "A-1", "qty": i}
	}
	doc := any(map[string]any{"items": items})
	for b.Loop() {
		var err error
		if doc, _, err = r.Apply(doc, e, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	doc := mustDecode(b, orderData)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Encode(doc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode([]byte(orderData)); err != nil {
			b.Fatal(err)
		}
	}
}
