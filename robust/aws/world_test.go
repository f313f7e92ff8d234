package aws_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/awstest/local"
	"github.com/eb901187/annals/dynamo"
)

const templatePath = "../../deploy/cdk/testdata/annals.template.json"

// programs is where the built binaries are: bootstrap, awsreact and annals.
var programs string

func TestMain(m *testing.M) {
	flag.Parse()
	var err error
	if programs, err = os.MkdirTemp("", "annals-aws-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(programs); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// build builds the binaries for the tests that need them.
var build = sync.OnceValue(func() error {
	c := exec.Command("go", "build", "-o", programs, "./cmd/bootstrap", "./examples/awsreact", "./cmd/annals")
	c.Dir = "../.."
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("building the roles: %w\n%s", err, out)
	}
	return nil
})

// A world is the deployed stack and who uses it.
type world struct {
	*local.Deployment
	t testing.TB
}

// deploy runs the stack of the template. Waits are cut short unless change says
// otherwise.
func deploy(t testing.TB, change func(*local.Stack, *local.Options)) *world {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	stack, err := local.ReadTemplate(templatePath)
	if err != nil {
		t.Fatal(err)
	}
	projections, err := filepath.Abs("testdata/projections")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range stack.Functions {
		if f.Env["ANNALS_PROJECTIONS"] != "" {
			f.Env["ANNALS_PROJECTIONS"] = projections // what a layer holds
		}
	}
	for i := range stack.Streams {
		stack.Streams[i].Shards = 1 // each is polled
	}
	options := local.Options{Patience: 100 * time.Millisecond, Instances: 2, Bootstrap: func(f local.Function) string {
		if f.Env["ANNALS_ROLE"] == "react" {
			return filepath.Join(programs, "awsreact")
		}
		return filepath.Join(programs, "bootstrap")
	}}
	if change != nil {
		change(&stack, &options)
	}
	return &world{local.Deploy(t, stack, options), t}
}

// store opens the store as its owner.
func (w *world) store() *annals.Store {
	w.t.Helper()
	s, err := dynamo.Open(w.t.Context(), dynamo.Address{Name: "annals", Region: "us-east-1", Bucket: "annalsbucket", Endpoint: w.URL, S3Endpoint: w.URL}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return s
}

// address is that of the store, for the command.
const address = "dynamodb://annals?region=us-east-1&bucket=annalsbucket"

// command runs a program as the stack's owner and returns what it prints.
func (w *world) command(name string, args ...string) string {
	w.t.Helper()
	c := exec.CommandContext(w.t.Context(), name, args...)
	c.Env = append(c.Environ(), w.Environ()...)
	out, err := c.CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// aws runs the AWS command line.
func (w *world) aws(args ...string) string {
	w.t.Helper()
	return w.command(awstest.Tool(w.t, "python/bin/aws"), append([]string{"--endpoint-url", w.URL}, args...)...)
}

func (w *world) annals(args ...string) string {
	w.t.Helper()
	return w.command(filepath.Join(programs, "annals"), append(args, "--store", address)...)
}

// http sends a request to the HTTP API.
func (w *world) http(ctx context.Context, method, path, body string) (status int, answer string, err error) {
	r, err := http.NewRequestWithContext(ctx, method, w.API+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer got.Body.Close()
	all, err := io.ReadAll(got.Body)
	return got.StatusCode, string(all), err
}

// call is http for what has to be answered with a status.
func (w *world) call(method, path, body string, want int) string {
	w.t.Helper()
	status, answer, err := w.http(w.t.Context(), method, path, body)
	if err != nil || status != want {
		w.t.Fatalf("%s %s: %d %v\n%s", method, path, status, err, answer)
	}
	return answer
}

// until repeats what others make true in their time. It pauses between tries, so
// that they have some.
func until(t testing.TB, what string, limit time.Duration, done func() bool) {
	t.Helper()
	deadline := time.After(limit)
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for !done() {
		select {
		case <-deadline:
			t.Fatalf("waited %v for %s", limit, what)
		case <-t.Context().Done():
			t.Fatalf("the test ended while it waited for %s", what)
		case <-pause.C:
		}
	}
}

// reads waits until a path of the HTTP API is answered with all of these.
func (w *world) reads(path string, contains ...string) string {
	w.t.Helper()
	var last string
	defer func() {
		if w.t.Failed() {
			w.t.Logf("GET %s: %s", path, last)
		}
	}()
	until(w.t, path, 3*time.Minute, func() bool {
		status, answer, err := w.http(w.t.Context(), "GET", path, "")
		last = fmt.Sprint(status, " ", answer, " ", err)
		for _, text := range contains {
			if !strings.Contains(answer, text) {
				return false
			}
		}
		return status == http.StatusOK
	})
	return last
}

// typesOf returns the types of the events of an answer, in its order.
func typesOf(t testing.TB, answer string) (all []string) {
	t.Helper()
	var events []struct{ Type string }
	if err := json.Unmarshal([]byte(answer), &events); err != nil {
		t.Fatalf("%s: %v", answer, err)
	}
	for _, e := range events {
		all = append(all, e.Type)
	}
	return all
}
