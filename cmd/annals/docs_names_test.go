package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/lambda"
)

const top = "../.."

// named are the documents whose names are checked here, as their commands need
// AWS or are only mentioned.
func named() []string {
	return []string{"docs/aws.md", "docs/seeds.md", "deploy/cdk/README.md", "deploy/terraform/README.md"}
}

func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	codeSpan   = regexp.MustCompile("`([^`\n]+(?:\n[^`\n]+)?)`")
	fenced     = regexp.MustCompile("(?ms)^```.*?^```$")
	annalsLine = regexp.MustCompile(`(?m)(?:^|\$\()(?:\./)?annals +([^|;)\n#]*)`)
)

// spans are what a document has between backquotes, outside of blocks.
func spans(text string) (all []string) {
	for _, m := range codeSpan.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		all = append(all, strings.ReplaceAll(m[1], "\n", " "))
	}
	return all
}

// Every annals command that the documents show, and each of its flags, exists.
func TestDocsNameCommandsThatExist(t *testing.T) {
	seen := 0
	for _, name := range named() {
		text := document(t, name)
		var lines []string
		for _, block := range fenced.FindAllString(text, -1) {
			for _, m := range annalsLine.FindAllStringSubmatch(block, -1) {
				lines = append(lines, m[1])
			}
		}
		for _, s := range spans(text) {
			if rest, ok := strings.CutPrefix(s, "annals "); ok {
				lines = append(lines, rest)
			}
		}
		for _, line := range lines {
			seen++
			if err := wellTyped(strings.Fields(line)); err != nil {
				t.Errorf("%s: annals %s: %v", name, line, err)
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d commands were found", seen)
	}
}

// wellTyped reports whether a command of these words exists, with its flags.
func wellTyped(words []string) error {
	root := (&app{}).root()
	root.InitDefaultHelpFlag()
	c, rest, err := root.Find(words)
	switch {
	case err != nil:
		return err
	case c == root || c.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-"):
		return errors.New("no such command")
	}
	for _, word := range words {
		flag, isFlag := strings.CutPrefix(word, "--")
		if flag, _, _ = strings.Cut(flag, "="); isFlag && !hasFlag(c, flag) {
			return errors.New("no flag --" + flag)
		}
	}
	return nil
}

func hasFlag(c *cobra.Command, name string) bool {
	return c.Flags().Lookup(name) != nil || c.InheritedFlags().Lookup(name) != nil
}

func TestWellTypedSeesWhatIsWrong(t *testing.T) {
	for line, want := range map[string]bool{
		"log --types T --store s": true, "effect diff": true, "trace": true,
		"dig": false, "log --type T": false, "effect dif": false, "--json": false, "trace r --jsonn": false,
	} {
		if err := wellTyped(strings.Fields(line)); (err == nil) != want {
			t.Errorf("annals %s: %v", line, err)
		}
	}
}

// tree lists the files of the checkout, and the names of all tests.
func tree(t *testing.T) (files map[string]bool, tests string) {
	t.Helper()
	files = map[string]bool{}
	var functions strings.Builder
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		if d.IsDir() && (rel == ".git" || rel == ".tools" || d.Name() == "node_modules" || strings.HasPrefix(d.Name(), "cdk.out")) {
			return fs.SkipDir
		}
		files[filepath.ToSlash(rel)] = true
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		functions.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, functions.String()
}

var (
	testName = regexp.MustCompile(`^(Test|Fuzz|Example)[A-Z]\w*$`)
	filePath = regexp.MustCompile(`^[a-z]+(/[\w.-]+)+/?$`)
)

// Every test and every file that the documents name exists.
func TestDocsNameWhatExists(t *testing.T) {
	files, tests := tree(t)
	for _, name := range named() {
		for _, s := range spans(document(t, name)) {
			path := strings.TrimSuffix(s, "/")
			switch {
			case testName.MatchString(s):
				if !strings.Contains(tests, "\nfunc "+s+"(") {
					t.Errorf("%s names the test %s, which does not exist", name, s)
				}
			case filePath.MatchString(s) && files[strings.Split(s, "/")[0]] && !strings.HasPrefix(s, "dist/"):
				if !files[path] {
					t.Errorf("%s names %s, which does not exist", name, s)
				}
			case strings.HasPrefix(s, "package "):
				t.Errorf("%s: %q: put the name alone between the backquotes", name, s)
			}
		}
	}
}

// rows are the tables of the section of docs/aws.md below a heading, by the first
// cell without its backquotes.
func rows(t *testing.T, section string) map[string][]string {
	t.Helper()
	_, text, found := strings.Cut(document(t, "docs/aws.md"), "\n## "+section+"\n")
	if !found {
		t.Fatalf("docs/aws.md has no section %s", section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	all := map[string][]string{}
	for line := range strings.Lines(text) {
		if cells := strings.Split(line, "|"); len(cells) > 3 && strings.Contains(cells[1], "`") {
			for _, name := range codeSpan.FindAllStringSubmatch(cells[1], -1) {
				all[name[1]] = cells[2:]
			}
		}
	}
	return all
}

// The table of environment variables is that of package lambda: which there are,
// and which roles need them.
func TestDocsEnvironment(t *testing.T) {
	table := rows(t, "The environment")
	_, err := lambda.ReadConfig([]string{"ANNALS_ROLE=load", "ANNALS_INGEST_STREAM=s", "ANNALS_NONE=1"})
	known := regexp.MustCompile(`\bANNALS_[A-Z_]+`).FindAllString(strings.ReplaceAll(err.Error(), "ANNALS_NONE", ""), -1)
	known = append(known, "OTEL_EXPORTER_OTLP_ENDPOINT")
	slices.Sort(known)
	if len(table) != len(known) {
		t.Errorf("docs/aws.md has %d variables, lambda %d: %v", len(table), len(known), known)
	}
	needed := map[string][]string{"ANNALS_ROLE": {"all"}}
	for _, role := range lambda.Roles() {
		_, err := lambda.ReadConfig([]string{"ANNALS_ROLE=" + string(role)})
		var invalid *annals.InvalidError
		if !errors.As(err, &invalid) {
			t.Fatalf("role %s needs nothing: %v", role, err)
		}
		for _, v := range invalid.Violations {
			needed[v.Field] = append(needed[v.Field], string(role))
		}
	}
	needed["ANNALS_STORE"] = []string{"all but load"}
	for _, name := range known {
		want := strings.Join(needed[name], ", ")
		if want == "" {
			want = "–"
		}
		if cells := table[name]; cells == nil || strings.TrimSpace(cells[0]) != want {
			t.Errorf("docs/aws.md says of %s that it is needed by %q, want %q", name, cells, want)
		}
	}
}

// The settings that docs/aws.md lists are those of the CDK app, all of them.
func TestDocsSettings(t *testing.T) {
	_, list, _ := strings.Cut(document(t, "deploy/cdk/app/context.go"), "var keys = []string{")
	list, _, _ = strings.Cut(list, "}")
	var keys []string
	for _, m := range regexp.MustCompile(`"(\w+)"`).FindAllStringSubmatch(list, -1) {
		keys = append(keys, m[1])
	}
	table := rows(t, "Deploy by CDK")
	for _, key := range keys {
		if table[key] == nil {
			t.Errorf("docs/aws.md has no setting %s", key)
		}
	}
	if len(keys) < 20 || len(table) != len(keys) {
		t.Errorf("docs/aws.md has %d settings, the app %d", len(table), len(keys))
	}
}

// The metrics that docs/aws.md lists are those that package lambda counts.
func TestDocsMetrics(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(top, "lambda", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]bool{"Stored": true, "Replayed": true, "Refused": true, "Failed": true} // by the Status of a message
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, m := range regexp.MustCompile(`\.(?:count|most)\("(\w+)"`).FindAllStringSubmatch(document(t, name[len(top)+1:]), -1) {
			counted[m[1]] = true
		}
	}
	table := rows(t, "What to watch")
	for name := range counted {
		if table[name] == nil {
			t.Errorf("docs/aws.md has no metric %s", name)
		}
	}
	for name := range table {
		if !counted[name] {
			t.Errorf("docs/aws.md has the metric %s, which nobody counts", name)
		}
	}
}

// The alarms that docs/aws.md lists are those of the deployment.
func TestDocsAlarms(t *testing.T) {
	_, watch, _ := strings.Cut(document(t, "docs/aws.md"), "\n## What to watch\n")
	watch, _, _ = strings.Cut(watch, "\n## ")
	names := regexp.MustCompile(`"AlarmName": "annals-(\w+)"`).FindAllStringSubmatch(document(t, "deploy/cdk/testdata/annals.template.json"), -1)
	for _, m := range names {
		name := regexp.MustCompile(`^[A-Z][a-z]+(Errors|Throttles)$`).ReplaceAllString(m[1], "ROLE$1")
		if !regexp.MustCompile(`(?m)^\|[^|]*\b` + name + `\b`).MatchString(watch) {
			t.Errorf("docs/aws.md has no alarm %s", name)
		}
	}
	if len(names) < 20 {
		t.Errorf("the template has %d alarms", len(names))
	}
}

// The tables of prices are what the command computes.
func TestDocsPrices(t *testing.T) {
	got := typed(t.Context(), "", "bench", "--price")
	if got.exit != 0 || !strings.Contains(document(t, "docs/aws.md"), "```text\n"+got.out+"```\n") {
		t.Errorf("docs/aws.md does not hold what annals bench --price prints (exit %d, %s):\n%s", got.exit, got.errs, got.out)
	}
	readme := document(t, "README.md")
	for line := range strings.Lines(got.out) {
		cells := strings.Fields(line)
		if len(cells) < 5 || !strings.HasPrefix(cells[0], "all-") {
			continue
		}
		if row := "| " + strings.Join(cells[1:5], " | ") + " |\n"; !strings.Contains(readme, row) {
			t.Errorf("README.md does not hold %s: %s", cells[0], row)
		}
	}
}
