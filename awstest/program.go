package awstest

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// Tool returns the path of what make stand-ins put at .tools/name. It is looked
// for below the working directory and the directories above it; a test that needs
// it fails without it.
func Tool(t testing.TB, name string) string {
	t.Helper()
	return File(t, ".tools/"+name)
}

// File returns the path of a file of this repository, which is looked for as a Tool
// is.
func File(t testing.TB, name string) string {
	t.Helper()
	path, err := find(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Serve runs c until the test ends. It returns as soon as ready finds in a line
// that c prints, to either output, the address that it listens at, and kills c at
// the end. A c that ends before that fails the test with what it printed.
func Serve(t testing.TB, c *exec.Cmd, ready func(line string) (url string, ok bool)) string {
	t.Helper()
	c.SysProcAttr = endWithUs()
	r, w := io.Pipe()
	c.Stdout, c.Stderr = w, w
	if err := c.Start(); err != nil {
		t.Fatalf("starting %s: %v", c.Path, err)
	}
	ended := make(chan struct{})
	go func() {
		_ = w.CloseWithError(c.Wait()) // a kill, or why it ended too early
		close(ended)
	}()
	t.Cleanup(func() {
		_ = c.Process.Kill()
		<-ended
	})
	url, said, err := untilReady(r, ready)
	if err != nil {
		_ = r.Close()
		t.Fatalf("starting %s: it ended before it listened and said %s", c.Path, strconv.Quote(said))
	}
	go func() { _, _ = io.Copy(io.Discard, r) }() // a full pipe would stop it
	return url
}

func untilReady(r io.Reader, ready func(string) (string, bool)) (url, said string, err error) {
	var all strings.Builder
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if url, ok := ready(lines.Text()); ok {
			return url, "", nil
		}
		all.WriteString(lines.Text() + "\n")
	}
	return "", all.String(), fmt.Errorf("no address: %w", io.ErrUnexpectedEOF)
}
