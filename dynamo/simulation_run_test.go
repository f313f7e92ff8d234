package dynamo

import (
	"flag"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

var (
	schedules = flag.Int("schedules", 1000, "schedules that TestSimulation runs")
	scheduleN = flag.Uint64("schedule", 0, "the one schedule that TestSimulation runs")
)

const scheduleSteps = 600

func TestSimulation(t *testing.T) {
	if *scheduleN > 0 {
		if err := newSimulation(*scheduleN).run(scheduleSteps); err != nil {
			t.Fatal(err)
		}
		return
	}
	var next atomic.Uint64
	var wg sync.WaitGroup
	var events, acknowledged atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for !t.Failed() {
				seed := next.Add(1)
				if seed > uint64(*schedules) {
					return
				}
				s := newSimulation(seed)
				if err := s.run(scheduleSteps); err != nil {
					t.Errorf("schedule %d: %v (repeat with -run TestSimulation -schedule %[1]d)", seed, err)
				}
				events.Add(int64(s.ids))
				for _, one := range s.history {
					if one.version > 0 {
						acknowledged.Add(1)
					}
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d schedules, %d events offered, %d appends acknowledged", *schedules, events.Load(), acknowledged.Load())
}

// Each bug that a build tag plants must be found.
func TestSimulationFindsPlantedBugs(t *testing.T) {
	for _, tag := range []string{"annals_no_head_check", "annals_no_heal", "annals_no_duplicate_drop", "annals_stale_hash"} {
		t.Run(tag, func(t *testing.T) {
			t.Parallel()
			out, err := exec.Command("go", "test", "-count=1", "-timeout=5m", "-tags", tag, "-run", "^TestSimulation$", "-schedules=3000", ".").CombinedOutput()
			if err == nil {
				t.Fatalf("no schedule found it:\n%s", out)
			}
			if !strings.Contains(string(out), "schedule ") {
				t.Fatalf("the run failed otherwise:\n%s", out)
			}
			t.Logf("%s", strings.SplitN(string(out), "\n", 3)[1])
		})
	}
}
