package client

import (
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/storetest"
	"github.com/eb901187/annals/subject/subjecttest"
)

// serveSealing serves a store that seals. It returns a client's store, and the server's
// own without keys.
func serveSealing(t *testing.T, sealer annals.Sealer) (remote, bare *annals.Store) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	driver, err := embedded.OpenDriver(t.TempDir(), &embedded.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	opts := annals.Options{Sealer: sealer}
	own := annals.New(driver, &opts)
	server := httptest.NewServer(httpapi.New(own, &httpapi.Options{Logger: quiet}))
	if remote, err = Open(server.URL, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := remote.Close(); err != nil {
			t.Error(err)
		}
		server.CloseClientConnections()
		server.Close()
		if err := own.Close(); err != nil {
			t.Error(err)
		}
	})
	return remote, annals.New(driver, nil)
}

func TestContractOfSubjectsThroughAServer(t *testing.T) {
	storetest.RunSubjects(t, subjecttest.Keeper, serveSealing)
	t.Run("a server without keys takes nothing in clear", func(t *testing.T) {
		storetest.RunUnsealed(t, func(t *testing.T, _ string) annals.Driver {
			d, err := OpenDriver(serve(t, nil), nil)
			if err != nil {
				t.Fatal(err)
			}
			return d
		})
	})
}
