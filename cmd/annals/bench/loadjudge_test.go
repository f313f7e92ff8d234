package bench

import (
	"slices"
	"testing"
	"time"
)

func series(n int, at func(i int) float64) (all []float64) {
	for i := range n {
		all = append(all, at(i))
	}
	return all
}

func TestFlatTellsGrowth(t *testing.T) {
	for name, c := range map[string]struct {
		series []float64
		slack  float64
		met    bool
	}{
		"constant":                {series(30, func(int) float64 { return 100 }), 0, true},
		"warms up and stays":      {series(30, func(i int) float64 { return 100 * float64(min(i, 5)) }), 0, true},
		"a saw":                   {series(90, func(i int) float64 { return 100 + 80*float64(i%7) }), 0, true},
		"one spike":               {series(30, func(i int) float64 { return map[bool]float64{true: 9e9, false: 100}[i == 25] }), 0, true},
		"a leak":                  {series(30, func(i int) float64 { return 100 + 10*float64(i) }), 0, false},
		"a leak behind warming":   {series(90, func(i int) float64 { return 1000 + 2*float64(max(0, i-15)) }), 0, false},
		"a saw that climbs":       {series(90, func(i int) float64 { return 100 + 80*float64(i%7) + 5*float64(i) }), 0, false},
		"two handles more of ten": {series(30, func(i int) float64 { return 10 + float64(i/10) }), 2, true},
		"ten more of ten":         {series(30, func(i int) float64 { return 10 + 10*float64(i/20) }), 2, false},
		"too short":               {series(11, func(int) float64 { return 100 }), 9, false},
		"empty":                   {nil, 9, false},
	} {
		if j := flat("x", "", c.series, c.slack); j.Met != c.met {
			t.Errorf("%s: %+v", name, j)
		}
	}
}

func TestRecoveredNeedsGoodWindowsInARow(t *testing.T) {
	const good, bad, silent = time.Millisecond, time.Second, 0
	for name, c := range map[string]struct {
		p99s    []time.Duration
		windows int
		ok      bool
	}{
		"at once":          {slices.Repeat([]time.Duration{good}, 5), 0, true},
		"after three":      {append([]time.Duration{bad, bad, bad}, slices.Repeat([]time.Duration{good}, 9)...), 3, true},
		"a relapse":        {append([]time.Duration{bad, good, good, good, good, bad}, slices.Repeat([]time.Duration{good}, 5)...), 6, true},
		"never":            {slices.Repeat([]time.Duration{bad}, 50), 0, false},
		"too late to say":  {append(slices.Repeat([]time.Duration{bad}, 50), good, good, good, good), 0, false},
		"no answer at all": {slices.Repeat([]time.Duration{silent}, 50), 0, false},
		"a silent second":  {append([]time.Duration{good, good, good, good, silent}, slices.Repeat([]time.Duration{good}, 5)...), 5, true},
		"nothing":          {nil, 0, false},
	} {
		if windows, ok := recovered(c.p99s, 10*time.Millisecond); windows != c.windows || ok != c.ok {
			t.Errorf("%s: %d, %t", name, windows, ok)
		}
	}
}

// What an account of events must notice, each planted alone.
func TestAccountNamesWhatIsWrong(t *testing.T) {
	told := []fate{acknowledged, acknowledged, refused, unknown, unknown}
	for name, c := range map[string]struct {
		found []int
		want  Account
		met   bool
	}{
		"all well":                    {[]int{0, 1, 3}, Account{Acknowledged: 2, Refused: 1, Unknown: 2}, true},
		"an acknowledged one is lost": {[]int{0}, Account{Acknowledged: 2, Refused: 1, Unknown: 2, Lost: 1}, false},
		"one is there twice":          {[]int{0, 1, 1}, Account{Acknowledged: 2, Refused: 1, Unknown: 2, Twice: 1}, false},
		"one is there thrice":         {[]int{0, 1, 1, 1}, Account{Acknowledged: 2, Refused: 1, Unknown: 2, Twice: 1}, false},
		"an unknown one twice":        {[]int{0, 1, 4, 4}, Account{Acknowledged: 2, Refused: 1, Unknown: 2, Twice: 1}, false},
		"a refused one is stored":     {[]int{0, 1, 2}, Account{Acknowledged: 2, Refused: 1, Unknown: 2, Unasked: 1}, false},
		"one that was never sent":     {[]int{0, 1, 9}, Account{Acknowledged: 2, Refused: 1, Unknown: 2, Unasked: 1}, false},
		"everything is lost":          {nil, Account{Acknowledged: 2, Refused: 1, Unknown: 2, Lost: 2}, false},
	} {
		var f fates
		for i, fate := range told {
			f.tell(i, fate)
		}
		for _, i := range c.found {
			f.find(i)
		}
		if got := f.account(); got != c.want || got.judge().Met != c.met {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if (Account{Refused: 5}).judge().Met {
		t.Error("nothing was acknowledged, which shows nothing")
	}
}

func TestOnlyCodes(t *testing.T) {
	for name, c := range map[string]struct {
		ends []outcome
		met  bool
	}{
		"allowed":                  {[]outcome{{code: "201"}, {code: "503", retryAfter: true}}, true},
		"a refusal without a time": {[]outcome{{code: "201"}, {code: "429"}}, false},
		"another failure":          {[]outcome{{code: "500 internal"}}, false},
		"unavailable is no refusal for want of capacity": {[]outcome{{code: "503 unavailable", retryAfter: true}}, false},
		"cut off": {[]outcome{{code: "cut off"}}, false},
	} {
		all := newOutcomes()
		for i, o := range c.ends {
			all.add(arrival{i, all.began}, o)
		}
		if j := all.onlyCodes("200", "201", "429", "503"); j.Met != c.met {
			t.Errorf("%s: %+v", name, j)
		}
	}
}

func TestNotSlower(t *testing.T) {
	row := func(load string, rate, p50, p99 float64) LoadRow {
		return LoadRow{Load: load, PerSecond: rate, Latency: Latency{P50Ms: p50, P99Ms: p99}}
	}
	for name, c := range map[string]struct {
		small, large LoadRow
		met          bool
	}{
		"appends by p99":          {row("append-1, 1 events", 100, 1, 2), row("append-1, 20 events", 10, 9, 2.9), true},
		"slow appends":            {row("append-1, 1 events", 100, 1, 2), row("append-1, 20 events", 100, 1, 3.1), false},
		"loads by p50":            {row("load-10, 1 events", 100, 1, 2), row("load-10, 20 events", 10, 1.4, 99), true},
		"slow loads":              {row("load-10, 1 events", 100, 1, 2), row("load-10, 20 events", 100, 1.6, 2), false},
		"scans by their rate":     {row("scan, 1 events", 100, 1, 2), row("scan, 20 events", 70, 20, 40), true},
		"slow scans":              {row("scan, 1 events", 100, 1, 2), row("scan, 20 events", 60, 1, 2), false},
		"nothing to compare with": {row("load-10, 1 events", 0, 0, 0), row("load-10, 20 events", 1, 0, 0), false},
	} {
		if j := notSlower(c.small, c.large); j.Met != c.met {
			t.Errorf("%s: %+v", name, j)
		}
	}
}
