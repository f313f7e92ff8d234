package bench

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/eb901187/annals"
)

// What titles and notes consist of.
var (
	words = strings.Fields(`blue green large small cotton leather linen shirt shoe coat belt hat scarf jacket dress sock winter
		summer classic slim`)
	phrases = []string{
		"please leave the parcel with our neighbour", "if nobody is at home", "ring twice", "deliver after six", "second floor left",
		"as a gift", "with an invoice", "not on saturday", "call before you come", "fragile", "thank you", "the door is open",
	}
)

const (
	orderBytes = 1024
	articles   = 2000 // of the shop, each with its title and price
)

// order is the JSON of the n-th order, 1,024 bytes of it, always the same: what
// compresses in it and what doesn't is as in a shop's.
func order(n int) []byte {
	random := rand.New(rand.NewPCG(uint64(n), orderBytes))
	uuid := func() string {
		hi, lo := random.Uint64(), random.Uint64()
		return fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", hi>>32, hi>>16&0xffff, hi&0xfff, lo>>52, lo&0xffffffffffff)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `{"orderId":"%s","customerId":"%s","number":%d,"lines":[`, uuid(), uuid(), random.IntN(1e8))
	for i := 0; b.Len() < 780; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		a := random.IntN(articles)
		fmt.Fprintf(&b, `{"article":"A-%05d","title":"%s %s %s","quantity":%d,"price":%d.%02d,"currency":"EUR"}`, a,
			words[a%len(words)], words[a/3%len(words)], words[a/7%len(words)], random.IntN(4)+1, a%150, a%100)
	}
	fmt.Fprintf(&b, `],"total":%d.%02d,"note":"%d`, random.IntN(900), random.IntN(100), random.IntN(1e4))
	for b.Len() < orderBytes-60 {
		b.WriteString(" " + phrases[random.IntN(len(phrases))])
	}
	return []byte(b.String() + strings.Repeat(".", orderBytes-2-b.Len()) + `"}`)
}

// placed are n events of 1 KB, from the order number from on.
func placed(from, n int) []annals.Event {
	events := make([]annals.Event, n)
	for i := range events {
		events[i] = annals.Event{Type: eventType, Source: eventSource, Data: order(from + i)}
	}
	return events
}
