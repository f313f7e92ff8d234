package aggregate_test

import (
	"encoding/json"
	"fmt"
	"log"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/aggregate"
)

// Priced was stored as price-set with an amount of whole euros in version 1, and
// has a name of its own and cents since version 2.
type Priced struct {
	Cents    int64  `json:"cents"`
	Currency string `json:"currency"`
}

func ExampleUpcast() {
	toCents := func(data json.RawMessage) (json.RawMessage, error) {
		var old struct{ Euros int64 }
		if err := json.Unmarshal(data, &old); err != nil {
			return nil, err
		}
		return json.Marshal(Priced{Cents: 100 * old.Euros, Currency: "EUR"})
	}
	prices, err := aggregate.New("price", aggregate.Schema[Priced]{
		Events:    []aggregate.Variant[Priced]{aggregate.Event[Priced, Priced]("priced", 2)},
		Upcasters: []aggregate.Upcaster{aggregate.Upcast("priced", 1, toCents)},
		Renamed:   map[string]string{"price-set": "priced"},
		Ignored:   []string{"price-viewed"},
	}, func(_ Priced, e Priced) Priced { return e }, nil)
	if err != nil {
		log.Fatal(err)
	}
	events, err := prices.Decode(&annals.Event{Type: "price-set", Data: []byte(`{"euros":12}`)})
	fmt.Println(events, err)

	stored, err := prices.Encode(Priced{990, "CHF"})
	fmt.Println(stored.Type, stored.Attributes, string(stored.Data), err)
	// Output:
	// [{1200 EUR}] <nil>
	// priced map[schemaversion:2] {"cents":990,"currency":"CHF"} <nil>
}

func ExampleSplit() {
	apart := func(data json.RawMessage) ([]aggregate.Part, error) {
		var both struct{ Name, Street json.RawMessage }
		if err := json.Unmarshal(data, &both); err != nil {
			return nil, err
		}
		return []aggregate.Part{{Name: "named", Data: both.Name}, {Name: "moved", Data: both.Street}}, nil
	}
	type fact struct{ Kind, Text string }
	kind := func(name string) aggregate.Variant[fact] {
		return aggregate.Case(name, 1,
			func(text string) fact { return fact{name, text} },
			func(f fact) (string, bool) { return f.Text, f.Kind == name })
	}
	people, err := aggregate.New("person", aggregate.Schema[fact]{
		Events:    []aggregate.Variant[fact]{kind("named"), kind("moved")},
		Upcasters: []aggregate.Upcaster{aggregate.Split("registered", 1, apart)},
	}, func(n int, _ fact) int { return n + 1 }, nil)
	if err != nil {
		log.Fatal(err)
	}
	events, err := people.Decode(&annals.Event{Type: "registered", Data: []byte(`{"name":"Ada","street":"Main Street"}`)})
	fmt.Println(events, err)
	// Output: [{named Ada} {moved Main Street}] <nil>
}
