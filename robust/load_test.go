package robust

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/eb901187/annals/cmd/annals/bench"
)

// A server that is asked for far more than it takes refuses the rest with a time to
// come again, and what it acknowledged is in the log, once; a hundred followers get
// every event in order. annals bench --load overload,followers is the long form; how
// fast it is, is asserted nowhere.
func TestLoad(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "annals")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/annals").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	start := func(ctx context.Context, store string, flags ...string) (*bench.Served, error) {
		return bench.StartCommand(ctx, binary, store, flags...)
	}
	for part, flags := range map[string][]string{
		"overload":  {"--max-requests=4", "--max-waiting=8"}, // far less than the generator's connections
		"followers": nil,
	} {
		t.Run(part, func(t *testing.T) {
			report, err := bench.RunLoad(t.Context(), bench.LoadOptions{
				Options: bench.Options{Quick: true, Dir: t.TempDir(), Only: []string{part}}, For: time.Second, Flags: flags,
			}, start)
			if err != nil || len(report.Parts) != 1 {
				t.Fatal(err, report)
			}
			asserted := 0
			for _, j := range report.Parts[0].Judged {
				if j.Timed {
					continue
				}
				if asserted++; !j.Met {
					t.Errorf("%s: %s", j.Asked, j.Measured)
				}
			}
			if asserted < 2 {
				t.Errorf("%d assertions", asserted)
			}
			t.Logf("\n%s", report.Table())
		})
	}
}
