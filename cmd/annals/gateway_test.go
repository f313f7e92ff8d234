package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/tracking"
)

const gatewayFile = "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nrecord: {to: '%s', spill: {dir: '%s'}}\nservices: {a: {to: %s}}\nroutes: [{service: a}]\n"

func written(t *testing.T, format string, args ...any) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(name, fmt.Appendf(nil, format, args...), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestGatewayMisuse(t *testing.T) {
	t.Chdir(t.TempDir())
	good := written(t, gatewayFile, "none", "s", "http://127.0.0.1:1")
	bad := written(t, "listne: x\nroutes: []\n")
	noCert := written(t, "tls: {cert: none.pem, key: none.pem}\n"+gatewayFile, "none", "s", "http://127.0.0.1:1")
	taken := httptest.NewServer(http.NotFoundHandler())
	defer taken.Close()
	inUse := written(t, "listen: %s\nrecord: {to: none}\nservices: {a: {to: http://h}}\nroutes: [{service: a}]\n", taken.Listener.Addr())
	sqs := written(t, gatewayFile, "sqs:x", "s", "http://127.0.0.1:1")
	for line, c := range map[string]misuse{
		"gateway":                            {2, "gateway needs --config"},
		"gateway x":                          {2, "takes no arguments"},
		"gateway --config none.yaml":         {4, "docs/gateway.md"},
		"gateway --config .":                 {5, "can't be read"},
		"gateway --config " + bad:            {5, ":1: unknown key listne"},
		"gateway --check --config " + noCert: {5, "the certificate none.pem"},
		"gateway --check --config " + good:   {0, ""},
		"gateway --config " + inUse:          {6, "which listen names"},
		"gateway --config " + sqs:            {5, "sqs:"},
		"gateway --check --config " + sqs:    {5, "sqs:"},
	} {
		if got := typed(t.Context(), "", strings.Fields(line)...); got.exit != c.exit || !strings.Contains(got.errs, c.want) {
			t.Errorf("%s: %+v", line, got)
		}
	}
	if got := typed(t.Context(), "", "gateway", "--check", "--json", "--config", good); !strings.Contains(got.out, `"routes":1`) {
		t.Errorf("%+v", got)
	}
}

// A process is annals as its users start it.
type process struct {
	*exec.Cmd
	said map[string]string // what it printed with --json
}

func startProcess(t *testing.T, binary string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(binary, append(args, "--json")...)}
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &p.said)
	}
	if err != nil {
		t.Fatalf("%q printed %q: %v", args, line, err)
	}
	return p
}

// kill is SIGKILL.
func (p *process) kill() {
	_ = p.Process.Kill()
	_ = p.Wait() // killed
}

// eventually waits until f is true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !f(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func fetched(t *testing.T, url string, header ...string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s, %v", url, answer.Status, text, err)
	}
	_ = answer.Body.Close()
	return string(text)
}

// The store's server is killed, calls go on, and the gateway is killed once it has
// spilled what it took; after both have started again nothing is lost or twice there.
func TestKilledGatewayLosesNothingThatItSpilled(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "annals")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "text") }))
	defer service.Close()
	dir := filepath.Join(t.TempDir(), "store")
	serve := startProcess(t, binary, "serve", "--listen", "127.0.0.1:0", "--store", dir)
	address := serve.said["address"]
	file := written(t, gatewayFile, address, filepath.Join(t.TempDir(), "spill"), service.URL)
	gateway := startProcess(t, binary, "gateway", "--config", file)
	made := 0
	call := func(n int) {
		for range n {
			made++
			fetched(t, gateway.said["address"]+"/x", "X-Request-Id", fmt.Sprint("r-", made))
		}
	}
	call(100)
	serve.kill()
	call(200)
	eventually(t, "all is spilled", func() bool {
		text := fetched(t, gateway.said["admin"]+"/metrics")
		return strings.Contains(text, `recorder_waiting_events{in="memory"} 0`)
	})
	gateway.kill()
	serve = startProcess(t, binary, "serve", "--listen", strings.TrimPrefix(address, "http://"), "--store", dir)
	gateway = startProcess(t, binary, "gateway", "--config", file)
	call(10)
	store, err := client.Open(serve.said["address"], nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	count := map[string]int{}
	eventually(t, "all is stored", func() bool {
		clear(count)
		n := 0
		for e, err := range store.Log(t.Context(), annals.Query{Types: []string{tracking.RequestType, tracking.ResponseType}}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
			count[e.Correlation]++
		}
		return n >= 2*made
	})
	for i := range made {
		if n := count[fmt.Sprint("r-", i+1)]; n != 2 {
			t.Errorf("request r-%d has %d events", i+1, n)
		}
	}
	if err := gateway.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := gateway.Wait(); err != nil {
		t.Errorf("the gateway ended with %v", err)
	}
}

// gatewayRun is the gateway in this process.
type gatewayRun struct {
	address string
	end     func() outcome
}

func runGateway(t *testing.T, file string) gatewayRun {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	said, done := make(chan string, 1), make(chan outcome, 1)
	var errs strings.Builder
	go func() {
		exit := Run(ctx, []string{"gateway", "--json", "--config", file}, strings.NewReader(""), writerFunc(func(b []byte) (int, error) {
			said <- string(b)
			return len(b), nil
		}), &errs)
		done <- outcome{exit: exit, errs: errs.String()}
	}()
	var printed map[string]string
	select {
	case text := <-said:
		if err := json.Unmarshal([]byte(text), &printed); err != nil {
			t.Fatal(text)
		}
	case got := <-done:
		t.Fatalf("%+v", got)
	}
	return gatewayRun{printed["address"], func() outcome { interrupt(); return <-done }}
}

// Spans go to a collector, and one that hangs holds up nothing.
func TestGatewaySpans(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Header.Get("Traceparent")) }))
	defer service.Close()
	var hangs atomic.Bool
	spans, free := make(chan string, 99), make(chan struct{})
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if hangs.Load() {
			<-free
		}
		if err == nil && r.URL.Path == "/v1/traces" {
			spans <- string(text)
		}
	}))
	defer collector.Close()
	defer close(free)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
	store := filepath.Join(t.TempDir(), "store")
	file := written(t, gatewayFile, store, filepath.Join(t.TempDir(), "spill"), service.URL)
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	run := runGateway(t, file)
	passed := fetched(t, run.address, "Traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	if got := run.end(); got.exit != 0 {
		t.Fatalf("%+v", got)
	}
	id := strings.Split(passed, "-")[2]
	var raw [8]byte
	if _, err := fmt.Sscanf(id, "%016x", new(uint64)); err != nil {
		t.Fatal(passed)
	}
	for i := range raw {
		if _, err := fmt.Sscanf(id[2*i:2*i+2], "%02x", &raw[i]); err != nil {
			t.Fatal(err)
		}
	}
	if text := <-spans; !strings.Contains(text, string(raw[:])) || !strings.Contains(text, "Gateway") {
		t.Errorf("the span of call %s did not come: %q", id, text)
	}
	got := typed(t.Context(), "", "trace", trace, "--store", store, "--json")
	if got.exit != 0 || !strings.Contains(got.out, `"`+id+`"`) {
		t.Errorf("%+v", got)
	}
	hangs.Store(true)
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "100")
	run = runGateway(t, file)
	for range 20 {
		fetched(t, run.address)
	}
	if got := run.end(); got.exit != 0 || !strings.Contains(got.errs, "lost") {
		t.Errorf("with a collector that hangs: %+v", got)
	}
}
