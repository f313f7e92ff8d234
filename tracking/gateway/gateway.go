package gateway

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/eb901187/annals/listen"
	"github.com/eb901187/annals/tracking"
)

// Options changes how a gateway works; nil means the defaults.
type Options struct {
	// Clock tells how long calls took and when a failing target is tried again;
	// time.Now by default.
	Clock func() time.Time
	// Logger gets what an operator should know: targets that fail and come back,
	// and certificates that can't be read; slog.Default by default.
	Logger *slog.Logger
	// Collectors add their metrics to those of /metrics.
	Collectors []prometheus.Collector
}

// A Gateway sends calls on to services and records them. It is an http.Handler
// for calls, and safe for concurrent use.
type Gateway struct {
	config   *Config
	recorder *tracking.Recorder
	table    table
	services []*service
	bases    map[string]*http.Transport // by service
	proxy    *httputil.ReverseProxy
	metrics  *metrics
	clock    func() time.Time
	logger   *slog.Logger

	connections *listen.Connections
	certificate *listen.Certificate // nil without TLS
	ending      atomic.Bool
	watching    sync.WaitGroup
	stop        context.CancelFunc // ends the health checks
}

// New makes a gateway of a configuration that Parse returned. recorder keeps what
// is recorded; nil records nothing. It is the caller's to close, after the
// gateway. A certificate that can't be read is an error of code invalid.
func New(config *Config, recorder *tracking.Recorder, opts *Options) (*Gateway, error) {
	if opts == nil {
		opts = &Options{}
	}
	g := &Gateway{config: config, recorder: recorder, clock: opts.Clock, logger: opts.Logger, bases: map[string]*http.Transport{}}
	if g.clock == nil {
		g.clock = time.Now
	}
	if g.logger == nil {
		g.logger = slog.Default()
	}
	if config.TLS != nil {
		var err error
		if g.certificate, err = listen.OpenCertificate(config.TLS.Cert, config.TLS.Key, g.logger); err != nil {
			return nil, err
		}
	}
	g.connections = listen.NewConnections(config.Limits.Connections)
	g.metrics = newMetrics(g, opts.Collectors)
	known := map[string]*service{}
	for _, s := range config.Services {
		known[s.Name] = g.newService(s)
		g.services = append(g.services, known[s.Name])
	}
	g.table = newTable(config.Routes, known)
	g.proxy = &httputil.ReverseProxy{
		Rewrite: g.rewrite, Transport: g, ErrorHandler: g.failed, BufferPool: buffers{},
		ErrorLog: slog.NewLogLogger(g.logger.Handler(), slog.LevelDebug), // a call that breaks off is recorded
	}
	ctx, stop := context.WithCancel(context.Background())
	g.stop = stop
	for _, s := range g.services {
		if s.Health != nil {
			g.watching.Go(func() { g.watch(ctx, s) })
		}
	}
	return g, nil
}

// Close ends the health checks and the idle connections with services.
func (g *Gateway) Close() {
	g.stop()
	g.watching.Wait()
	for _, base := range g.bases {
		base.CloseIdleConnections()
	}
}

// idleConnections is how many connections wait for each target's next call.
const idleConnections = 512

// longestHeaders is the most bytes of an answer's headers.
const longestHeaders = 1 << 20

func (g *Gateway) newService(from Service) *service {
	base := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: from.Connect, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: from.Connect, ResponseHeaderTimeout: from.Response,
		MaxIdleConnsPerHost: idleConnections, IdleConnTimeout: 90 * time.Second, ExpectContinueTimeout: time.Second,
		MaxResponseHeaderBytes: longestHeaders, DisableCompression: true, ForceAttemptHTTP2: true,
	}
	g.bases[from.Name] = base
	s := &service{Service: from, clock: g.clock, calls: g.metrics.of(from.Name), transport: base}
	if g.recorder != nil {
		name := func(*http.Request) string { return from.Name }
		s.transport = &tracking.Transport{Base: base, Recorder: g.recorder, Service: name, Source: g.config.Name}
	}
	for _, u := range from.To {
		s.targets = append(s.targets, &target{url: u})
	}
	return s
}

// buffers are what bodies are copied through.
type buffers struct{}

const bufferBytes = 32 << 10

var pool = sync.Pool{New: func() any { return new([bufferBytes]byte) }}

// Get implements httputil.BufferPool.
func (buffers) Get() []byte { return pool.Get().(*[bufferBytes]byte)[:] }

// Put implements httputil.BufferPool.
func (buffers) Put(b []byte) { pool.Put((*[bufferBytes]byte)(b)) }
