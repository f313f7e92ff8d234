package compare

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// The README's table has the module's variables and their
// defaults; its list has the outputs.
func TestReadme(t *testing.T) {
	text := string(golden(t, filepath.Join(moduleDir, "README.md")))
	module, err := ParseModule(sources(t))
	if err != nil {
		t.Fatal(err)
	}
	defaults := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| .* \\| (.*) \\|$").FindAllStringSubmatch(text, -1) {
		defaults[row[1]] = row[2]
	}
	for name, v := range module.Variables {
		said, there := defaults[name]
		if !there {
			t.Errorf("the README has no variable %s", name)
			continue
		}
		if v.Default == cty.NilVal {
			if said != "must be given" {
				t.Errorf("the README says of %s that its default is %s; it must be given", name, said)
			}
			continue
		}
		if v.Default.IsNull() || !v.Default.Type().IsPrimitiveType() {
			if strings.HasPrefix(said, "`") {
				t.Errorf("the README says of %s that its default is %s; it has none", name, said)
			}
			continue
		}
		value, err := ctyjson.Marshal(v.Default, v.Default.Type())
		if err != nil {
			t.Fatal(err)
		}
		if want := "`" + strings.Trim(string(value), `"`) + "`"; said != want {
			t.Errorf("the README says of %s that its default is %s, not %s", name, said, want)
		}
		delete(defaults, name)
	}
	for name := range defaults {
		if module.Variables[name] == nil {
			t.Errorf("the module has no variable %s", name)
		}
	}
	_, outputs, _ := strings.Cut(text, "## Outputs")
	outputs, _, _ = strings.Cut(outputs, "##")
	for _, name := range slices.Sorted(maps.Keys(module.Outputs)) {
		if !strings.Contains(outputs, "`"+name+"`") {
			t.Errorf("the README has no output %s", name)
		}
	}
	throttling, err := ctyjson.Marshal(module.Variables["throttling"].Default, cty.DynamicPseudoType)
	if err != nil {
		t.Fatal(err)
	}
	var limits struct{ Value struct{ Rate, Burst int } }
	if err := json.Unmarshal(throttling, &limits); err != nil {
		t.Fatal(err)
	}
	if limits.Value.Rate != 1000 || limits.Value.Burst != 2000 {
		t.Errorf("the default of throttling is %s, and the README says 1000 and 2000", throttling)
	}
}

// The commands of the README name outputs and variables of the example.
func TestReadmeCommands(t *testing.T) {
	text := string(golden(t, filepath.Join(moduleDir, "README.md")))
	files, err := ReadFiles(filepath.Join(moduleDir, "examples/complete"))
	if err != nil {
		t.Fatal(err)
	}
	example, err := ParseModule(files)
	if err != nil {
		t.Fatal(err)
	}
	variables := regexp.MustCompile(`-var (\w+)=`).FindAllStringSubmatch(text, -1)
	outputs := regexp.MustCompile(`output -raw (\w+)`).FindAllStringSubmatch(text, -1)
	if len(variables) == 0 || len(outputs) == 0 {
		t.Fatal("the README has no commands with variables or outputs")
	}
	for _, m := range variables {
		if example.Variables[m[1]] == nil {
			t.Errorf("the example has no variable %s", m[1])
		}
	}
	for _, m := range outputs {
		if example.Outputs[m[1]] == nil {
			t.Errorf("the example has no output %s", m[1])
		}
	}
}
