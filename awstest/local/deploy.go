package local

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// Options say how a stack is run.
type Options struct {
	// Bootstrap returns the program of a function.
	Bootstrap func(Function) string
	// Instances is how many invocations of a function run at once if it doesn't
	// say so itself; 4 if 0.
	Instances int
	// Patience is the longest wait where AWS lets wait for longer: visibility
	// timeouts, polls of streams, and the backoff of retries. Windows of batches
	// are kept. 0 waits as AWS does.
	Patience time.Duration
	// Clock is the real one if nil.
	Clock Clock
	// Fault may return an error in place of the answer to a call of a function. It
	// is called at once by several.
	Fault func(Call) *Fault
	// Denied is told at the end what functions were denied, a line for each. The
	// test fails with them if it is nil.
	Denied func([]string)
}

// A Deployment is a running stack. Its methods are safe to call at once.
type Deployment struct {
	// URL is the address of every service, as the stack's owner may use them:
	// DynamoDB with its Streams, S3, SQS, Kinesis, and Lambda to invoke functions.
	URL string
	// API is the address of the HTTP API.
	API string

	stack     Stack
	options   Options
	clock     Clock
	backends  backends
	functions map[string]*deployed
	gates     map[string]*gate
	ctx       context.Context
	end       context.CancelFunc
	mappings  sync.WaitGroup
	work      sync.WaitGroup // invocations that nobody waits for

	mu    sync.Mutex
	notes []string
}

// Deploy runs a stack until the test ends. It fails the test at the end if a
// function was denied anything, and tells what happened if the test failed.
func Deploy(t testing.TB, stack Stack, options Options) *Deployment {
	t.Helper()
	d := &Deployment{stack: stack, options: options, clock: options.Clock, functions: map[string]*deployed{}, gates: map[string]*gate{}}
	if d.clock == nil {
		d.clock = realClock{}
	}
	// The test's own context ends before its cleanups run.
	d.ctx, d.end = context.WithCancel(context.WithoutCancel(t.Context()))
	d.backends = startBackends(t, &d.stack)
	owner := &gate{stack: &d.stack, services: d.backends.addresses(), lambda: http.HandlerFunc(d.serveInvoke), client: d.backends.client}
	d.URL = serve(t, owner)
	for _, f := range stack.Functions {
		d.addFunction(t, f)
	}
	for _, route := range stack.Routes {
		if d.functions[route.Function] == nil {
			t.Fatalf("the route %s leads to the function %q, which is not in the stack", route.Key, route.Function)
		}
	}
	d.API = serve(t, &api{routes: stack.Routes, functions: d.functions})
	// Before the servers close, which wait for what is on its way.
	t.Cleanup(func() { d.finish(t) })
	for _, m := range stack.Mappings {
		if err := d.addMapping(m); err != nil {
			t.Fatalf("the mapping of %s to %s: %v", m.Source, m.Function, err)
		}
	}
	for _, s := range stack.Schedules {
		d.mappings.Go(func() { d.keep(s) })
	}
	return d
}

func serve(t testing.TB, h http.Handler) string {
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

func (d *Deployment) addFunction(t testing.TB, f Function) {
	n := f.Concurrency
	if n == 0 {
		n = d.options.Instances
	}
	if n == 0 {
		n = 4
	}
	g := &gate{
		stack: &d.stack, function: f.Name, policy: newPolicy(f.Grants), services: d.backends.addresses(), lambda: http.HandlerFunc(d.serveInvoke),
		fault: d.options.Fault, client: d.backends.client,
	}
	d.gates[f.Name] = g
	d.functions[f.Name] = &deployed{
		f: f, arn: d.stack.ARN("lambda", "function:"+f.Name), bootstrap: d.options.Bootstrap(f),
		environ: d.stack.environment(f, serve(t, g)), slots: make(chan struct{}, n),
	}
}

// finish stops everything and tells what went wrong.
func (d *Deployment) finish(t testing.TB) {
	d.end()
	for _, f := range d.functions {
		f.stop()
	}
	d.mappings.Wait()
	d.work.Wait()
	for _, f := range d.functions {
		f.stop() // what was started by an invocation that was on its way
	}
	lines := d.denied()
	if d.options.Denied != nil {
		d.options.Denied(lines)
	} else {
		for _, line := range lines {
			t.Error(line)
		}
	}
	if t.Failed() {
		d.tell(t)
	}
}

func (d *Deployment) denied() (lines []string) {
	for name, g := range d.gates {
		for _, n := range g.policy.refused() {
			lines = append(lines, fmt.Sprintf("%s needs %s on %s, which its role doesn't grant", name, n.action, n.resource))
		}
		g.mu.Lock()
		lines = append(lines, g.problems...)
		g.mu.Unlock()
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// tell logs the end of what functions printed and what mappings noted.
func (d *Deployment) tell(t testing.TB) {
	const most, long = 10, 1000
	for name, f := range d.functions {
		f.mu.Lock()
		// Metrics would hide what matters.
		lines := slices.DeleteFunc(slices.Clone(f.lines), func(l Line) bool { return strings.Contains(l.Text, `"_aws"`) })
		f.mu.Unlock()
		for _, line := range lines[max(0, len(lines)-most):] {
			t.Logf("%s: %.*s", name, long, line.Text)
		}
	}
	notes := d.Notes()
	for _, note := range notes[max(0, len(notes)-3*most):] {
		t.Logf("%.*s", long, note)
	}
}

func (d *Deployment) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.notes = append(d.notes, fmt.Sprintf(format, args...))
}

// Notes returns what mappings and later invocations met: failures and what they
// gave up.
func (d *Deployment) Notes() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.notes)
}

// QueueURL returns the address of a queue, for who uses the services at d.URL.
func (d *Deployment) QueueURL(name string) string { return d.URL + "/" + account + "/" + name }

// Config is what the SDK takes to use the services as the stack's owner.
func (d *Deployment) Config() aws.Config {
	return aws.Config{Region: d.stack.region(), Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""), BaseEndpoint: &d.URL}
}

// Environ is what programs take to do the same. The AWS CLI has to be given
// --endpoint-url as well: its version 1 doesn't look for it here.
func (d *Deployment) Environ() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + d.URL, "AWS_REGION=" + d.stack.region(), "AWS_DEFAULT_REGION=" + d.stack.region(),
		"AWS_ACCESS_KEY_ID=id", "AWS_SECRET_ACCESS_KEY=secret", "AWS_PAGER=", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
	}
}

// Invoke runs a function once, as Lambda's API does synchronously.
func (d *Deployment) Invoke(ctx context.Context, function string, payload []byte) (Result, error) {
	return d.functions[function].invoke(ctx, payload)
}

// Stats tell what became of a function's invocations.
func (d *Deployment) Stats(function string) Stats {
	f := d.functions[function]
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stats
}

// Lines returns what a function has printed.
func (d *Deployment) Lines(function string) []Line {
	f := d.functions[function]
	f.mu.Lock()
	all := slices.Clone(f.all)
	f.mu.Unlock()
	for _, i := range all {
		i.take()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.lines)
}

// Kill ends one process of a function at once, of n the one that pick chooses. It
// returns false if there is none.
func (d *Deployment) Kill(function string, pick func(n int) int) bool {
	return d.functions[function].kill(pick)
}

// Unused returns what a function's role grants and the function has never needed.
func (d *Deployment) Unused(function string) []string { return d.gates[function].policy.unused() }
