package console

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals/consumer"
)

func at(position, end int64) []consumer.Status {
	return []consumer.Status{{Name: "orders@1", Position: position, End: end, Lag: end - position, Seconds: float64(end - position)}}
}

func TestLagTrend(t *testing.T) {
	var l lags
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	if tr := l.note("p", now, at(0, 1000)); tr.rate("orders@1") != nil || len(tr.Rows()) != 1 {
		t.Errorf("of one sample: %+v", tr)
	}
	tr := l.note("p", now.Add(time.Second), at(100, 1000))
	if r := tr.rate("orders@1"); r == nil || r.PerSecond != 100 || r.Left != 9*time.Second || r.Speed() != "100 events/s" {
		t.Errorf("rate %+v", r)
	}
	for s := range 100 { // each ten seconds for longer than is kept, at 10 a second
		tr = l.note("p", now.Add(time.Duration(s+1)*10*time.Second), at(int64(s+1)*100, 100_000))
	}
	rows := tr.Rows()
	var ago []string
	for _, row := range rows {
		ago = append(ago, fmt.Sprintf("%s %d", row.Ago, row.Of[0].Lag))
	}
	if got := fmt.Sprint(ago); got != "[now 90000 1 min ago 90600 2 min ago 91200 5 min ago 93000 10 min ago 96000]" {
		t.Error(got)
	}
	if r := tr.rate("orders@1"); r.PerSecond != 10 || r.Left != 9000*time.Second {
		t.Errorf("rate %+v", r)
	}
	if tr.rate("none") != nil {
		t.Error("a rate of nobody")
	}
	if n := len(l.samples["p"]); n > 62 {
		t.Errorf("%d samples of ten minutes are kept", n)
	}
	if tr := l.note("p", now.Add(1001*time.Second), at(0, 100_000)); tr.rate("orders@1") != nil {
		t.Error("a rate of a consumer that began again")
	}
}

func TestLagSeries(t *testing.T) {
	var l lags
	now := time.UnixMilli(1_700_000_000_500)
	l.note("p", now, at(1, 3))
	two := append(at(3, 3), consumer.Status{Name: `<b>"2"`, Lag: 3})
	got, err := l.note("p", now.Add(6*time.Second), two).Series()
	if want := `{"labels":["orders@1","\u003cb\u003e\"2\""],"data":[[1700000000.5,1700000006.5],[2,0],[null,3]]}`; err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
}

// What stands still makes the same chart, so that nothing is sent.
func TestLagSeriesOfWhatStandsStill(t *testing.T) {
	var l lags
	now := time.Now()
	series := func(after time.Duration, lag int64) string {
		text, err := l.note("p", now.Add(after), at(0, lag)).Series()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	first := series(0, 5)
	if again := series(time.Second, 5); again != first {
		t.Errorf("%s, and before %s", again, first)
	}
	if other := series(2*time.Second, 6); other == first {
		t.Error("another lag makes the same chart")
	}
	if later := series(trendStep, 5); later == first {
		t.Error("a further sample makes the same chart")
	}
}

// What nobody looks at is forgotten, and any number may look.
func TestLagsAreForgotten(t *testing.T) {
	var l lags
	now := time.Now()
	var looking sync.WaitGroup
	for n := range 50 {
		looking.Go(func() { l.note(fmt.Sprint(n), now, at(1, 1)) })
	}
	looking.Wait()
	l.note("p", now.Add(trendSpan+time.Second), at(1, 1))
	if len(l.samples) != 1 {
		t.Errorf("%d pages are kept", len(l.samples))
	}
}
