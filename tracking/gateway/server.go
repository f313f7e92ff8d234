package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"

	"github.com/eb901187/annals/listen"
)

// counted is ServeHTTP for a server, each of whose requests has its connection count
// as used.
func (g *Gateway) counted(w http.ResponseWriter, r *http.Request) {
	end, ok := listen.Begin(r.Context())
	if !ok {
		w.Header().Set("Retry-After", retryAfter)
		g.answer(g.recorder.Incoming(r), w, tooManyCalls)
		return
	}
	defer end()
	g.ServeHTTP(w, r)
}

// Serve takes calls from listener, with the configured certificate and limits,
// until ctx ends. Calls under way are then given Timeouts.Shutdown; what is left
// of them is cut off, which is an error. It closes the listener.
func (g *Gateway) Serve(ctx context.Context, listener net.Listener) error {
	t := &g.config.Timeouts
	calls, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut() // ends upgraded connections
	server := &http.Server{
		Handler: http.HandlerFunc(g.counted), ConnContext: listen.ConnContext, Protocols: protocols(),
		BaseContext:       func(net.Listener) context.Context { return calls },
		ReadHeaderTimeout: t.Header, IdleTimeout: t.KeepAlive, MaxHeaderBytes: int(g.config.Limits.Header),
		ErrorLog: slog.NewLogLogger(g.logger.Handler(), slog.LevelDebug), // clients that break off
	}
	listener = g.connections.Limit(listener)
	if g.certificate != nil {
		server.TLSConfig = g.certificate.Config()
	}
	failed := make(chan error, 1)
	go func() {
		if g.certificate != nil {
			failed <- server.ServeTLS(listener, "", "")
			return
		}
		failed <- server.Serve(listener)
	}()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	g.ending.Store(true)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.Shutdown)
	defer cancel()
	err := server.Shutdown(last)
	if err == nil {
		return nil
	}
	cut()
	return errors.Join(errCut, server.Close())
}

// errCut is about calls that took longer than Timeouts.Shutdown.
var errCut = errors.New("calls were under way when timeouts.shutdown had passed, and were cut off")

// protocols are HTTP/1.1 and HTTP/2, the latter also without encryption.
func protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

// ServeAdmin serves Admin until ctx ends.
func (g *Gateway) ServeAdmin(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: g.Admin(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return server.Close()
	}
}

// ballastBytes is what a gateway may have in garbage before it is collected.
const ballastBytes = 192 << 20

// CollectLess makes the process collect garbage once there are 192 MiB of it, and not
// each time that the heap has doubled, unless the environment sets GOGC; what it
// returns undoes it. A gateway keeps a few megabytes and allocates many: at 2,000
// requests a second on 2 cores its collector ran ten times a second, and the p99 was
// twice as long.
//
// It holds that much memory without touching it, so that, taken when a process starts,
// it counts in Go's pace and not in what the machine has given. Against a higher GOGC, garbage stays bounded by
// 192 MiB and the live heap where bodies and slow clients make that large.
func CollectLess() (undo func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	ballast := make([]byte, ballastBytes)
	return func() { runtime.KeepAlive(ballast) }
}
