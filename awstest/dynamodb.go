package awstest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const dynoxide = ".tools/dynoxide-1.2.1/dynoxide"

// attempts bounds how many ports are tried. Between picking a free port and
// listening on it another program may take it; many times in a row it will not.
const attempts = 20

// DynamoDB starts a DynamoDB with Streams that has no tables, for this test
// alone, and returns its URL. It takes any credentials, keeps everything in
// memory and is killed when the test ends. The program is looked for below the
// working directory and the directories above it.
func DynamoDB(t testing.TB) string {
	t.Helper()
	binary, err := find(dynoxide)
	if err != nil {
		t.Fatal(err)
	}
	for range attempts {
		address, err := freeAddress()
		if err != nil {
			t.Fatalf("looking for a free port: %v", err)
		}
		taken, err := start(t, binary, address)
		if err != nil {
			t.Fatalf("starting DynamoDB: %v", err)
		}
		if !taken {
			return "http://" + address
		}
	}
	t.Fatalf("starting DynamoDB: %d free ports were taken before it could listen", attempts)
	return ""
}

func find(name string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		above := filepath.Dir(dir)
		if above == dir {
			return "", fmt.Errorf("%s is missing: run make stand-ins", name)
		}
		dir = above
	}
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// start runs the program until the test ends and returns once it listens, or
// found the address taken.
func start(t testing.TB, binary, address string) (taken bool, err error) {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return false, err
	}
	c := exec.Command(binary, "--host", "127.0.0.1", "--port", port)
	c.SysProcAttr = endWithUs()
	errs, err := c.StderrPipe()
	if err != nil {
		return false, err
	}
	if err := c.Start(); err != nil {
		return false, err
	}
	said, err := untilListening(errs, address)
	if err != nil {
		_ = c.Process.Kill() // it has most likely ended by itself
		_ = c.Wait()
		if strings.Contains(strings.ToLower(said), "in use") {
			return true, nil
		}
		return false, fmt.Errorf("it ended before it listened and said %s", strconv.Quote(said))
	}
	drained := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, errs) // a full pipe would stop it
		close(drained)
	}()
	t.Cleanup(func() {
		_ = c.Process.Kill()
		<-drained
		_ = c.Wait() // reports the kill
	})
	return false, nil
}

// untilListening reads what the program says until it says that it listens: from
// then on the system takes connections for it. What it said instead comes with
// the error.
func untilListening(r io.Reader, address string) (string, error) {
	var said strings.Builder
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if strings.HasSuffix(lines.Text(), "listening on http://"+address) {
			return "", nil
		}
		said.WriteString(lines.Text() + "\n")
	}
	return said.String(), io.ErrUnexpectedEOF
}
