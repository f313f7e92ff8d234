package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/tracking"
	"github.com/eb901187/annals/tracking/gateway"
	"github.com/eb901187/annals/tracking/sink"
)

// demoGateway is the gateway's file, for the addresses of the three services. The
// store is open in this process, so that the recorder is made here.
const demoGateway = `listen: 127.0.0.1:0
admin: "off"
record: {to: none}
services:
  ` + serviceA + `: {to: http://%s}
  ` + serviceB + `: {to: http://%s}
  ` + serviceC + `: {to: http://%s}
routes:
- {path: /orders, service: ` + serviceA + `}
- {path: /stock, service: ` + serviceB + `}
- {path: /supplies, service: ` + serviceC + `}
`

// demoProjections are the views of the demo, by file.
var demoProjections = map[string]string{
	"services.yaml": `# How the calls of each service went.
query: {types: [` + tracking.ResponseType + `]}
key: .data.Name // empty
fold:
  ` + tracking.ResponseType + `: |
    .calls = (.calls // 0) + 1
    | .failed = (.failed // 0) + (if ($event.data.status // 599) >= 500 then 1 else 0 end)
    | .slowestMs = ([.slowestMs // 0, $event.data.durationMs // 0] | max)
`,
	"failures.yaml": `# The requests that failed, and in which services.
query: {types: [` + tracking.ResponseType + `]}
key: if (.data.status // 599) >= 500 then .correlation // empty else empty end
fold:
  ` + tracking.ResponseType + `: .services = ([$event.data.Name] + (.services // []))
`,
}

// demoViews defines the projections in dir.
func demoViews(dir string) (*keeping, error) {
	// One that changed since a kept store was served last is built anew.
	views := &keeping{viewing: viewing{definitions: filepath.Join(dir, "projections")}, rebuild: true}
	if err := os.Mkdir(views.definitions, 0o700); err != nil {
		return nil, err
	}
	for name, text := range demoProjections {
		if err := os.WriteFile(filepath.Join(views.definitions, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return views, nil
}

// A demonstration is three services behind a gateway whose recordings go to a store.
type demonstration struct {
	services demoServices
	recorder *tracking.Recorder
	address  string // of the gateway
	client   *http.Client
	logger   *slog.Logger
	failing  atomic.Bool // the last request of goOn failed
	ends     []func(context.Context) error
}

func (a *app) startDemo(ctx context.Context, store *annals.Store, plan faultPlan) (d *demonstration, err error) {
	d = &demonstration{logger: a.logger, services: demoServices{plan: plan, pause: pause, failed: map[string]bool{}}}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close(ctx))
		}
	}()
	if d.recorder, err = tracking.NewRecorder(sink.ToStore(store), &tracking.RecorderOptions{Clock: a.clock, Logger: a.logger}); err != nil {
		return d, err
	}
	d.ends = append(d.ends, d.recorder.Close)
	var listeners [4]net.Listener
	for i := range listeners {
		if listeners[i], err = gatewayListen(ctx, "the demo", "127.0.0.1:0"); err != nil {
			return d, err
		}
		d.ends = append(d.ends, func(context.Context) error { _ = listeners[i].Close(); return nil }) // where nothing serves it
	}
	d.address = "http://" + listeners[3].Addr().String()
	inner, outer := &http.Transport{MaxIdleConnsPerHost: mostRate}, &http.Transport{MaxIdleConnsPerHost: mostRate}
	d.services.gateway, d.services.calls = d.address, inner
	for i, handler := range []http.Handler{d.services.a(), d.services.b(), d.services.c()} {
		d.serve(listeners[i], handler)
	}
	if err = a.startDemoGateway(ctx, d, listeners); err != nil {
		return d, err
	}
	// The gateway's end waits for the connections to it.
	d.ends = append(d.ends, func(context.Context) error {
		inner.CloseIdleConnections()
		outer.CloseIdleConnections()
		return nil
	})
	d.client = &http.Client{Transport: outer, Timeout: 30 * time.Second}
	return d, nil
}

func (d *demonstration) serve(listener net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(d.logger.Handler(), slog.LevelDebug)}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	d.ends = append(d.ends, func(context.Context) error {
		err := server.Close()
		if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	})
}

func (a *app) startDemoGateway(ctx context.Context, d *demonstration, listeners [4]net.Listener) error {
	text := fmt.Appendf(nil, demoGateway, listeners[0].Addr(), listeners[1].Addr(), listeners[2].Addr())
	config, err := gateway.Parse("gateway.yaml", text)
	if err != nil {
		return err
	}
	g, err := gateway.New(config, d.recorder, &gateway.Options{Clock: a.clock, Logger: a.logger})
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- g.Serve(serving, listeners[3]) }()
	d.ends = append(d.ends, func(context.Context) error {
		stop()
		defer g.Close()
		return <-ended
	})
	return nil
}

// close ends everything, in the reverse order of its start, and delivers what was
// recorded.
func (d *demonstration) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliverTime)
	defer cancel()
	var errs []error
	for i := range d.ends {
		errs = append(errs, d.ends[len(d.ends)-1-i](ctx))
	}
	return errors.Join(errs...)
}

// A madeRequest is what the client knows of one.
type madeRequest struct {
	order  int
	id     string // as the gateway says
	status int
}

func (d *demonstration) request(ctx context.Context, order int) (madeRequest, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprint(d.address, "/orders/", order), nil)
	if err != nil {
		return madeRequest{}, err
	}
	status, _, header, err := fetch(d.client, r)
	if err != nil {
		return madeRequest{}, fmt.Errorf("order %d: %w", order, err)
	}
	return madeRequest{order, header.Get("X-Request-Id"), status}, nil
}

var errSlowDemo = &annals.Error{
	Code: annals.CodeTimeout, Message: "the first requests of the demo took longer than a minute", Hint: "try again when the machine has less to do",
}

// order makes the requests of the orders 1 to n, some at a time, and waits until all of
// their calls are in the store.
func (d *demonstration) order(ctx context.Context, n int) ([]madeRequest, error) {
	const atATime = 8
	made := make([]madeRequest, n)
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errSlowDemo)
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var next atomic.Int64
	var clients sync.WaitGroup
	for range atATime {
		clients.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				var err error
				if made[i], err = d.request(ctx, i+1); err != nil {
					fail(err)
				}
			}
		})
	}
	clients.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return made, d.deliver(ctx)
}

// deliver waits until what was recorded is in the store. A client may have the whole
// answer a moment before the gateway has recorded that.
func (d *demonstration) deliver(ctx context.Context) error {
	const moment = 2 * time.Millisecond
	for d.recorder.Stats().Reserved > 0 { // calls are under way
		if err := pause(ctx, moment); err != nil {
			return context.Cause(ctx)
		}
	}
	return d.recorder.Flush(ctx)
}

// goOn makes rate requests a second, of the orders from first on, until ctx ends, and
// waits for those under way.
func (d *demonstration) goOn(ctx context.Context, first int, rate float64) {
	if rate == 0 {
		return
	}
	ticker := time.NewTicker(time.Duration(min(float64(time.Second)/rate, float64(time.Hour))))
	defer ticker.Stop()
	var clients sync.WaitGroup
	defer clients.Wait()
	for order := first; ; order++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		clients.Go(func() {
			// Those under way end by themselves: none shall show as given up.
			_, err := d.request(context.WithoutCancel(ctx), order)
			if failing := d.failing.Swap(err != nil); err != nil && !failing {
				d.logger.Warn("requests of the demo get no answer from its gateway", "error", err)
			}
		})
	}
}
