package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/tracking"
	"github.com/eb901187/annals/tracking/gateway"
	"github.com/eb901187/annals/tracking/sink"
)

const (
	gatewayRate    = 2000 // requests a second
	gatewayClients = 64
)

// Serve starts a server of the store in a directory, as a process of its own, and
// returns its address and what ends it.
type Serve func(ctx context.Context, store string) (address string, stop func() error, err error)

// RunGateway measures what the gateway adds to a bare reverse proxy, with
// recording to a server and without, in turns on one service.
func RunGateway(ctx context.Context, opts Options, serve Serve) (report GatewayReport, err error) {
	b := &bencher{Options: opts}
	defer gateway.CollectLess()()
	if b.Say == nil {
		b.Say = func(string) {}
	}
	if b.dir, err = os.MkdirTemp(opts.Dir, "annals-bench-"); err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	return b.gateways(ctx, serve)
}

// answerText is what the service answers.
const answerText = `{"order":"order-7","status":"paid","total":12.5,"lines":[{"sku":"a-1","count":2},{"sku":"b-2","count":1}]}`

func (b *bencher) gateways(ctx context.Context, serve Serve) (report GatewayReport, err error) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answerText) // the client sees a cut-off answer
	}))
	defer service.Close()
	address, stop, err := serve(ctx, filepath.Join(b.dir, "recorded"))
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	to, err := sink.ToServer(address, nil)
	if err != nil {
		return report, err
	}
	quiet := slog.New(slog.DiscardHandler)
	here, err := tracking.NewRecorder(to, &tracking.RecorderOptions{Spill: filepath.Join(b.dir, "spill"), Logger: quiet})
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, here.Close(context.WithoutCancel(ctx))) }()
	elsewhere, err := tracking.NewRecorder(nowhere{}, &tracking.RecorderOptions{Logger: quiet})
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, elsewhere.Close(context.WithoutCancel(ctx))) }()
	bare, err := startBareProxy(service.URL)
	if err != nil {
		return report, err
	}
	defer bare.close()
	proxies := []*proxied{bare}
	for _, recorder := range []*tracking.Recorder{nil, elsewhere, here} {
		p, err := startGateway(service.URL, recorder, quiet)
		if err != nil {
			return report, err
		}
		defer p.close()
		proxies = append(proxies, p)
	}
	proxies[1].name, proxies[2].name, proxies[3].name = "gateway", "recording, store elsewhere", "recording, store here"
	if err := b.inTurns(ctx, proxies, here); err != nil {
		return report, err
	}
	return newGatewayReport(proxies, here.Stats()), nil
}

// nowhere takes what a gateway records as a store on another machine does: what
// keeping it costs is not this one's.
type nowhere struct{}

func (nowhere) Deliver(context.Context, []annals.Event) error { return nil }

// inTurns measures the proxies, each as often as any other and in changing order.
func (b *bencher) inTurns(ctx context.Context, proxies []*proxied, recorder *tracking.Recorder) error {
	for round := range rounds {
		for i := range proxies {
			p := proxies[(round+i)%len(proxies)]
			b.Say(fmt.Sprintf("%s: round %d of %d", p.name, round+1, rounds))
			if err := b.turn(ctx, p); err != nil {
				return err
			}
			if err := recorder.Flush(ctx); err != nil { // so that no turn pays for another one's events
				return err
			}
		}
	}
	return nil
}

// A proxied is one way to the service, and what was measured of it.
type proxied struct {
	name          string
	url           string
	client        *http.Client
	close         func()
	p50, p99, max []float64
}

func newProxied(name, url string, closing func()) *proxied {
	transport := &http.Transport{MaxIdleConnsPerHost: gatewayClients, DisableCompression: true}
	return &proxied{name: name, url: url, client: &http.Client{Transport: transport}, close: func() {
		transport.CloseIdleConnections()
		closing()
	}}
}

// startBareProxy is the least that a reverse proxy is, with connections and
// buffers that it need not make again.
func startBareProxy(to string) (*proxied, error) {
	u, err := url.Parse(to)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 512, DisableCompression: true}
	server := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }, Transport: transport, BufferPool: &buffers{},
	})
	return newProxied("bare proxy", server.URL, func() {
		server.Close()
		transport.CloseIdleConnections()
	}), nil
}

type buffers struct{ sync.Pool }

func (b *buffers) Get() []byte {
	if p, is := b.Pool.Get().(*[]byte); is {
		return *p
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(p []byte) { b.Pool.Put(&p) }

// startGateway starts one as annals gateway does; a nil recorder records nothing.
func startGateway(to string, recorder *tracking.Recorder, logger *slog.Logger) (*proxied, error) {
	config, err := gateway.Parse("bench", fmt.Appendf(nil, "record: {to: none}\nservices: {service: {to: %s}}\nroutes: [{service: service}]\n", to))
	if err != nil {
		return nil, err
	}
	g, err := gateway.New(config, recorder, &gateway.Options{Logger: logger})
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, listener) }()
	name := "gateway, recording"
	if recorder == nil {
		name = "gateway"
	}
	return newProxied(name, "http://"+listener.Addr().String(), func() {
		cancel()
		<-served // idle by then
		g.Close()
	}), nil
}

// turn measures a proxy at the fixed rate, and then as fast as it can.
func (b *bencher) turn(ctx context.Context, p *proxied) error {
	call := func(int, int) error { return getAnswer(ctx, p.client, p.url+"/orders/7") }
	if err := call(0, 0); err != nil {
		return err
	}
	n := int(b.duration(4*time.Second, 500*time.Millisecond).Seconds() * gatewayRate)
	_, took, err := openLoop(ctx, n, gatewayRate, gatewayClients, call)
	if err != nil {
		return err
	}
	var r Row
	r.latency(took)
	rate, err := closedLoop(b.duration(3*time.Second, 300*time.Millisecond), gatewayClients, func() error { return call(0, 0) })
	p.p50, p.p99, p.max = append(p.p50, r.P50Us), append(p.p99, r.P99Us), append(p.max, rate)
	return err
}

// closedLoop calls do again and again from so many workers, and returns the rate.
func closedLoop(d time.Duration, workers int, do func() error) (float64, error) {
	counts, errs := make([]int, workers), make([]error, workers)
	var wg sync.WaitGroup
	began := time.Now()
	for w := range workers {
		wg.Go(func() {
			for errs[w] == nil && time.Since(began) < d {
				errs[w] = do()
				counts[w]++
			}
		})
	}
	wg.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / time.Since(began).Seconds(), errors.Join(errs...)
}

func getAnswer(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, answer.Body)
	if err == nil && (answer.StatusCode != http.StatusOK || n != int64(len(answerText))) {
		err = fmt.Errorf("%s answered %s with %d bytes", url, answer.Status, n)
	}
	return errors.Join(err, answer.Body.Close())
}
