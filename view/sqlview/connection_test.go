package sqlview_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/sqltest"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/sqlview"
	"github.com/eb901187/annals/view/sqlview/connect"
)

// What a wire does with the next COMMIT.
const (
	pass      = iota
	loseIt    // the server never sees it
	loseReply // the server obeys, and nobody hears of it
)

// A wire stands between a client and a server and can be cut.
type wire struct {
	listener net.Listener
	server   string
	commit   atomic.Int32
	mu       sync.Mutex
	ends     []net.Conn
}

// throughWire is address by way of a wire.
func throughWire(t *testing.T, address string) (*wire, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{server: u.Host}
	if w.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.cut)
	go w.serve()
	u.Host = w.listener.Addr().String()
	return w, u.String()
}

func (w *wire) serve() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return // it was cut
		}
		server, err := net.Dial("tcp", w.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		w.mu.Lock()
		w.ends = append(w.ends, client, server)
		w.mu.Unlock()
		var lost atomic.Bool
		go w.copy(server, client, func(sent []byte) bool {
			if !isCommit(sent) {
				return true
			}
			lost.Store(w.commit.Load() == loseReply)
			return w.commit.Load() != loseIt
		})
		go w.copy(client, server, func([]byte) bool { return !lost.Load() })
	}
}

// isCommit knows the message of both protocols, and not the end of a begin
// isolation level read committed.
func isCommit(sent []byte) bool {
	sent = bytes.ToLower(sent)
	return bytes.HasSuffix(sent, []byte("commit\x00")) || bytes.HasSuffix(sent, []byte("\x03commit"))
}

// copy passes on what goes one way, until it must not.
func (w *wire) copy(to, from net.Conn, may func([]byte) bool) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if err != nil || !may(buffer[:n]) {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// cut ends all connections and takes no more.
func (w *wire) cut() {
	_ = w.listener.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.ends {
		_ = c.Close()
	}
}

// onServers runs test on an empty database of each server.
func onServers(t *testing.T, test func(t *testing.T, address string)) {
	t.Run("PostgreSQL", func(t *testing.T) { test(t, sqltest.PostgresURL(t)) })
	t.Run("MariaDB", func(t *testing.T) { test(t, sqltest.MariaDBURL(t)) })
}

func TestACommitWithoutAnAnswerHasAnUnknownOutcome(t *testing.T) {
	onServers(t, func(t *testing.T, address string) {
		direct := open(t, address)
		w, through := throughWire(t, address)
		s := open(t, through)
		for _, c := range []struct {
			commit int32
			stored string
		}{{loseIt, ""}, {loseReply, `1`}} {
			w.commit.Store(c.commit)
			err := s.Commit(t.Context(), view.Change{Put: puts("a", "1", `1`)})
			var failure *annals.Error
			if !errors.Is(err, annals.ErrUnknownOutcome) || !errors.As(err, &failure) || failure.Err == nil {
				t.Fatalf("error %v", err)
			}
			w.commit.Store(pass)
			if got := data(t, direct, "a", "1"); got != c.stored {
				t.Fatalf("got %q, want %q", got, c.stored)
			}
			// The store finds a connection that works.
			if err := s.Commit(t.Context(), view.Change{Put: puts("a", "2", `2`)}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestAServerThatIsGoneIsUnavailable(t *testing.T) {
	onServers(t, func(t *testing.T, address string) {
		w, through := throughWire(t, address)
		s := open(t, through)
		w.cut()
		_, err := s.Get(t.Context(), "a", "1")
		for name, err := range map[string]error{
			"get":    err,
			"commit": s.Commit(t.Context(), view.Change{Put: puts("a", "1", `1`)}),
			"drop":   s.Drop(t.Context(), "a"),
		} {
			if !errors.Is(err, annals.ErrUnavailable) {
				t.Errorf("%s: error %v", name, err)
			}
		}
		for _, err := range s.Scan(t.Context(), "a", view.Range{}) {
			if !errors.Is(err, annals.ErrUnavailable) {
				t.Errorf("scan: error %v", err)
			}
		}
		if _, err := connect.Open(t.Context(), through); !errors.Is(err, annals.ErrUnavailable) {
			t.Errorf("open: error %v", err)
		}
	})
}

// Whoever counts failures of an event must not count those of the connection.
func TestAConnectionThatBreaksDuringWork(t *testing.T) {
	onServers(t, func(t *testing.T, address string) {
		direct := open(t, address)
		for name, after := range map[string]func(ctx context.Context, tx *sql.Tx) error{
			"its next statement fails": statement("SELECT 1"),
			"it fails itself":          func(context.Context, *sql.Tx) error { return annals.Invalid("event", "of its own") },
			"it notices nothing":       func(context.Context, *sql.Tx) error { return nil },
		} {
			t.Run(name, func(t *testing.T) {
				w, through := throughWire(t, address)
				s := open(t, through)
				err := s.Commit(t.Context(), view.Change{Put: puts("a", "1", `1`), Work: func(ctx context.Context, tx *sql.Tx) error {
					w.cut()
					return after(ctx, tx)
				}})
				var failed *view.WorkError
				if !errors.Is(err, annals.ErrUnavailable) || errors.As(err, &failed) {
					t.Fatalf("error %v", err)
				}
				if got := data(t, direct, "a", "1"); got != "" {
					t.Fatalf("got %q", got)
				}
			})
		}
	})
}

// A change that waits for another's lock ends with its context, which may end
// before it gets that far: that is an error of the same kind.
func TestAContextThatEndsWhileAChangeWaits(t *testing.T) {
	onEach(t, func(t *testing.T, address string) {
		s, other := open(t, address), open(t, address)
		if err := s.Commit(t.Context(), view.Change{Put: puts("a", "1", `1`)}); err != nil {
			t.Fatal(err)
		}
		c := view.Change{Expect: expect("a", "1", []byte(`1`)), Put: puts("a", "1", `2`)}
		waiting := c
		c.Work = func(ctx context.Context, _ *sql.Tx) error {
			for _, waiter := range []*sqlview.Store{s, other} {
				late, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
				defer cancel()
				if err := waiter.Commit(late, waiting); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v", err)
				}
			}
			return nil
		}
		if err := s.Commit(t.Context(), c); err != nil || data(t, s, "a", "1") != `2` {
			t.Fatal(err)
		}
	})
}
