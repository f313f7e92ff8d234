package annals_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var fence = regexp.MustCompile("(?ms)^```([a-z]+)( [a-z]+)?\n(.*?)^```$")

type block struct{ language, mark, text string }

// blocks are the fenced blocks of a document.
func blocks(t *testing.T, name string) (all []block) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
		all = append(all, block{m[1], strings.TrimSpace(m[2]), m[3]})
	}
	return all
}

// checkout copies what a clone holds, so that the commands leave nothing here.
func checkout(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (path == ".git" || path == "annals-data" || path == "dist" || d.Name() == "node_modules"):
			return fs.SkipDir
		case d.IsDir() && filepath.Dir(path) == ".tools" && !strings.HasPrefix(d.Name(), "dynoxide"):
			return fs.SkipDir // large, and no command of the docs needs it
		case d.IsDir():
			return os.MkdirAll(filepath.Join(dir, path), 0o755)
		case !d.Type().IsRegular() || path == "annals":
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, path), text, info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// bash runs a script as a user types it, and stops what it left running.
func bash(t *testing.T, dir, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	c.Dir = dir
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	if c.Process != nil {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // what the script left behind, if anything
	}
	if err != nil {
		t.Fatalf("%v in\n%s\n%s", err, script, out.String())
	}
	return out.String()
}

// Every command of README and docs runs as written, in order, in one fresh
// checkout. A block marked "serves" is stopped once it serves, one marked
// "server" finds a server running.
func TestDocsCommands(t *testing.T) {
	dir := checkout(t)
	script := ""
	for _, b := range blocks(t, "README.md") {
		switch {
		case b.language == "go":
			tour := filepath.Join(dir, "tour")
			if err := os.MkdirAll(tour, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(tour, "main.go"), []byte(b.text), 0o644); err != nil {
				t.Fatal(err)
			}
			script += "go run ./tour\n"
		case b.language != "sh":
			t.Errorf("README.md has a block of %s, which no test checks", b.language)
		case b.mark == "serves":
			serves(t, dir, b.text)
		case strings.HasPrefix(b.text, "make "):
			wantTarget(t, b.text)
		default:
			script += b.text
		}
	}
	out := bash(t, dir, script)
	for _, want := range []string{
		"order-7 is at version 1, position 1", "order-7 is at version 2, position 2 (stored before)", "exit code 3",
		"4 stored, 0 stored before", "0 stored, 4 stored before", "at fault: Microservice B", `"version":"3"`, `"faulty":"Microservice B"`,
		"all is well", "version 1 replayed false",
		"generation 1 of orders is live", "0 documents the same, 1 different", `"status":"shipped"`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the tour does not print %q:\n%s", want, out)
		}
	}
	docs, err := filepath.Glob("docs/*.md")
	if err != nil || len(docs) == 0 {
		t.Fatalf("docs %v, %v", docs, err)
	}
	for _, name := range docs {
		t.Run(filepath.Base(name), func(t *testing.T) { runDoc(t, dir, name) })
	}
}

func runDoc(t *testing.T, dir, name string) {
	plain, server := "", ""
	for _, b := range blocks(t, name) {
		switch {
		case b.language != "sh":
		case strings.HasPrefix(b.text, "make "):
			wantTarget(t, b.text)
		case b.mark == "server":
			server += b.text
		default:
			plain += b.text
		}
	}
	if server != "" {
		plain += "./annals serve > /dev/null &\ncurl -sS --retry 9 --retry-connrefused http://127.0.0.1:4000/readyz\n" +
			strings.ReplaceAll(server, "curl ", "curl --fail-with-body ") + "kill %1 && wait\n"
	}
	if plain != "" {
		bash(t, dir, plain)
	}
}

func wantTarget(t *testing.T, text string) {
	t.Helper()
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if target := strings.Fields(line)[1]; !bytes.Contains(makefile, []byte("\n"+target+":")) {
			t.Errorf("the Makefile has no target %s", target)
		}
	}
}

// serves runs a command until it says that it serves, and then interrupts it.
func serves(t *testing.T, dir, text string) {
	t.Helper()
	out := bash(t, dir, "set -m; ("+strings.TrimSpace(text)+") > serves.txt 2>&1 & pid=$!\n"+
		"until grep -q '^serving' serves.txt; do kill -0 $pid; read -t 0.1 < <(:) || true; done\n"+
		"kill -INT -- -$pid; wait $pid || true; cat serves.txt")
	if !strings.Contains(out, "at fault: Microservice C") || !strings.Contains(out, "no service at fault") || !strings.Contains(out, "http://127.0.0.1:4000/console/") {
		t.Errorf("%s prints\n%s", text, out)
	}
}

// Every test that PROMISES.md names exists.
func TestDocsPromisesNameTheirTests(t *testing.T) {
	text, err := os.ReadFile("PROMISES.md")
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	err = filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example)\w*)\(|(?:\{|chained\()"([a-z][^"]+)", func\(t \*testing`).FindAllStringSubmatch(string(source), -1) {
			known = append(known, m[1]+m[2])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`|“([^”]+)”").FindAllStringSubmatch(string(text), -1)
	if len(named) < 20 {
		t.Fatalf("PROMISES.md names only %d tests", len(named))
	}
	for _, m := range named {
		if name := m[1] + m[2]; !slices.Contains(known, name) {
			t.Errorf("PROMISES.md names %q, which is no test", name)
		}
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)#:\s]*)(?:#([^)\s]+))?\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// The links of the documents lead to files, and to headings in them.
func TestDocsLinks(t *testing.T) {
	docs, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(docs, "README.md", "ARCHITECTURE.md", "PROMISES.md", "CONTRIBUTING.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			to := filepath.Join(filepath.Dir(name), m[1])
			if m[1] == "" {
				to = name
			}
			if _, err := os.Stat(to); err != nil {
				t.Error(fmt.Errorf("%s: %w", name, err))
				continue
			}
			if m[2] == "" {
				continue
			}
			target, err := os.ReadFile(to)
			if err != nil || !slices.Contains(anchors(string(target)), m[2]) {
				t.Errorf("%s: %s has no heading #%s (%v)", name, to, m[2], err)
			}
		}
	}
}

// anchors are the headings of a document as GitHub names them.
func anchors(text string) (all []string) {
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		all = append(all, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z':
				return r
			case r >= 'A' && r <= 'Z':
				return r + 'a' - 'A'
			}
			return -1
		}, m[1]))
	}
	return all
}
