package aggregate_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The Go code of the documentation stands in the examples, which are compiled
// and run.
func TestDocsShowCodeOfTheExamples(t *testing.T) {
	text, err := os.ReadFile("../docs/aggregates.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("example*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	examples := ""
	for _, name := range append(files, "aggregatetest/example_test.go") {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		examples += unindented(string(source))
	}
	blocks := regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 5 {
		t.Fatalf("docs/aggregates.md has only %d blocks of Go", len(blocks))
	}
	for _, block := range blocks {
		// A line of three dots leaves something out.
		for part := range strings.SplitSeq(unindented(block[1]), "…\n") {
			if !strings.Contains(examples, part) {
				t.Errorf("no example has this code:\n%s", part)
			}
		}
	}
}

func unindented(code string) string { return regexp.MustCompile(`(?m)^\t+`).ReplaceAllString(code, "") }
