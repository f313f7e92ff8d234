package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Served is a server of a store, in a process of its own.
type Served struct {
	Address string // such as http://127.0.0.1:4000
	PID     int
	Stop    func() error // waits for its end
}

// Start serves the store in a directory by a process of its own, with more flags of
// annals serve. It returns when the server answers.
type Start func(ctx context.Context, store string, flags ...string) (*Served, error)

// StartCommand serves the store in a directory by a program that is annals, on a free
// port of this machine. The process is interrupted when ctx ends. An error holds the
// last of what it wrote to its standard error.
func StartCommand(ctx context.Context, program, store string, flags ...string) (*Served, error) {
	args := append([]string{"serve", "--json", "--store", store, "--listen", "127.0.0.1:0"}, flags...)
	c := exec.CommandContext(ctx, program, args...)
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	said := &lastBytes{}
	c.Stderr = said
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	var serving struct{ Address string }
	if err := json.NewDecoder(out).Decode(&serving); err != nil {
		_ = c.Cancel() // it is mostly gone already
		ended := c.Wait()
		return nil, errors.Join(fmt.Errorf("the server did not start: %s", said), err, ended)
	}
	return &Served{Address: serving.Address, PID: c.Process.Pid, Stop: func() error {
		if err := errors.Join(c.Cancel(), c.Wait()); err != nil {
			return fmt.Errorf("the server did not end well: %w: %s", err, said)
		}
		return nil
	}}, nil
}

// lastBytes keeps the end of what is written to it.
type lastBytes struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (l *lastBytes) Write(p []byte) (int, error) {
	const kept = 4 << 10
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	if len(l.text) > 2*kept {
		l.text = append(l.text[:0], l.text[len(l.text)-kept:]...)
	}
	return len(p), nil
}

// String is what is kept.
func (l *lastBytes) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// A ProcessUsage is what a process has of the machine. What this machine or the process
// doesn't tell is 0.
type ProcessUsage struct {
	RSS        int64         `json:"rssBytes"`       // resident, with the pages of the log that are mapped
	Anonymous  int64         `json:"anonymousBytes"` // resident, without files' pages: what the process itself has taken
	Heap       int64         `json:"heapBytes"`      // of Go, in use
	FDs        int           `json:"fds"`
	Tables     int           `json:"tables"` // of FDs: those of Pebble's tables
	Goroutines int           `json:"goroutines"`
	CPU        time.Duration `json:"-"` // since its start
}

var selfPID = os.Getpid()

// usageOf reads what a process has, from /proc.
func usageOf(pid int) (u ProcessUsage, err error) {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	if errors.Is(err, os.ErrNotExist) {
		if _, gone := os.Stat("/proc/self"); gone != nil {
			return u, nil // no Linux
		}
	}
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		into := map[string]*int64{"VmRSS": &u.RSS, "RssAnon": &u.Anonymous}[name]
		if into == nil {
			continue
		}
		if _, err := fmt.Sscanf(value, "%d kB", into); err != nil {
			return u, fmt.Errorf("%s: %q: %w", proc, line, err)
		}
		*into <<= 10
	}
	files, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		return u, err
	}
	u.FDs = len(files)
	for _, file := range files {
		// One that was closed meanwhile is none.
		if target, err := os.Readlink(filepath.Join(proc, "fd", file.Name())); err == nil && strings.HasSuffix(target, ".sst") {
			u.Tables++
		}
	}
	u.CPU, err = cpuOf(proc)
	return u, err
}

// cpuOf reads the 14th and 15th field of stat, in hundredths of a second.
func cpuOf(proc string) (time.Duration, error) {
	stat, err := os.ReadFile(filepath.Join(proc, "stat"))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("%s/stat has %d fields", proc, len(fields))
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * time.Second / 100, errors.Join(err, err2)
}

// usage is that of the server's process, with what its metrics tell.
func (s *Served) usage(ctx context.Context) (ProcessUsage, error) {
	u, err := usageOf(s.PID)
	if err != nil {
		return u, err
	}
	metrics, err := s.metrics(ctx)
	u.Heap, u.Goroutines = int64(metrics["go_memstats_heap_inuse_bytes"]), int(metrics["go_goroutines"])
	return u, err
}

// metrics are those of the server that have no labels.
func (s *Served) metrics(ctx context.Context) (map[string]float64, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Address+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	all := map[string]float64{}
	lines := bufio.NewScanner(io.LimitReader(answer.Body, 4<<20))
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if n, err := strconv.ParseFloat(value, 64); ok && err == nil {
			all[name] = n
		}
	}
	return all, lines.Err()
}
