package linear

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/eb901187/annals"
)

// killed is a store behind annals serve, a process of its own that is killed and
// started again, and stopped and continued, all the time.
type killed struct {
	*proxy
	t       *testing.T
	random  *rand.Rand // of kills and pauses
	binary  string
	dir     string
	clients int
	every   int // requests between two of them
	backend *http.Transport

	process *exec.Cmd
	said    bytes.Buffer // by the process, to be read once it has ended
	server  string
	end     chan struct{}
	chaos   sync.WaitGroup
}

const (
	kill  = "kill -9"
	pause = "pause"
)

func newKilled(t *testing.T, seed uint64, clients, every int) *killed {
	t.Helper()
	w := &killed{
		t: t, random: rand.New(rand.NewPCG(seed, 6)), every: every, binary: filepath.Join(t.TempDir(), "annals"),
		backend: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
	}
	if out, err := exec.Command("go", "build", "-o", w.binary, "../../cmd/annals").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	w.proxy = newProxy(t, seed, w.pass, kill, pause)
	w.stores(t, clients)
	t.Cleanup(w.stop)
	return w
}

// stop ends the process, if there is one.
func (w *killed) stop() {
	if w.process != nil {
		_ = w.process.Process.Kill()
		_ = w.process.Wait() // "signal: killed"
		w.process = nil
		w.backend.CloseIdleConnections()
	}
}

func (w *killed) begin(clients int) {
	if w.process != nil {
		w.down(w.stop)
	}
	w.clients, w.dir = clients, filepath.Join(w.t.TempDir(), "store")
	w.on()
	w.quiet(false)
	w.end = make(chan struct{})
	w.chaos.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-w.calls.after(w.every/2 + w.random.IntN(w.every)):
			case <-w.end:
				return
			}
			if w.process == nil {
				return // it did not start: the test has failed
			}
			if n == 0 || n > 1 && w.random.IntN(2) == 0 {
				w.kill()
			} else {
				w.pause()
			}
		}
	})
}

// on starts the server. If that fails, requests find nobody.
func (w *killed) on() {
	defer w.start()
	c := exec.Command(w.binary, "serve", "--json", "--console=false", "--store", w.dir, "--listen", "127.0.0.1:0")
	c.Stderr, c.SysProcAttr = &w.said, endWithUs()
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		w.t.Error(err)
		return
	}
	var hello struct{ Address string }
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &hello)
	}
	if err != nil {
		_, _ = c.Process.Kill(), c.Wait()
		w.t.Errorf("the server did not start: %v, %s\n%s", err, line, &w.said)
		return
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	w.mu.Lock()
	w.process, w.server = c, hello.Address
	w.mu.Unlock()
}

// pass sends a request on to the process.
func (w *killed) pass(r *http.Request) (*answer, error) {
	r = r.Clone(r.Context())
	r.RequestURI = ""
	w.mu.RLock()
	server := w.server
	w.mu.RUnlock()
	address, err := r.URL.Parse(server)
	if err != nil {
		return nil, err
	}
	r.URL.Scheme, r.URL.Host, r.Host = address.Scheme, address.Host, address.Host
	r.Header.Del(nameHeader)
	got, err := w.backend.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	return &answer{got.StatusCode, got.Header, body}, err
}

// kill ends the process in the middle of what it does, and starts another one.
func (w *killed) kill() {
	w.note(kill)
	w.down(func() { _ = w.process.Process.Kill() })
	w.stop()
	w.on()
}

// pause stops the process until half of the clients have given up. What it was sent
// meanwhile, it does afterwards.
func (w *killed) pause() {
	w.note(pause)
	if err := w.process.Process.Signal(syscall.SIGSTOP); err != nil {
		w.t.Error(err)
	}
	select {
	case <-w.leaving.after(max(1, w.clients/2)):
	case <-w.end:
	}
	if err := w.process.Process.Signal(syscall.SIGCONT); err != nil {
		w.t.Error(err)
	}
}

func (w *killed) planted() map[string]int { return w.counts() }

func (w *killed) calm() *annals.Store {
	w.quiet(true)
	close(w.end)
	w.chaos.Wait()
	w.late.Wait()
	return w.steady
}
