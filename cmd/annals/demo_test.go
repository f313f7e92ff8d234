package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/tracking"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// temporaries has temporary directories made in one that must be empty at the end.
func temporaries(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
}

var madeText = regexp.MustCompile(`(?s)no service at fault.*✗ .* Microservice A +502.*✗ .*   Microservice B +502.*✗ .*     Microservice C +503.*← at fault\nat fault: Microservice C\n.*Microservice C failed (\d+) of the 200 requests`)

// The demo exits once the traces of all its requests name whom the services say was at
// fault: the same orders on every run, also in a store that it has been run in before.
func TestDemoOnce(t *testing.T) {
	temporaries(t)
	store := t.TempDir() + "/kept"
	got := typed(t.Context(), "", "demo", "--once", "--store", store)
	said := madeText.FindStringSubmatch(got.out)
	if got.exit != 0 || got.errs != "" || said == nil {
		t.Fatalf("%+v", got)
	}
	got = typed(t.Context(), "", "demo", "--once", "--json", "--store", store)
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	if got.exit != 0 || len(lines) != 3 {
		t.Fatalf("%+v", got)
	}
	var healthy, faulty struct{ RequestID, Faulty string }
	var sum struct {
		Requests, Failed int
		Healthy, Faulty  string
	}
	err := errors.Join(json.Unmarshal([]byte(lines[0]), &healthy), json.Unmarshal([]byte(lines[1]), &faulty), json.Unmarshal([]byte(lines[2]), &sum))
	if err != nil || healthy.Faulty != "" || faulty.Faulty != serviceC || sum.Requests != demoRequests || sum.Healthy != healthy.RequestID || sum.Faulty != faulty.RequestID || sum.Failed == 0 || fmt.Sprint(sum.Failed) != said[1] {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestDemoMisuse(t *testing.T) {
	t.Chdir(t.TempDir())
	temporaries(t)
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	if got := typed(interrupted, "", "demo"); got.exit == 0 || !strings.Contains(got.errs, "interrupted") {
		t.Errorf("%+v", got)
	}
	for line, want := range map[string]string{
		"demo --rate -1":             "0 to 100",
		"demo --rate 101":            "0 to 100",
		"demo --rate NaN":            "0 to 100",
		"demo --rate x":              "--rate",
		"demo --listen 0.0.0.0:4000": "--insecure",
	} {
		if got := typed(t.Context(), "", strings.Fields(line)...); got.exit != 2 || !strings.Contains(got.errs, want) {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

// asked asks for a page, whatever the answer.
func asked(t *testing.T, address string) (int, string) {
	t.Helper()
	answer, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// After its first requests the demo goes on making more, and the console shows them.
func TestDemoServes(t *testing.T) {
	temporaries(t)
	run := begin(t, " on http://", "demo", "--listen", "127.0.0.1:0", "--rate", "100")
	find := func(pattern string) string {
		m := regexp.MustCompile(pattern).FindStringSubmatch(run.String())
		if m == nil {
			t.Fatalf("no %s in %s", pattern, run)
		}
		return m[1]
	}
	address, trace := find(`serving .* on (http://\S+)`), find(`(http://\S+/console/traces/\S+)`)
	id := trace[strings.LastIndex(trace, "/")+1:]
	if !madeText.MatchString(run.String()) || !strings.Contains(run.String(), " trace "+id+" --store "+address+"\n") || !strings.Contains(run.String(), "\nrequest "+id+": 6 events") {
		t.Errorf("printed %s", run)
	}
	for page, want := range map[string]string{
		trace: serviceC, address + "/console/services": serviceC, address + "/console/traces?failing=1": id,
		address + "/console/projections": "failures",
	} {
		if status, text := asked(t, page); status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%s: no %s in %d %s", page, want, status, text)
		}
	}
	status, text := asked(t, find(`curl -i (http://\S+/orders/\d+)`))
	if status != http.StatusBadGateway || !strings.Contains(text, "/supplies/") || !strings.Contains(text, "answered 503") {
		t.Errorf("an order that fails again: %d %s", status, text)
	}
	eventually(t, "more requests are in the view", func() bool {
		status, text := asked(t, address+"/v1/views/services/Microservice%20C")
		var doc struct{ Calls, Failed int }
		return status == http.StatusOK && json.Unmarshal([]byte(text), &doc) == nil && doc.Calls > demoRequests+10 && doc.Failed > 10
	})
	printed := run.String()
	if exit := run.interrupt(); exit != 0 || printed != run.String() || strings.Contains(run.String(), "level=") {
		t.Errorf("exit %d: %s", exit, run)
	}
}

func TestDemoServesInJSON(t *testing.T) {
	run := begin(t, `"store":`, "demo", "--json", "--listen", "127.0.0.1:0", "--rate", "0")
	if exit := run.interrupt(); exit != 0 {
		t.Errorf("exit %d", exit)
	}
	lines := bufio.NewScanner(strings.NewReader(run.String()))
	lines.Buffer(nil, 1<<20)
	all := map[string]any{}
	for n := 0; lines.Scan(); n++ {
		if err := json.Unmarshal(lines.Bytes(), &all); err != nil {
			t.Fatal(err)
		}
	}
	if console, _ := all["console"].(string); console != all["address"].(string)+"/console/" || all["gateway"] == nil {
		t.Errorf("%v", all)
	}
}

// inDemo runs a demo's services over a store in memory.
func inDemo(t *testing.T, plan faultPlan) (*app, *annals.Store, *demonstration, *bytes.Buffer) {
	t.Helper()
	store, err := embedded.Open("store", &embedded.Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	printed := &bytes.Buffer{}
	a := &app{out: bufio.NewWriter(printed), clock: time.Now, logger: slog.New(slog.DiscardHandler)}
	d, err := a.startDemo(t.Context(), store, plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(d.close(context.Background()), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return a, store, d, printed
}

// A demo whose traces don't say what C has written down fails, with exit code 1.
func TestDemoTellsWhenATraceIsWrong(t *testing.T) {
	a, store, d, _ := inDemo(t, faultPlan{seed: 7})
	d.services.pause = func(context.Context, time.Duration) error { return nil }
	made, err := d.order(t.Context(), 60)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.showDemo(t.Context(), store, d, made); err != nil {
		t.Fatal(err)
	}
	for _, m := range made {
		if d.services.didFail(m.id) != d.services.plan.of(uint64(m.order)).fails {
			t.Errorf("order %d: not as planned", m.order)
		}
	}
	for _, m := range []madeRequest{made[0], made[59]} {
		was := d.services.failed[m.id]
		d.services.failed[m.id] = !was
		if _, err := a.showDemo(t.Context(), store, d, made); annals.CodeOf(err).Info().Exit != 1 || !strings.Contains(err.Error(), m.id) {
			t.Errorf("%v", err)
		}
		d.services.failed[m.id] = was
	}
	if _, err := a.showDemo(t.Context(), store, d, made[:1]); err == nil || !strings.Contains(err.Error(), "was to fail some") {
		t.Errorf("no fault: %v", err)
	}
	d.services.failed = map[string]bool{}
	if _, err := a.showDemo(t.Context(), store, d, append(made, madeRequest{id: "unknown"})); err == nil {
		t.Error("without a note of what failed all is well")
	}
}

// tracedOrder is a trace of calls at growing depth with these statuses.
func tracedOrder(statuses ...int) *tracking.Trace {
	var events []annals.Event
	began := time.Date(2020, 5, 1, 20, 0, 0, 0, time.UTC)
	parent := ""
	for i, status := range statuses {
		x := tracking.Exchange{
			RequestID: "r", CallID: strings.Repeat("0", 15) + string('1'+byte(i)), ParentID: parent, Service: []string{serviceA, serviceB, serviceC}[i],
			Began: began.Add(time.Duration(i)), Status: status, Duration: time.Second - time.Duration(2*i),
		}
		parent = x.CallID
		events = append(events, x.Request(), x.Response())
	}
	return tracking.New("r", events, began.Add(time.Hour))
}

func TestDemoExpects(t *testing.T) {
	for name, c := range map[string]struct {
		trace   *tracking.Trace
		status  int
		planted bool
		want    string // of the error; none for the empty one
	}{
		"a fault":                {tracedOrder(502, 502, 503), 502, true, ""},
		"no fault":               {tracedOrder(200, 200, 200), 200, false, ""},
		"B is named":             {tracedOrder(502, 502, 200), 502, true, "2 calls failed in its trace, and 3"},
		"A is well":              {tracedOrder(200, 502, 503), 502, true, "2 calls failed"},
		"a fault not planted":    {tracedOrder(502, 502, 503), 502, false, "that went well, has 3 calls failed"},
		"a fault not seen":       {tracedOrder(200, 200, 200), 502, true, "that Microservice C failed, has 0 calls"},
		"a call is missing":      {tracedOrder(502, 502), 502, true, "expected to have Microservice A at depth 0, Microservice B at depth 1, Microservice C at depth 2"},
		"the client sees no 5xx": {tracedOrder(502, 502, 503), 200, true, "was answered with 200"},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkDemo(c.trace, madeRequest{order: 3, id: "r", status: c.status}, c.planted)
			if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || annals.CodeOf(err) != annals.CodeInternal) {
				t.Error(err)
			}
		})
	}
	wrong := tracedOrder(502, 502, 503)
	wrong.Faulty = serviceB
	if err := checkDemo(wrong, madeRequest{id: "r", status: 502}, true); err == nil || !strings.Contains(err.Error(), `names "Microservice B" as the service at fault, and "Microservice C" was expected`) {
		t.Error(err)
	}
}

func TestDemoPlan(t *testing.T) {
	fails, slow, differs := 0, 0, 0
	for order := range uint64(demoRequests) {
		f := faultPlan{demoSeed}.of(order + 1)
		if f != (faultPlan{demoSeed}).of(order+1) {
			t.Fatalf("order %d has two fates", order+1)
		}
		if f.fails {
			fails++
		}
		if f.c >= 100*time.Millisecond {
			slow++
		}
		if f != (faultPlan{demoSeed + 1}).of(order+1) {
			differs++
		}
	}
	if fails < 5 || fails > 40 || slow < 3 || slow > 40 || differs < demoRequests/2 {
		t.Errorf("%d fail, %d slow, %d differ with the seed", fails, slow, differs)
	}
}
