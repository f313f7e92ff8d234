package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/eb901187/annals/listen"
)

const (
	slowClients  = 10_000
	slowVariable = "ANNALS_TEST_SLOW_CLIENTS_OF"
)

// TestMain runs slow clients in a process of their own, as they need as many open
// files as the gateway that they call.
func TestMain(m *testing.M) {
	if address := os.Getenv(slowVariable); address != "" {
		if err := beSlow(address); err != nil {
			fmt.Println("slow clients:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// beSlow opens connections: of four, two begin their headers, one nothing, and one a body,
// and then they stand still. It says so once all are open, and ends with its input.
func beSlow(address string) error {
	n, err := strconv.Atoi(os.Getenv("ANNALS_TEST_SLOW_CLIENTS"))
	if err != nil {
		return err
	}
	conns := make(chan net.Conn, n)
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			for i := worker; i < n && failed.Load() == nil; i += 16 {
				conn, err := net.Dial("tcp", address)
				if err == nil {
					conns <- conn
					_, _ = io.WriteString(conn, []string{"GET /slow HTTP/1.1\r\nHost: h\r\nX-A", "GET ", "", "POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\nab"}[i%4])
				} else {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	fmt.Println("open")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// With ten thousand clients that send nothing, or next to nothing, others are
// served as before: those that hold a connection without a request give way.
func TestManySlowClients(t *testing.T) {
	n := slowClients
	// A slow body takes up to two files on each of the gateway's sides, here with the service's.
	if most := (listen.Descriptors() - 500) * 4 / 6; n > most {
		t.Logf("ONLY %d SLOW CLIENTS, NOT %d: the process may open %d files", most, n, listen.Descriptors())
		n = most
	}
	w := begin(t, one(named(t, "a"))+fmt.Sprintf("limits: {connections: %d}\ntimeouts: {header: 1m, idle: 1m}\n", n/2))
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), slowVariable+"="+strings.TrimPrefix(w.url, "http://"), fmt.Sprint("ANNALS_TEST_SLOW_CLIENTS=", n))
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		said <- line
	}()
	served := 0
	for line := ""; line == ""; served++ {
		if x := get(t, w.url); x.status != http.StatusOK {
			t.Fatalf("while they come: %+v", x)
		}
		select {
		case line = <-said:
			if line != "open\n" {
				t.Fatal(line)
			}
		default:
		}
	}
	for range 100 {
		if x := get(t, w.url); x.status != http.StatusOK {
			t.Fatalf("%+v", x)
		}
	}
	if open := w.connections.Count(); open > n/2 {
		t.Errorf("%d connections are open", open)
	}
	t.Logf("%d calls were answered while %d slow clients came", served, n)
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}
