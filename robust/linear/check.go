package linear

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// A Report is what Check found in histories.
type Report struct {
	Streams      int `json:"streams"`
	Operations   int `json:"operations"` // with an answer, or with an unknown outcome
	Reads        int `json:"reads"`      // that were answered
	Acknowledged int `json:"acknowledged"`
	Replayed     int `json:"replayed"` // of the acknowledged
	Conflicts    int `json:"conflicts"`
	Unknown      int `json:"unknown"`
	Landed       int `json:"landed"`  // of the unknown
	Refused      int `json:"refused"` // appends without an effect and reads without an answer, not among Operations
	// Illegal says of each stream where it stops to be explained, Undecided names it.
	Illegal   []string `json:"illegal"`
	Undecided []string `json:"undecided"`
	// Checking is the time that deciding took, over all processors, in seconds.
	Checking float64 `json:"checking_seconds"`
	// Causes counts the errors by their code, or by what else names them.
	Causes map[string]int `json:"causes"`
}

// Share is n as a part of the Operations, between 0 and 1.
func (r *Report) Share(n int) float64 { return float64(n) / float64(max(r.Operations, 1)) }

// Add counts what is in other.
func (r *Report) Add(other *Report) {
	r.Streams += other.Streams
	r.Operations += other.Operations
	r.Reads += other.Reads
	r.Acknowledged += other.Acknowledged
	r.Replayed += other.Replayed
	r.Conflicts += other.Conflicts
	r.Unknown += other.Unknown
	r.Landed += other.Landed
	r.Refused += other.Refused
	r.Illegal = append(r.Illegal, other.Illegal...)
	r.Undecided = append(r.Undecided, other.Undecided...)
	r.Checking += other.Checking
	if r.Causes == nil {
		r.Causes = map[string]int{}
	}
	for why, n := range other.Causes {
		r.Causes[why] += n
	}
}

// Check decides whether histories of different streams are linearizable, as many at
// once as there are processors. It gives up a history after timeout.
func Check(histories []*History, timeout time.Duration) *Report {
	all := &Report{}
	var mu sync.Mutex
	var checking sync.WaitGroup
	next := make(chan *History)
	for range runtime.GOMAXPROCS(0) {
		checking.Go(func() {
			for h := range next {
				r := h.check(timeout)
				mu.Lock()
				all.Add(r)
				mu.Unlock()
			}
		})
	}
	for _, h := range histories {
		next <- h
	}
	close(next)
	checking.Wait()
	return all
}

func (h *History) check(timeout time.Duration) *Report {
	r := h.count()
	settled := h.settled()
	r.Landed = 0
	for i := range settled {
		if settled[i].Outcome == Unknown {
			r.Landed++
		}
	}
	begun := time.Now()
	switch decide(calls(settled, false), timeout) {
	case porcupine.Illegal:
		r.Illegal = append(r.Illegal, h.Stream+": "+explain(calls(settled, false), timeout))
	case porcupine.Unknown:
		r.Undecided = append(r.Undecided, h.Stream)
	}
	r.Checking = time.Since(begun).Seconds()
	return r
}

// explain says how far a history can be explained, and what comes next.
func explain(all []porcupine.Operation, timeout time.Duration) string {
	m := model()
	_, info := porcupine.CheckOperationsVerbose(m, all, timeout)
	var longest []int
	for _, ids := range info.PartialLinearizations()[0] {
		if len(ids) > len(longest) {
			longest = ids
		}
	}
	s, explained := m.Init(), map[int]bool{}
	for _, id := range longest {
		_, s = m.Step(s, all[id].Input, nil)
		explained[id] = true
	}
	var rest []int
	for id := range all {
		if !explained[id] {
			rest = append(rest, id)
		}
	}
	slices.SortFunc(rest, func(a, b int) int { return cmp.Compare(all[a].Return, all[b].Return) })
	const shown = 4
	text := fmt.Sprintf("%d of %d operations lead to %s; then comes", len(longest), len(all), m.DescribeState(s))
	for _, id := range rest[:min(len(rest), shown)] {
		text += "\n\t" + m.DescribeOperation(all[id].Input, nil)
	}
	return text
}

// decide asks porcupine.
func decide(all []porcupine.Operation, timeout time.Duration) porcupine.CheckResult {
	return porcupine.CheckOperationsTimeout(model(), all, timeout)
}

// calls are operations as the model takes them. With open, what the last read tells of
// unknown outcomes is not used.
func calls(operations []Operation, open bool) []porcupine.Operation {
	sent := map[int64]int{}
	for i := range operations {
		if operations[i].Append {
			sent[operations[i].Batch]++
		}
	}
	calls := make([]porcupine.Operation, len(operations))
	for i := range operations {
		op := &operations[i]
		calls[i] = porcupine.Operation{
			ClientId: op.Client, Call: op.Call, Return: op.Return,
			Input: call{op, sent[op.Batch] > 1, open && op.Outcome == Unknown},
		}
	}
	return calls
}

func (h *History) count() *Report {
	r := &Report{Streams: 1, Causes: map[string]int{}}
	for i := range h.Operations {
		op := &h.Operations[i]
		if op.Why != "" {
			r.Causes[op.Why]++
		}
		if op.Outcome == Refused {
			r.Refused++
			continue
		}
		r.Operations++
		switch {
		case !op.Append:
			r.Reads++
		case op.Outcome == Conflict:
			r.Conflicts++
		case op.Outcome == Unknown:
			r.Unknown++
		case op.Outcome == Done:
			r.Acknowledged++
			if op.Replayed {
				r.Replayed++
			}
		}
	}
	return r
}
