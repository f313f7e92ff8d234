package dynamo

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A process that was frozen, as AWS Lambda does it, still holds connections that the
// other side has given up meanwhile, more than a request has tries.
func TestAFrozenProcessConnectsAnew(t *testing.T) {
	type born struct{}
	const many = 2 * maxTries
	var generation atomic.Int64
	var together sync.WaitGroup
	together.Add(many)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(born{}) == generation.Load() {
			if r.URL.Path == "/together" {
				together.Done()
				together.Wait()
			}
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			err = conn.(*net.TCPConn).SetLinger(0)
		}
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.Close() // which resets it
	}))
	server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, born{}, generation.Load())
	}
	server.Start()
	t.Cleanup(server.Close)

	cfg, err := configured(t.Context(), Address{Name: "a", Region: "eu-central-1", Endpoint: server.URL}, tryTimeout)
	if err != nil {
		t.Fatal(err)
	}
	client := cfg.HTTPClient.(wholeBodies).HTTPClient.(*freshConnections)
	var now atomic.Int64
	client.now = func() time.Time { return time.Unix(1e9+now.Load(), 0) }
	ask := func(path string) error {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.GetBody = nil // as the SDK has it
		answer, err := cfg.HTTPClient.Do(r)
		if err != nil {
			return err
		}
		return answer.Body.Close()
	}
	var all sync.WaitGroup
	for range many {
		all.Go(func() {
			if err := ask("/together"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := ask("/"); err != nil {
		t.Error(err)
	}
	generation.Add(1)
	if err := ask("/"); err == nil {
		t.Fatal("premise: a connection that was given up answers")
	}
	now.Add(60)
	if err := ask("/"); err != nil {
		t.Errorf("a minute later: %v", err)
	}
}
