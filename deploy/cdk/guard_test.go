package cdk_test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/eb901187/annals/deploy/cdk"
)

const guard = "../../.tools/cfn-guard-3.1.1/cfn-guard"

// A verdict is what cfn-guard says of one template.
type verdict struct {
	Name     string   `json:"name"`
	Kept     []string `json:"compliant"`
	NotKept  []broken `json:"not_compliant"`
	NotAsked []string `json:"not_applicable"`
}

type broken struct {
	Rule struct {
		Name string `json:"name"`
	} `json:"Rule"`
}

// judge runs cfn-guard over all templates of a directory.
func judge(t *testing.T, dir string) map[string]verdict {
	t.Helper()
	if _, err := os.Stat(guard); err != nil {
		t.Fatalf("%v: tools/guard.sh puts it there", err)
	}
	// It exits with 19 where a template breaks a rule, and says no less then.
	out, err := exec.Command(guard, "validate", "--rules", "rules", "--data", dir, "--structured", "--show-summary", "none", "--output-format", "json").Output()
	var list []verdict
	if jsonErr := json.Unmarshal(out, &list); jsonErr != nil {
		t.Fatalf("cfn-guard: %v (%v)\n%s", jsonErr, err, out)
	}
	verdicts := map[string]verdict{}
	for _, v := range list {
		verdicts[strings.TrimSuffix(filepath.Base(v.Name), ".json")] = v
	}
	return verdicts
}

func (v verdict) broken() (names []string) {
	for _, b := range v.NotKept {
		names = append(names, b.Rule.Name)
	}
	return names
}

// rules are the names of all rules, as the files have them.
func rules(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("rules/*.guard")
	if err != nil || len(files) == 0 {
		t.Fatalf("rules: %v %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^rule (\w+)`).FindAllStringSubmatch(string(text), -1) {
			names = append(names, m[1])
		}
	}
	return names
}

// variants are props whose templates differ most.
func variants(t *testing.T) map[string]cdk.Props {
	own := chosen(t)
	own.Roles, own.ReactZip, own.Projections = nil, stockZip(t, "react"), "testdata/projections"
	own.RemovalPolicy = "" // the rules are about stores that are kept
	few := cdk.Props{Zip: stockZip(t, "stock"), Roles: []cdk.Role{cdk.Track, cdk.Query, cdk.Sequence}, NoDashboard: true, Alarms: cdk.Alarms{Disabled: true}}
	return map[string]cdk.Props{"everything": everything(t), "own": own, "few": few}
}

// Templates of all kinds keep the rules, and cfn-lint finds nothing in them.
func TestTemplatesKeepTheRules(t *testing.T) {
	dir := t.TempDir()
	for name, props := range variants(t) {
		write(t, filepath.Join(dir, name+".json"), synthesize(t, props))
	}
	verdicts := judge(t, dir)
	for _, rule := range verdicts["everything"].NotAsked {
		// Only own has the keys of data subjects.
		if slices.Contains(verdicts["own"].NotAsked, rule) {
			t.Errorf("%s found nothing to look at", rule)
		}
	}
	for name, v := range verdicts {
		if len(v.NotKept) > 0 {
			t.Errorf("%s breaks %v", name, v.broken())
		}
		if got, want := len(v.Kept)+len(v.NotKept)+len(v.NotAsked), len(rules(t)); got != want {
			t.Errorf("%s was judged by %d of %d rules", name, got, want)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	const lint = "../../.tools/python/bin/cfn-lint"
	out, err := exec.Command(lint, files...).CombinedOutput()
	if err != nil {
		t.Errorf("cfn-lint, which tools/python.sh installs: %v\n%s", err, out)
	}
}

// Each rule finds what it is for: a template with one thing wrong breaks it.
func TestRulesCanFail(t *testing.T) {
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, p := range planted {
		var template map[string]any
		if err := json.Unmarshal(text, &template); err != nil {
			t.Fatal(err)
		}
		all := template["Resources"].(map[string]any)
		// No rule is about alarms, of which there are many.
		maps.DeleteFunc(all, func(_ string, r any) bool { return r.(map[string]any)["Type"] == "AWS::CloudWatch::Alarm" })
		p.plant(resources{t, all})
		changed, err := json.Marshal(template)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, p.name+".json"), changed)
	}
	verdicts := judge(t, dir)
	proven := map[string]bool{}
	for _, p := range planted {
		got := verdicts[p.name].broken()
		slices.Sort(got)
		if strings.Join(got, " ") != p.rules {
			t.Errorf("%s breaks %v, not %s alone", p.name, got, p.rules)
		}
		for _, rule := range got {
			proven[rule] = true
		}
	}
	for _, rule := range rules(t) {
		if !proven[rule] {
			t.Errorf("no template shows that the rule %s can fail", rule)
		}
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}
