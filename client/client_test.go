package client

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/storetest"
)

// serve starts a server over a new store and returns its address.
func serve(t *testing.T, wrap func(http.Handler) http.Handler) string {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	store, err := embedded.Open(t.TempDir(), &embedded.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	handler := httpapi.New(store, &httpapi.Options{Logger: quiet})
	if wrap != nil {
		handler = wrap(handler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	server := httptest.NewUnstartedServer(handler)
	server.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Start()
	t.Cleanup(func() {
		cancel()
		server.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return server.URL
}

func TestContractAgainstALiveServer(t *testing.T) {
	addresses := map[string]string{}
	storetest.Run(t, func(t *testing.T, dir string) annals.Driver {
		if addresses[dir] == "" {
			addresses[dir] = serve(t, nil)
		}
		d, err := OpenDriver(addresses[dir], nil)
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}

func TestServerThatIsNotThereIsUnavailable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(t.Context(), "a", 0, storetest.Event("1", "T", "1")); !errors.Is(err, annals.ErrUnavailable) || errors.Is(err, annals.ErrUnknownOutcome) {
		t.Fatalf("append: %v", err)
	}
	for _, err := range s.Log(t.Context(), annals.Query{}) {
		if !errors.Is(err, annals.ErrUnavailable) {
			t.Fatalf("log: %v", err)
		}
	}
}

// A reply that is lost after the server has stored the events is resolved to
// their commit.
func TestLostReplyIsResolved(t *testing.T) {
	lost := 0
	address := serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && lost < 2 {
				lost++
				next.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	})
	s, err := Open(address, &Options{Store: &annals.Options{Pause: func(context.Context, int) {}}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Append(t.Context(), "a", 0, annals.Event{Type: "T"}, annals.Event{Type: "T"})
	if err != nil || c.Version != 2 || c.Count != 2 || lost != 2 {
		t.Fatalf("got %+v, %v after %d lost replies", c, err, lost)
	}
}

// A response that is cut off ends in an error, whatever it held before.
func TestCutOffReadIsAnError(t *testing.T) {
	address := serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				next.ServeHTTP(w, r)
				return
			}
			whole := httptest.NewRecorder()
			next.ServeHTTP(whole, r)
			text := whole.Body.String()
			_, _ = io.WriteString(w, text[:strings.LastIndex(text[:len(text)-1], "\n")+1])
			panic(http.ErrAbortHandler)
		})
	})
	s, err := Open(address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"1", "2", "3"} {
		if _, err := s.Append(t.Context(), "a", annals.Any, storetest.Event(id, "T", "1")); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	var last error
	for _, err := range s.Log(t.Context(), annals.Query{}) {
		if last = err; err == nil {
			n++
		}
	}
	if last == nil || n > 2 {
		t.Fatalf("read %d events and error %v", n, last)
	}
}

func TestAddress(t *testing.T) {
	for _, address := range []string{"", "annals-data", "ftp://host", "http://", "http://h?x=1"} {
		if _, err := Open(address, nil); !errors.Is(err, annals.ErrInvalid) {
			t.Errorf("%q: %v", address, err)
		}
	}
}
