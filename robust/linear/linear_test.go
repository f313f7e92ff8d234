package linear

import (
	"flag"
	"go/build"
	"math"
	"os/exec"
	"strings"
	"testing"
	"time"
)

var children = flag.Bool("planted", false, "run TestPlantedBugsAreCaught, which compiles each store with a bug")

// stores are what TestLinearizable runs over: how, and the part of the operations that
// each gets of a long run.
var stores = []struct {
	name  string
	short plan
	long  plan
	part  float64
	open  func(t *testing.T, seed uint64, clients int) world
}{
	{
		name:  "embedded, power cuts",
		short: plan{rounds: 1, streams: 8, clients: 8, operations: 1000, mistaken: 15, timeout: time.Second},
		long:  plan{streams: 16, clients: 16, operations: 2000, mistaken: 15, timeout: 2 * time.Second},
		part:  0.6,
		open:  func(t *testing.T, seed uint64, _ int) world { return newInProcess(t, seed, 2000) },
	},
	{
		name:  "embedded over HTTP, power cuts",
		short: plan{rounds: 1, streams: 4, clients: 10, operations: 500, mistaken: 12, timeout: time.Second},
		long:  plan{streams: 16, clients: 10, operations: 1000, mistaken: 12, timeout: 2 * time.Second},
		part:  0.15,
		open:  func(t *testing.T, seed uint64, clients int) world { return newServed(t, seed, clients, 700) },
	},
	{
		name:  "embedded over HTTP, kills and pauses",
		short: plan{rounds: 1, streams: 4, clients: 10, operations: 500, mistaken: 12, timeout: time.Second},
		long:  plan{streams: 16, clients: 10, operations: 1000, mistaken: 12, timeout: time.Second},
		part:  0.1,
		open:  func(t *testing.T, seed uint64, clients int) world { return newKilled(t, seed, clients, 700) },
	},
	{
		name:  "DynamoDB and S3",
		short: plan{rounds: 1, streams: 4, clients: 10, operations: 600, mistaken: 6, large: 8, timeout: time.Second},
		long:  plan{streams: 16, clients: 10, operations: 1000, mistaken: 6, large: 4, timeout: 2 * time.Second},
		part:  0.15,
		open:  func(t *testing.T, seed uint64, _ int) world { return newTables(t, seed, 6, 500) },
	},
}

// What concurrent clients of the real stores are answered can be explained by one
// order of all they did, whatever happens to the store, its process and the network.
func TestLinearizable(t *testing.T) {
	figures, landed := []figure{}, 0
	for _, s := range stores {
		t.Run(s.name, func(t *testing.T) {
			seed := seed(t)
			p := s.short
			if *operations > 0 {
				p = s.long
				p.want = int(math.Ceil(s.part * float64(*operations)))
			}
			w := s.open(t, seed, p.streams*p.clients)
			begun := time.Now()
			r := run(t, w, p, seed)
			wantLinearizable(t, r, w)
			t.Logf("%v", time.Since(begun))
			landed += r.Landed
			figures = append(figures, figure{
				Report: r, Store: s.name, Seed: seed, Conflicts: r.Share(r.Conflicts), Unknown: r.Share(r.Unknown),
				Seconds: time.Since(begun).Seconds(), Planted: w.planted(),
			})
		})
	}
	if landed == 0 {
		t.Error("no append with an unknown outcome was stored")
	}
	write(t, figures)
}

// plantedTags are the build tags that plant a bug into a driver, with the store that
// it shows in.
var plantedTags = []struct{ tag, store string }{
	{"annals_log_no_version_check", stores[0].name},
	{"annals_log_no_second_look", stores[0].name},
	{"annals_log_no_id_check", stores[0].name},
	{"annals_log_no_sync", stores[0].name},
	{"annals_no_head_check", stores[3].name},
	{"annals_no_condition", stores[3].name},
	{"annals_no_id_check", stores[3].name},
	{"annals_eventual_reads", stores[3].name},
	{"annals_stale_head", stores[3].name},
	{"annals_lost_is_refused", stores[3].name},
}

// The battery finds each bug that is compiled into a driver, within one short run.
// Without -planted it is the bugs of TestBugsInADriverAreCaught that show what it can
// see, as each of these takes a compilation; then the tags are only looked up.
func TestPlantedBugsAreCaught(t *testing.T) {
	for _, bug := range plantedTags {
		if !plants(t, bug.tag) {
			t.Errorf("no file of the drivers is built by the tag %s", bug.tag)
		}
		if *children {
			wantCaught(t, bug.tag, bug.store)
		}
	}
}

// plants reports whether a tag adds a file to a driver.
func plants(t *testing.T, tag string) bool {
	t.Helper()
	for _, driver := range []string{"../../embedded", "../../dynamo"} {
		with := build.Default
		with.BuildTags = []string{tag}
		plain, err := build.ImportDir(driver, 0)
		if err != nil {
			t.Fatal(err)
		}
		buggy, err := with.ImportDir(driver, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(buggy.GoFiles) > len(plain.GoFiles) {
			return true
		}
	}
	return false
}

func wantCaught(t *testing.T, tag, store string) {
	t.Helper()
	test := "TestLinearizable/" + strings.ReplaceAll(store, " ", "_") + "$"
	out, err := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-tags", tag, "-run", test, ".").CombinedOutput()
	_, after, illegal := strings.Cut(string(out), "not linearizable: s-")
	if first, _, _ := strings.Cut(after, "s-0-"); err == nil || !illegal {
		t.Errorf("%s was not caught: %v\n%s", tag, err, out)
	} else {
		t.Logf("%s was caught: s-%s", tag, first)
	}
}
