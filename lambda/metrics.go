package lambda

import (
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// lines writes one line at a time, so that those of the log and of metrics don't
// mix.
type lines struct {
	mu sync.Mutex
	to io.Writer
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(line)
}

// A metric is described in CloudWatch's embedded metric format.
type metric struct {
	Name string
	Unit string
}

type directive struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []metric
}

func unitOf(name string) string {
	for _, unit := range []string{"Milliseconds", "Bytes"} {
		if strings.HasSuffix(name, unit) {
			return unit
		}
	}
	return "Count"
}

// metricsLine is the line from which CloudWatch makes the metrics of an
// invocation, by role. Its request and correlations are properties: they are found
// in the log and make no metrics of their own.
func metricsLine(namespace string, role Role, request string, at time.Time, r *report) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := directive{Namespace: namespace, Dimensions: [][]string{{"role"}}}
	line := map[string]any{"role": role, "requestId": request}
	for _, name := range slices.Sorted(maps.Keys(r.counts)) {
		d.Metrics = append(d.Metrics, metric{name, unitOf(name)})
		line[name] = r.counts[name]
	}
	switch len(r.correlations) {
	case 0:
	case 1:
		line["correlation"] = r.correlations[0]
	default:
		line["correlations"] = r.correlations
	}
	line["_aws"] = map[string]any{"Timestamp": at.UnixMilli(), "CloudWatchMetrics": []directive{d}}
	text, err := json.Marshal(line)
	if err != nil {
		panic(err) // it is made of texts and numbers
	}
	return append(text, '\n')
}
