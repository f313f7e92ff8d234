package bench

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/eb901187/annals/tracking"
)

func TestGatewayReport(t *testing.T) {
	measured := func(name string, p99, max float64) *proxied {
		return &proxied{name: name, p50: []float64{100}, p99: []float64{p99, p99, 9999}, max: []float64{max, 1, max}}
	}
	report := newGatewayReport([]*proxied{measured("bare proxy", 500, 20000), measured("gateway", 700, 17000)}, tracking.Stats{Taken: 8, Shed: 1})
	const want = "" +
		"       proxy  p50 µs  p99 µs  + p99 ms  max/s  × bare\n" +
		"  bare proxy   100.0   500.0      0.00  20000    1.00\n" +
		"     gateway   100.0   700.0      0.20  17000    0.85\n" +
		"latencies at 2000 requests a second; 8 events recorded, 1 not\n"
	if got := report.Table(); got != want {
		t.Fatalf("\n%s\nwant\n%s", got, want)
	}
}

func TestClosedLoopReturnsErrors(t *testing.T) {
	if _, err := closedLoop(time.Minute, 2, func() error { return io.EOF }); err == nil {
		t.Fatal("no error")
	}
}

// What a call through the proxies costs, one after the other.
func BenchmarkGateway(b *testing.B) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answerText) }))
	defer service.Close()
	quiet := slog.New(slog.DiscardHandler)
	recorder, err := tracking.NewRecorder(nowhere{}, &tracking.RecorderOptions{Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = recorder.Close(b.Context()) }()
	for _, start := range []func() (*proxied, error){
		func() (*proxied, error) { return startBareProxy(service.URL) },
		func() (*proxied, error) { return startGateway(service.URL, nil, quiet) },
		func() (*proxied, error) { return startGateway(service.URL, recorder, quiet) },
	} {
		p, err := start()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(p.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := getAnswer(b.Context(), p.client, p.url); err != nil {
					b.Fatal(err)
				}
			}
		})
		p.close()
	}
}
