package main

import (
	"strings"
	"testing"
)

const want = `
A day in the shop. The code charges express orders twice.
  the provider has had 4 requests; order-1 paid 20 order-2 paid 70 order-3 paid 50
The code is mended. What it would have done is compared with the journal.
  billing@3: event order-2@1, call 1 was POST {"amount":35,"order":"order-2"}, now none
  the provider has had 4 requests; order-1 paid 20 order-2 paid 70 order-3 paid 50
The differences are approved, and refunded.
  billing@3: corrected
  the provider has had 5 requests; order-1 paid 20 order-2 paid 35 order-3 paid 50
  a second repair finds 0 differences
A fork for debugging, with customers masked. The code with the bug runs in it from the start.
  it holds order-2@1 {"customer":"***","express":true,"total":35}
  of its calls 3 were answered from the journal, 1 suppressed, 0 sent
  the provider has had 5 requests; order-1 paid 20 order-2 paid 35 order-3 paid 50
The change of order-1's customer was a mistake, and is reversed.
  by its merge-patch; before {"customer":"mallory@example.com","total":20}
  appended annals.event-reversed {"customer":"ada@example.com"}
  after {"customer":"ada@example.com","total":20}
`

func TestOutput(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if got := "\n" + out.String(); got != want {
		t.Fatalf("it prints%s\nand not%s", got, want)
	}
}
