package bench

import (
	"bufio"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestLatenciesAreAlmostExact(t *testing.T) {
	const seed = 7
	random := rand.New(rand.NewPCG(seed, 0))
	var all []time.Duration
	var halves [2]latencies
	for i := range 20_000 {
		d := time.Duration(random.Int64N(1 << random.IntN(40)))
		all = append(all, d)
		halves[i%2].add(d)
	}
	halves[0].merge(&halves[1])
	slices.Sort(all)
	for _, p := range []float64{0, 0.5, 0.9, 0.99, 1} {
		exact, got := all[int(p*float64(len(all)-1))], halves[0].at(p)
		if got < exact || float64(got) > float64(exact)*(1+1.0/32)+1 {
			t.Errorf("seed %d, p%v: %d ns where %d ns are right", seed, p, got, exact)
		}
	}
	if got := halves[0].summary(); got.Requests != 20_000 || got.MaxMs != millis(all[len(all)-1]) {
		t.Errorf("%+v", got)
	}
	if got := (&latencies{}).at(0.99); got != 0 {
		t.Errorf("%v of nothing", got)
	}
}

// A request that holds the only worker is charged to all that were due meanwhile: no
// omission is coordinated with the server.
func TestOpenRunChargesAStallToThoseBehindIt(t *testing.T) {
	const stall = 200 * time.Millisecond
	run := openRun{rate: 1000, lasting: 100 * time.Millisecond, workers: 1}
	calls := 0
	all := run.run(t.Context(), func(int, arrival) outcome {
		if calls++; calls == 1 {
			pauseAll(stall)
		}
		return outcome{code: "200"}
	})
	if calls != 100 || all.good.n != 100 {
		t.Fatalf("%d calls, %d answers", calls, all.good.n)
	}
	// The one that was due 50 ms after the first waited for the rest of its stall.
	if got := all.good.at(0.5); got < stall-60*time.Millisecond {
		t.Errorf("half of them took at most %v", got)
	}
}

func pauseAll(d time.Duration) {
	for until := time.Now().Add(d); time.Now().Before(until); {
		pause(time.Until(until))
	}
}

// Who finds no worker within its patience goes, and is counted.
func TestOpenRunCountsWhoGivesUp(t *testing.T) {
	run := openRun{rate: 1000, lasting: 50 * time.Millisecond, workers: 1, patience: 400 * time.Millisecond}
	calls := 0
	all := run.run(t.Context(), func(int, arrival) outcome {
		if calls++; calls == 1 {
			pauseAll(500 * time.Millisecond)
		}
		return outcome{code: "200"}
	})
	if all.codes[gaveUp] != 49 || all.requests() != 50 || all.sent() != 1 {
		t.Errorf("%v", all.codes)
	}
}

// A wire says how each request ended; after a failure it connects again.
func TestWireTellsHowARequestEnded(t *testing.T) {
	answers := map[string]func(http.ResponseWriter){
		"/ok":    func(w http.ResponseWriter) { w.WriteHeader(http.StatusCreated) },
		"/cut":   func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"/close": func(w http.ResponseWriter) { w.Header().Set("Connection", "close") },
		"/shed": func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"code":"overloaded"}`))
		},
		"/down": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"code":"unavailable"}`))
		},
		"/limited": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte(`{"code":"rate_limited"}`))
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answers[r.URL.Path](w) }))
	w := newWire(server.URL)
	defer w.close()
	for i, c := range []struct {
		path, code string
		retryAfter bool
		told       fate
	}{
		{"/ok", "201", false, acknowledged}, {"/shed", "503", true, refused}, {"/close", "200", false, acknowledged}, {"/limited", "429", false, refused},
		{"/down", "503 unavailable", false, unknown}, {"/cut", "cut off", false, unknown}, {"/ok", "201", false, acknowledged},
	} {
		o, _ := w.ask(t.Context(), "kind", w.request("POST", c.path, "", []byte("{}")))
		if want := (outcome{"kind", c.code, c.retryAfter}); o != want || o.told() != c.told {
			t.Errorf("%s %s: %+v, %v", strconv.Itoa(i), c.path, o, o.told())
		}
	}
	server.CloseClientConnections()
	if o, _ := w.ask(t.Context(), "kind", w.request("GET", "/ok", "", nil)); o.code != "201" {
		t.Errorf("a connection that the server has closed: %+v", o)
	}
	server.Close()
	if o, _ := w.ask(t.Context(), "kind", w.request("GET", "/ok", "", nil)); o.code != "no connection" || o.told() != refused {
		t.Errorf("a server that is gone: %+v", o)
	}
}

// A follower takes nothing but the next position.
func TestFollowerNoticesGaps(t *testing.T) {
	for text, want := range map[string]int{
		"id: 8\ndata: {\"id\":\"m-4\"}\n\n: alive\n\nid: 9\ndata: {}\n\n": 2,
		"id: 9\ndata: {}\n\n":                     0,
		"id: 7\ndata: {}\n\n":                     0,
		"id: 8\ndata: {}\n\nid: 8\ndata: {}\n\n":  1,
		"id: 8\ndata: {}\n\nid: 10\ndata: {}\n\n": 1,
	} {
		f := &follower{last: 7, in: reader(text)}
		var err error
		for err == nil {
			err = f.next(func(data []byte) {
				if n, ours := numbered(data, "m-"); ours && n != 4 {
					t.Errorf("%q is number %d", data, n)
				}
			})
		}
		if f.seen != want {
			t.Errorf("%q: %d events, %v", text, f.seen, err)
		}
	}
}

func reader(text string) *bufio.Reader { return bufio.NewReader(strings.NewReader(text)) }
