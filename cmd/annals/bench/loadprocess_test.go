package bench

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
)

func TestUsageOfThisProcess(t *testing.T) {
	u, err := usageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "linux" {
		if u != (ProcessUsage{}) {
			t.Errorf("%+v is told by nobody here", u)
		}
		return
	}
	if u.RSS < 1<<20 || u.Anonymous < 1<<20 || u.Anonymous > u.RSS || u.FDs < 3 {
		t.Errorf("%+v", u)
	}
	burn := 0
	for before := u; u.CPU == before.CPU; burn++ {
		if u, err = usageOf(os.Getpid()); err != nil {
			t.Fatal(err)
		}
	}
	if f, err := os.Open(os.DevNull); err != nil {
		t.Fatal(err)
	} else {
		defer f.Close()
	}
	if more, err := usageOf(os.Getpid()); err != nil || more.FDs != u.FDs+1 {
		t.Errorf("%d handles and one more are %d, %v", u.FDs, more.FDs, err)
	}
}

func TestMetricsWithoutLabels(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "# HELP go_goroutines x\ngo_goroutines 12\nannals_http_shed_total{limit=\"requests\"} 4\nannals_log_position 1.5e+06\n")
	}))
	defer server.Close()
	got, err := (&Served{Address: server.URL}).metrics(t.Context())
	if err != nil || got["go_goroutines"] != 12 || got["annals_log_position"] != 1_500_000 {
		t.Errorf("%v, %v", got, err)
	}
}

// A program that is no server, or none any more, is named by what it said.
func TestStartCommandTellsWhatWentWrong(t *testing.T) {
	_, err := StartCommand(t.Context(), "go", t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "did not start") || !strings.Contains(err.Error(), "unknown command") {
		t.Error(err)
	}
	if _, err := StartCommand(t.Context(), "./no-such-program", t.TempDir()); err == nil {
		t.Error("no error")
	}
}

func TestLastBytesAreKept(t *testing.T) {
	var l lastBytes
	for i := range 10_000 {
		_, _ = fmt.Fprintf(&l, "line %d\n", i)
	}
	if got := l.String(); len(got) > 8<<10 || !strings.HasSuffix(got, "line 9998\nline 9999\n") {
		t.Errorf("%d bytes, ending in %q", len(got), got[max(0, len(got)-40):])
	}
}
