package cdk_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The commands of README.md that need no account work as they stand there, with
// the CDK command that tools/cdk.sh fetches in place of npx fetching it.
func TestReadmeCommands(t *testing.T) {
	command, err := filepath.Abs("../../.tools/aws-cdk-2.1148.1/bin/cdk")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(command); err != nil {
		t.Fatalf("%v: tools/cdk.sh puts it there", err)
	}
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if strings.Contains(line, "npx aws-cdk@") && !strings.HasPrefix(line, "npx aws-cdk@2.1148.1 ") {
			t.Errorf("another version than the tests': %s", line)
		}
	}

	home, out := t.TempDir(), t.TempDir()
	npx := "#!/bin/sh\n[ \"$1\" = aws-cdk@2.1148.1 ] || exit 99\nshift\nexec node '" + command + "' \"$@\"\n"
	write(t, filepath.Join(home, "npx"), []byte(npx))
	if err := os.Chmod(filepath.Join(home, "npx"), 0o755); err != nil {
		t.Fatal(err)
	}
	// Settings of the user stand in for the zip that make lambda builds.
	settings, err := json.Marshal(object("context", object("zip", stockZip(t, "stock")), "output", out, "notices", false))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(home, ".cdk.json"), settings)

	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	if len(blocks) == 0 {
		t.Fatal("README.md has no commands")
	}
	for _, block := range blocks {
		c := exec.Command("bash", "-e", "-c", block[1])
		c.Env = append(os.Environ(), "HOME="+home, "PATH="+home+":"+os.Getenv("PATH"), "GOPATH="+goEnv(t, "GOPATH"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"), "GOCACHE="+goEnv(t, "GOCACHE"), "CDK_DISABLE_VERSION_CHECK=1", "CDK_DISABLE_CLI_TELEMETRY=true")
		if printed, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", block[1], err, printed)
		}
	}
	template, err := os.ReadFile(filepath.Join(out, "annals.template.json"))
	if err != nil || !strings.Contains(string(template), `"orders-events"`) {
		t.Errorf("synth wrote %d bytes without the table orders-events, %v", len(template), err)
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
