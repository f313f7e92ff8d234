package reaction_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The Go code of the documentation stands in the examples, which are compiled
// and run.
func TestDocsShowCodeOfTheExamples(t *testing.T) {
	text, err := os.ReadFile("../docs/reactions.md")
	if err != nil {
		t.Fatal(err)
	}
	examples, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	indent := regexp.MustCompile(`(?m)^\t+`)
	plain := indent.ReplaceAllString(string(examples), "")
	blocks := regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 4 {
		t.Fatalf("docs/reactions.md has only %d blocks of Go", len(blocks))
	}
	for _, block := range blocks {
		// A line of three dots leaves something out.
		for part := range strings.SplitSeq(indent.ReplaceAllString(block[1], ""), "…\n") {
			if !strings.Contains(plain, part) {
				t.Errorf("no example has this code:\n%s", part)
			}
		}
	}
}
