package aws_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/eb901187/annals/awstest"
)

// documented runs the blocks of docs/aws.md that are marked bash aws, in one shell
// and in their order. What a block shows may take its time, so one that fails is
// tried again: each is harmless to repeat.
func (w *world) documented() {
	page, err := os.ReadFile("../../docs/aws.md")
	if err != nil {
		w.t.Fatal(err)
	}
	dir, bin := w.t.TempDir(), w.t.TempDir()
	if err := os.Symlink(filepath.Join(programs, "annals"), filepath.Join(dir, "annals")); err != nil {
		w.t.Fatal(err)
	}
	cli := fmt.Sprintf("#!/bin/sh\nexec %s --endpoint-url %s \"$@\"\n", awstest.Tool(w.t, "python/bin/aws"), w.URL)
	if err := os.WriteFile(filepath.Join(bin, "aws"), []byte(cli), 0o700); err != nil {
		w.t.Fatal(err)
	}
	preset := map[string]string{
		"queue": w.QueueURL("annals-event-queue"), "deadletters": w.QueueURL("annals-dead-letters"), "api": w.API, "store": address, "region": "us-east-1",
		"name": "annals", "ingest": "annals-ingest", "playback": "annals-playback", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ACCESS_KEY_ID": "id",
	}
	var before strings.Builder
	blocks := 0
	for _, fence := range strings.Split(string(page), "```bash aws\n")[1:] {
		block, _, _ := strings.Cut(fence, "\n```")
		blocks++
		until(w.t, "the block\n"+block, time.Minute, func() bool {
			c := exec.CommandContext(w.t.Context(), "bash", "-euo", "pipefail", "-c", before.String()+block)
			c.Dir = dir
			c.Env = append(append(c.Environ(), w.Environ()...), "PATH="+bin+":"+os.Getenv("PATH"))
			for name, value := range preset {
				c.Env = append(c.Env, name+"="+value)
			}
			out, err := c.CombinedOutput()
			if err != nil {
				w.t.Logf("%v\n%s", err, out)
			}
			return err == nil
		})
		if i := strings.Index(block, "call() {"); i >= 0 { // what later blocks use
			function, _, _ := strings.Cut(block[i:], "\n}")
			before.WriteString(function + "\n}\n")
		}
	}
	if blocks == 0 {
		w.t.Error("docs/aws.md has no blocks that are marked bash aws")
	}
}
