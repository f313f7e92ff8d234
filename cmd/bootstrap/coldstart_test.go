package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/dynamo"
	"github.com/eb901187/annals/lambda"
)

// maxResident is the memory that a role may have before its first invocation; the
// time that it takes to get there is reported, and no more than that.
const maxResident = 64 << 20

// built is the bootstrap, compiled once as cmd/bootstrap/pack does.
var built = sync.OnceValues(func() (file string, err error) {
	if scratch, err = os.MkdirTemp("", "annals-bootstrap-"); err != nil {
		return "", err
	}
	file = filepath.Join(scratch, "bootstrap")
	c := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-tags", "lambda.norpc", "-o", file, ".")
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if text, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, text)
	}
	return file, nil
})

// scratch is the directory that built makes.
var scratch string

func TestMain(m *testing.M) {
	code := m.Run()
	if scratch != "" {
		_ = os.RemoveAll(scratch) // what is left is in the system's temporary directory
	}
	os.Exit(code)
}

// A runtime is as much of Lambda's Runtime API as a process needs to start.
type runtime struct {
	*httptest.Server
	ready  chan time.Time // when the process asked for its first invocation
	failed chan string    // what it said in place of that
}

func newRuntime(t *testing.T) *runtime {
	r := &runtime{ready: make(chan time.Time, 1), failed: make(chan string, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(_ http.ResponseWriter, request *http.Request) {
		r.ready <- time.Now()
		<-request.Context().Done()
	})
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", func(w http.ResponseWriter, request *http.Request) {
		text, err := io.ReadAll(request.Body)
		if err != nil {
			t.Error(err)
		}
		r.failed <- request.Header.Get("Lambda-Runtime-Function-Error-Type") + " " + string(text)
		w.WriteHeader(http.StatusAccepted)
	})
	r.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		r.CloseClientConnections()
		r.Close()
	})
	return r
}

// start runs the bootstrap in an environment that has nothing else.
func (r *runtime) start(t *testing.T, environ ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	file, err := built()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, file)
	c.Env = append([]string{
		"AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(r.URL, "http://"), "AWS_REGION=eu-central-1",
		"AWS_ACCESS_KEY_ID=id", "AWS_SECRET_ACCESS_KEY=secret", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=512",
	}, environ...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = c.Wait() // it was killed, or the test has looked at how it ended
	})
	return c, &out
}

// resident is the memory of a process: now, and at most so far.
func resident(t *testing.T, pid int) (now, most int64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		for name, to := range map[string]*int64{"VmRSS:": &now, "VmHWM:": &most} {
			if fields[0] == name {
				n, err := strconv.ParseInt(fields[1], 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				*to = n << 10
			}
		}
	}
	return now, most
}

// environ is that of a role on stand-ins, whose addresses come by the variables of
// the SDK.
func environ(t *testing.T, r lambda.Role, dynamodb, s3 string) []string {
	return []string{
		"ANNALS_ROLE=" + string(r), "ANNALS_STORE=dynamodb://cold?bucket=annals-cold", "ANNALS_INGEST_STREAM=cold-ingest", "ANNALS_PLAYBACK_STREAM=cold-playback",
		"ANNALS_QUEUE=cold-queue", "ANNALS_DEAD_LETTERS=http://127.0.0.1:1/cold-dead-letters",
		"AWS_ENDPOINT_URL_DYNAMODB=" + dynamodb, "AWS_ENDPOINT_URL_S3=" + s3,
	}
}

func TestColdStart(t *testing.T) {
	address := dynamo.Address{Name: "cold", Region: "eu-central-1", Bucket: "annals-cold", Endpoint: awstest.DynamoDB(t), S3Endpoint: awstest.S3(t, "annals-cold")}
	if err := dynamo.Init(t.Context(), address, nil, nil); err != nil {
		t.Fatal(err)
	}
	const runs = 5
	for _, role := range lambda.Roles() {
		if role == lambda.React {
			continue // the stock bootstrap has none
		}
		var took []time.Duration
		var memory int64
		for range runs {
			api := newRuntime(t)
			began := time.Now()
			c, out := api.start(t, environ(t, role, address.Endpoint, address.S3Endpoint)...)
			select {
			case at := <-api.ready:
				took = append(took, at.Sub(began))
				_, most := resident(t, c.Process.Pid)
				memory = max(memory, most)
			case text := <-api.failed:
				t.Fatalf("%s did not start: %s", role, text)
			case <-time.After(time.Minute):
				t.Fatalf("%s did not start in a minute: %s", role, out.String())
			}
		}
		slices.Sort(took)
		t.Logf("%-9s init %4d ms (the median of %d), at most %2d MiB resident", role, took[runs/2].Milliseconds(), runs, memory>>20)
		if memory > maxResident {
			t.Errorf("%s has %d bytes resident, more than %d", role, memory, int64(maxResident))
		}
	}
}

func TestWhatKeepsAFunctionFromStartingIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		environ []string
		exit    int
		want    string
	}{
		"configuration": {[]string{"ANNALS_ROLE=sequence", "ANNALS_BUCKET=b"}, 5, "ANNALS_STORE is not set"},
		"program":       {[]string{"ANNALS_ROLE=react", "ANNALS_STORE=dynamodb://cold"}, 5, "build a bootstrap of your own"},
		"store":         {[]string{"ANNALS_ROLE=command", "ANNALS_STORE=dynamodb://cold", "AWS_ENDPOINT_URL_DYNAMODB=" + awstest.DynamoDB(t)}, 4, "there is no cold-log"},
	} {
		t.Run(name, func(t *testing.T) {
			api := newRuntime(t)
			p, out := api.start(t, c.environ...)
			text := <-api.failed
			if err := p.Wait(); p.ProcessState.ExitCode() != c.exit {
				t.Errorf("it ended with %v, want exit code %d", err, c.exit)
			}
			var line struct{ Level, Msg, Error, Code, Role string }
			if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Level != "ERROR" || !strings.Contains(line.Error, c.want) || line.Role == "" {
				t.Errorf("it printed %s, %v", out.String(), err)
			}
			if !strings.HasPrefix(text, "Annals."+line.Code+" ") || !strings.Contains(text, c.want) {
				t.Errorf("Lambda was told %s", text)
			}
		})
	}
}

func TestATerminatedFunctionEnds(t *testing.T) {
	address := awstest.DynamoDB(t)
	api := newRuntime(t)
	p, out := api.start(t, environ(t, lambda.Load, address, address)...)
	<-api.ready
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("it ended with %v: %s", err, out.String())
	}
}
