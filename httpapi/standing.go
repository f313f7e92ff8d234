package httpapi

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/eb901187/annals/projection"
)

// standing shows where projections stand as metrics.
type standing struct {
	set    *projection.Set
	logger *slog.Logger
}

func generationGauge(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(name, help+", by generation of a projection.", []string{"projection", "generation", "role"}, nil)
}

var (
	lagEvents    = generationGauge("annals_projection_lag_events", "Events of the log that are not handled yet")
	lagSeconds   = generationGauge("annals_projection_lag_seconds", "Age of the first event that is not handled yet; 0 without any")
	parkedEvents = generationGauge("annals_projection_parked", "Events that failed or wait behind one")
)

// Describe implements prometheus.Collector.
func (standing) Describe(to chan<- *prometheus.Desc) {
	to <- lagEvents
	to <- lagSeconds
	to <- parkedEvents
}

// Collect implements prometheus.Collector. Where the views can't be read, these
// metrics are missing and the others are not.
func (s standing) Collect(to chan<- prometheus.Metric) {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	all, err := s.set.List(ctx)
	if err != nil {
		s.logger.Error("the projections' metrics can't be read", "error", err)
		return
	}
	for i := range all {
		for _, g := range all[i].Generations {
			// Nothing moves these: a lag would grow for ever, and so would the number of series.
			if g.Role == projection.Stale || g.Role == projection.Deleted {
				continue
			}
			gauge := func(d *prometheus.Desc, value float64) {
				to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, all[i].Name, strconv.Itoa(g.Number), string(g.Role))
			}
			gauge(lagEvents, float64(g.Status.Lag))
			gauge(lagSeconds, g.Status.Seconds)
			gauge(parkedEvents, float64(g.Status.Parked))
		}
	}
}
