package fuzzapi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/subject"
	"github.com/eb901187/annals/subject/erase"
	"github.com/eb901187/annals/view/pebbleview"
)

const ordersFile = `name: orders
query: {types: [placed, paid, removed]}
fold:
  placed: '{total: ($event.data.total + 0), status: "placed"}'
  paid: '.status = "paid"'
delete: [removed]
`

// A world is a server with everything that a server may have. Open it anew for each
// campaign, so that answers stay small.
type world struct {
	server *httptest.Server
	tokens map[string]string
	log    *logged
	close  func() error
}

// A logged keeps what a server says of itself.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// panics returns the lines that tell of one.
func (l *logged) panics() (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(l.text.Bytes()) {
		if bytes.Contains(bytes.ToLower(line), []byte("panic")) {
			lines = append(lines, string(line))
		}
	}
	return lines
}

// accounts makes a file of tokens, one for each role.
func accounts(t *testing.T) (tokens map[string]string, path string) {
	t.Helper()
	tokens = map[string]string{}
	var file bytes.Buffer
	for _, role := range []access.Role{access.Read, access.Append, access.Operate} {
		token, line, err := access.NewToken(access.Principal{Name: "fuzz-" + string(role), Roles: []access.Role{role}})
		if err != nil {
			t.Fatal(err)
		}
		tokens[string(role)] = token
		file.WriteString(line + "\n")
	}
	path = filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return tokens, path
}

// open starts a world: with tokens for odd numbers. wrap may put something around the handler.
func open(t *testing.T, number int, wrap func(http.Handler) http.Handler) *world {
	t.Helper()
	w := &world{log: &logged{}}
	logger := slog.New(slog.NewTextHandler(w.log, nil))
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	master, err := subject.LocalWrapper([]byte("32 bytes of chance, kept secret."))
	must(err)
	keyring, err := subject.New(subject.MemoryShelf(), master, &subject.Options{Wait: func(context.Context, time.Duration) error { return nil }})
	must(err)
	store, err := embedded.Open("store", &embedded.Options{FS: vfs.NewMem(), Logger: logger, Store: &annals.Options{Sealer: keyring}})
	must(err)
	orders, err := projection.Parse("orders.yaml", []byte(ordersFile))
	must(err)
	views := pebbleview.Memory()
	set, err := projection.Open(t.Context(), store, views, []*projection.Projection{orders, projection.State()}, &projection.Options{
		Poll: time.Millisecond, Part: playback.ParsePart,
		Consumer: consumer.Options{ID: "runner", Poll: time.Millisecond, Logger: logger, Backoff: func(int) time.Duration { return time.Microsecond }},
	})
	must(err)
	eraser, err := erase.New(erase.Options{Store: store, Keys: keyring, Views: set, Pause: func(context.Context) { runtime.Gosched() }})
	must(err)
	runner := playback.NewRunner(store, &playback.Options{Runner: "server"}, logger)
	opts := &httpapi.Options{
		Logger: logger, Projections: set, Playbacks: runner, Eraser: eraser, NoteActions: true, Heartbeat: 5 * time.Millisecond,
		Reload: func(string) (*projection.Projection, error) { return nil, nil },
	}
	if number%2 == 1 {
		var path string
		w.tokens, path = accounts(t)
		opts.Authenticator, err = access.OpenTokens(path, logger)
		must(err)
	}
	handler := httpapi.New(store, opts)
	if wrap != nil {
		handler = wrap(handler)
	}
	w.server = httptest.NewUnstartedServer(handler)
	w.server.Config.ErrorLog = slog.NewLogLogger(logger.Handler(), slog.LevelError)
	w.server.Start()
	w.run(set, runner, views, store)
	return w
}

// run keeps the views of set, until close ends it and all else.
func (w *world) run(set *projection.Set, runner *playback.Runner, stores ...io.Closer) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- set.Run(ctx) }()
	w.close = func() error {
		w.server.CloseClientConnections()
		w.server.Close()
		runner.Close()
		stop()
		err := <-ended
		if errors.Is(err, context.Canceled) {
			err = nil
		}
		for _, c := range stores {
			err = errors.Join(err, c.Close())
		}
		return err
	}
}
