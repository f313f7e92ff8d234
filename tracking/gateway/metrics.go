package gateway

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/eb901187/annals/tracking"
)

// metrics are those of a gateway. It is a prometheus.Collector of what is only
// looked up when somebody asks.
type metrics struct {
	registry *prometheus.Registry
	gateway  *Gateway
	calls    *prometheus.CounterVec
	retries  *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	flying   *prometheus.GaugeVec
}

// counters are those of one service; looking them up costs more than counting.
type counters struct {
	classes [6]prometheus.Counter // by the first digit of the status
	calls   *prometheus.CounterVec
	seconds prometheus.Observer
	retried prometheus.Counter
	flying  prometheus.Gauge
}

func newMetrics(g *Gateway, more []prometheus.Collector) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(), gateway: g,
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "annals_gateway_calls_total", Help: "Calls by service and outcome: the class of the answer's status, the status where the gateway answered itself, or canceled.",
		}, []string{"service", "outcome"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "annals_gateway_retries_total", Help: "Tries after the first one."}, []string{"service"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "annals_gateway_answer_seconds", Help: "Seconds until an answer began.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"service"}),
		flying: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "annals_gateway_calls_in_flight", Help: "Calls under way."}, []string{"service"}),
	}
	m.registry.MustRegister(m.calls, m.retries, m.seconds, m.flying, m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.registry.MustRegister(more...)
	return m
}

func (m *metrics) of(service string) *counters {
	c := &counters{
		calls: m.calls.MustCurryWith(prometheus.Labels{"service": service}), seconds: m.seconds.WithLabelValues(service),
		retried: m.retries.WithLabelValues(service), flying: m.flying.WithLabelValues(service),
	}
	for class := 1; class < len(c.classes); class++ {
		c.classes[class] = c.calls.WithLabelValues(strconv.Itoa(class) + "xx")
	}
	return c
}

func (c *counters) answered(status int, after time.Duration) {
	if class := status / 100; class > 0 && class < len(c.classes) {
		c.classes[class].Inc()
	} else {
		c.calls.WithLabelValues("other").Inc()
	}
	c.seconds.Observe(after.Seconds())
}

func (c *counters) failed(outcome string, after time.Duration) {
	c.calls.WithLabelValues(outcome).Inc()
	c.seconds.Observe(after.Seconds())
}

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("annals_gateway_"+name, help, labels, nil)
}

var (
	targetUp    = gauge("target_up", "1 for a target that is called, 0 for one that is left alone.", "service", "target")
	connected   = gauge("connections", "Clients that are connected.")
	taken       = gauge("recorder_taken_total", "Events that the recorder took.")
	delivered   = gauge("recorder_delivered_total", "Events that the sink took.")
	shed        = gauge("recorder_shed_total", "Events that were not recorded, as memory and spill were full.")
	refused     = gauge("recorder_refused_total", "Events that the sink refused for ever, set aside in the spill directory.")
	failures    = gauge("recorder_failures_total", "Deliveries that failed and were tried again.")
	lost        = gauge("recorder_lost_total", "Events that the spill held and damage took.")
	waiting     = gauge("recorder_waiting_events", "Events that wait for the sink.", "in")
	waitingSize = gauge("recorder_waiting_bytes", "Bytes of the events that wait for the sink.", "in")
)

// Describe implements prometheus.Collector.
func (m *metrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{targetUp, connected, taken, delivered, shed, refused, failures, lost, waiting, waitingSize} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	g := m.gateway
	now := g.clock().UnixNano()
	for _, s := range g.services {
		for _, t := range s.targets {
			up := 0.0
			if t.well(now) {
				up = 1
			}
			to <- prometheus.MustNewConstMetric(targetUp, prometheus.GaugeValue, up, s.Name, t.url.String())
		}
	}
	to <- prometheus.MustNewConstMetric(connected, prometheus.GaugeValue, float64(g.connections.Count()))
	if g.recorder == nil {
		return
	}
	stats := g.recorder.Stats()
	for d, n := range map[*prometheus.Desc]int64{taken: stats.Taken, delivered: stats.Delivered, shed: stats.Shed, refused: stats.Refused, failures: stats.Failures, lost: stats.Lost} {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n))
	}
	m.waits(to, stats)
}

func (m *metrics) waits(to chan<- prometheus.Metric, stats tracking.Stats) {
	for _, w := range []struct {
		in            string
		events, bytes int64
	}{{"memory", stats.WaitingMemory, stats.WaitingMemoryBytes}, {"spill", stats.WaitingSpill, stats.WaitingSpillBytes}} {
		to <- prometheus.MustNewConstMetric(waiting, prometheus.GaugeValue, float64(w.events), w.in)
		to <- prometheus.MustNewConstMetric(waitingSize, prometheus.GaugeValue, float64(w.bytes), w.in)
	}
}

// Admin serves /healthz, /readyz and /metrics: whether the process lives,
// whether it takes calls, and metrics that start with annals_gateway_.
func (g *Gateway) Admin() http.Handler {
	mux := http.NewServeMux()
	say := func(w http.ResponseWriter, status int, text string) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text + "\n")) // a client that is gone can't be told
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if g.ending.Load() {
			say(w, http.StatusServiceUnavailable, "shutting down")
			return
		}
		say(w, http.StatusOK, "ready")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(g.metrics.registry, promhttp.HandlerOpts{}))
	return mux
}
