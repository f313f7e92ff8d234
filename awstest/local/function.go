package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// deployed is a function that can be invoked.
type deployed struct {
	f         Function
	arn       string
	bootstrap string
	environ   []string
	slots     chan struct{} // one for each invocation that may run at once

	mu    sync.Mutex
	idle  []*instance // the one that was used last comes last
	all   []*instance
	lines []Line
	stats Stats
}

// A Line is one that a function printed.
type Line struct {
	// Request is the invocation that printed it; empty outside of invocations.
	Request string
	Text    string
}

// Stats tell what became of a function's invocations.
type Stats struct {
	Invocations, Errors int
	Starts, Kills       int
	// Init is the longest time from the start of a process to its asking for work.
	Init time.Duration
	// Resident is the most memory that a process has had, in bytes.
	Resident int64
}

// A Result is the end of an invocation.
type Result struct {
	Request string
	Payload []byte
	// Failed says that the function returned an error, ended or ran out of time.
	// Payload tells which.
	Failed bool
}

// initLimit is how long Lambda waits for a function to start.
const initLimit = 10 * time.Second

func (d *deployed) timeout() time.Duration {
	if d.f.Timeout == 0 {
		return 3 * time.Second
	}
	return d.f.Timeout
}

// invoke runs the function once. It waits while as many invocations run as may;
// its error is the end of ctx, or that no process can be started.
func (d *deployed) invoke(ctx context.Context, payload []byte) (Result, error) {
	select {
	case d.slots <- struct{}{}:
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	defer func() { <-d.slots }()
	for {
		c := &call{id: newID(), payload: payload, done: make(chan struct{})}
		i, err := d.take(ctx)
		if err != nil {
			return Result{}, err
		}
		if err := i.awaitReady(initLimit); err != nil {
			d.forget(i)
			d.count(true)
			return Result{Request: c.id, Payload: failure("Runtime.ExitError", "%v", err), Failed: true}, nil
		}
		c.deadline = time.Now().Add(d.timeout())
		if err := i.run(c); errors.Is(err, errEnded) {
			d.forget(i)
			continue
		}
		d.release(i)
		d.count(c.failed)
		return Result{Request: c.id, Payload: c.answer, Failed: c.failed}, nil
	}
}

func (d *deployed) take(ctx context.Context) (*instance, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.idle); n > 0 {
		i := d.idle[n-1]
		d.idle = d.idle[:n-1]
		return i, nil
	}
	i, err := d.start()
	if err != nil {
		return nil, err
	}
	d.all = append(d.all, i)
	d.stats.Starts++
	return i, nil
}

// release keeps an instance for the next invocation, unless its process has ended.
func (d *deployed) release(i *instance) {
	select {
	case <-i.ended:
		d.forget(i)
	default:
		d.mu.Lock()
		defer d.mu.Unlock()
		d.idle = append(d.idle, i)
	}
}

func (d *deployed) forget(i *instance) {
	d.mu.Lock()
	defer d.mu.Unlock()
	same := func(other *instance) bool { return other == i }
	d.idle, d.all = slices.DeleteFunc(d.idle, same), slices.DeleteFunc(d.all, same)
}

func (d *deployed) count(failed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Invocations++
	if failed {
		d.stats.Errors++
	}
}

func (d *deployed) measure(i *instance) {
	bytes := resident(i.process.Process.Pid)
	d.mu.Lock()
	defer d.mu.Unlock()
	i.mu.Lock()
	defer i.mu.Unlock()
	d.stats.Init, d.stats.Resident = max(d.stats.Init, i.init), max(d.stats.Resident, bytes)
}

func (d *deployed) print(request, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, Line{request, text})
}

// kill ends one process, of those there are the one that pick chooses.
func (d *deployed) kill(pick func(n int) int) bool {
	d.mu.Lock()
	if len(d.all) == 0 {
		d.mu.Unlock()
		return false
	}
	i := d.all[pick(len(d.all))]
	d.stats.Kills++
	d.mu.Unlock()
	i.kill()
	d.forget(i)
	return true
}

// stop ends every process.
func (d *deployed) stop() {
	d.mu.Lock()
	all := slices.Clone(d.all)
	d.mu.Unlock()
	for _, i := range all {
		i.kill()
	}
}

// newID returns a random UUID.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// environment is what Lambda sets for a function beside its own variables.
func (s *Stack) environment(f Function, gate string) []string {
	env := map[string]string{
		"AWS_REGION": s.region(), "AWS_DEFAULT_REGION": s.region(),
		"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token",
		"AWS_LAMBDA_FUNCTION_NAME": f.Name, "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": fmt.Sprint(max(f.Memory, 128)), "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/" + f.Name, "AWS_LAMBDA_LOG_STREAM_NAME": "local",
		"AWS_EXECUTION_ENV": "AWS_Lambda_provided.al2023", "LAMBDA_TASK_ROOT": "/var/task", "LAMBDA_RUNTIME_DIR": "/var/runtime",
		"_HANDLER": "bootstrap", "TZ": ":UTC", "LANG": "en_US.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin",
		"AWS_ENDPOINT_URL": gate,
	}
	for _, service := range []string{"DYNAMODB", "DYNAMODB_STREAMS", "S3", "SQS", "KINESIS", "LAMBDA"} {
		env["AWS_ENDPOINT_URL_"+service] = gate
	}
	for name, value := range f.Env {
		env[name] = value
	}
	var environ []string
	for name, value := range env {
		environ = append(environ, name+"="+value)
	}
	slices.Sort(environ)
	return environ
}
