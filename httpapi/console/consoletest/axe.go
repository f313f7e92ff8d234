package consoletest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// axeVersion is the one that tools/chromium.sh installs.
const axeVersion = "4.14.1"

var axeScript = sync.OnceValues(func() (string, error) {
	dir, err := root()
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(dir, ".tools", "axe-core-"+axeVersion, "node_modules", "axe-core", "axe.min.js"))
	return string(text), err
})

// Axe fails t for each serious or critical violation of accessibility that axe-core
// finds on the page as it is now: of these rules, by default of all.
func (b *Browser) Axe(t testing.TB, rules ...string) {
	t.Helper()
	script, err := axeScript()
	if err != nil {
		t.Fatalf("axe-core is missing: run tools/chromium.sh: %v", err)
	}
	type node struct {
		HTML           string   `json:"html"`
		Target         []string `json:"target"`
		FailureSummary string   `json:"failureSummary"`
	}
	type violation struct {
		ID     string `json:"id"`
		Impact string `json:"impact"`
		Help   string `json:"help"`
		Nodes  []node `json:"nodes"`
	}
	if !Eval[bool](b, "typeof axe !== 'undefined'") {
		Eval[any](b, script+"\n;undefined")
	}
	options, err := json.Marshal(map[string]any{"resultTypes": []string{"violations"}})
	if len(rules) > 0 {
		options, err = json.Marshal(map[string]any{"resultTypes": []string{"violations"}, "runOnly": rules})
	}
	if err != nil {
		t.Fatal(err)
	}
	violations := Eval[[]violation](b, fmt.Sprintf(`axe.run(document, %s).then(r => r.violations)`, options))
	for _, v := range violations {
		if v.Impact != "serious" && v.Impact != "critical" {
			continue
		}
		for _, n := range v.Nodes {
			t.Errorf("%s: %s (%s): %s\n\t%s\n\t%s\n\t%s", b.Path(), v.ID, v.Impact, v.Help, strings.Join(n.Target, " "), n.HTML, strings.ReplaceAll(n.FailureSummary, "\n", "\n\t"))
		}
	}
}
