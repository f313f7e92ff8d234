package main

import (
	"strings"
	"testing"
)

const want = `
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
