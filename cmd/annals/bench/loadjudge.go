package bench

import (
	"fmt"
	"slices"
	"time"
)

// A Judgement is what was asked of a run and whether it was so.
type Judgement struct {
	Asked    string `json:"asked"`
	Measured string `json:"measured"`
	Met      bool   `json:"met"`
	// Timed says that it depends on how fast the machine is, and what else it does.
	Timed bool `json:"timed,omitempty"`
}

// flatFactor is how much more than the second sixth of a run its last sixth may have
// to pass for flat. The first sixth warms up. In an hour 40 minutes lie between: what
// grows by a quarter of a percent a minute does not pass.
const flatFactor = 1.1

// flat judges whether a series has stopped growing: by the medians of its last sixth
// and of its second sixth. What is over by less than slack passes, since a handle more
// of ten is no growth. A series of fewer than twelve is too short to say.
func flat(name, unit string, series []float64, slack float64) Judgement {
	j := Judgement{Asked: fmt.Sprintf("%s flat: its median in the last sixth at most %.1f × that in the second sixth", name, flatFactor), Timed: true}
	sixth := len(series) / 6
	if sixth < 2 {
		j.Measured = fmt.Sprintf("%d samples, too few to say", len(series))
		return j
	}
	warm, last := median(series[sixth:2*sixth]), median(series[5*sixth:])
	j.Measured = fmt.Sprintf("%.4g → %.4g%s", warm, last, unit)
	j.Met = last <= warm*flatFactor || last-warm <= slack
	return j
}

// recoveryWindows is how many windows must be good in a row to pass for normal
// again.
const recoveryWindows = 5

// recovered returns after how many windows, each given by its p99, it is normal
// again: from then on recoveryWindows in a row are within the limit. One without
// any answer has no p99 and is given as 0; it is not good.
func recovered(p99s []time.Duration, limit time.Duration) (windows int, ok bool) {
	good := 0
	for i, p99 := range p99s {
		if good++; p99 == 0 || p99 > limit {
			good = 0
		}
		if good == recoveryWindows {
			return i + 1 - recoveryWindows, true
		}
	}
	return 0, false
}

// A fate is what the sender of an event was told about it.
type fate uint8

const (
	unsent fate = iota
	acknowledged
	refused // by an answer that promises that nothing was stored
	unknown // no answer came, or one that doesn't promise anything
)

// fates remembers what was told of events numbered from 0, in a byte each, and what
// was found of them afterwards. It is not safe for concurrent use.
type fates struct {
	told  []fate
	found []uint8
}

func (f *fates) tell(i int, told fate) {
	if missing := i + 1 - len(f.told); missing > 0 {
		f.told = append(f.told, make([]fate, missing)...)
	}
	f.told[i] = told
}

func (f *fates) find(i int) {
	if missing := i + 1 - len(f.found); missing > 0 {
		f.found = append(f.found, make([]uint8, missing)...)
	}
	f.found[i] = min(f.found[i]+1, 2)
}

// An Account says what became of the events of a run.
type Account struct {
	Acknowledged int `json:"acknowledged"`
	Refused      int `json:"refused"`
	Unknown      int `json:"unknown"`
	// Lost are acknowledged events that the log does not hold.
	Lost int `json:"lost"`
	// Twice are events that the log holds more than once.
	Twice int `json:"twice"`
	// Unasked are events in the log that were refused, or never sent.
	Unasked int `json:"unasked"`
}

func (f *fates) account() (a Account) {
	for i := range max(len(f.told), len(f.found)) {
		var told fate
		var found uint8
		if i < len(f.told) {
			told = f.told[i]
		}
		if i < len(f.found) {
			found = f.found[i]
		}
		switch told {
		case acknowledged:
			a.Acknowledged++
			if found == 0 {
				a.Lost++
			}
		case refused:
			a.Refused++
		case unknown:
			a.Unknown++
		}
		if found > 1 {
			a.Twice++
		}
		if found > 0 && (told == refused || told == unsent) {
			a.Unasked++
		}
	}
	return a
}

func (a Account) judge() Judgement {
	return Judgement{
		Asked:    "every acknowledged event is in the log once, and nothing that was refused",
		Measured: fmt.Sprintf("%d acknowledged, %d lost, %d twice, %d refused but stored; %d unknown", a.Acknowledged, a.Lost, a.Twice, a.Unasked, a.Unknown),
		Met:      a.Acknowledged > 0 && a.Lost == 0 && a.Twice == 0 && a.Unasked == 0,
	}
}

// onlyCodes judges that nothing was answered but what may be, and that all that was
// refused said when to come again.
func (t *outcomes) onlyCodes(allowed ...string) Judgement {
	j := Judgement{Asked: fmt.Sprintf("answers are %v only, and a refusal has a Retry-After", allowed), Measured: t.said(), Met: t.noRetryAfter == 0}
	for code := range t.codes {
		j.Met = j.Met && slices.Contains(allowed, code)
	}
	if t.noRetryAfter > 0 {
		j.Measured += fmt.Sprintf("; %d refusals without Retry-After", t.noRetryAfter)
	}
	return j
}
