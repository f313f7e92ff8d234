package fuzzapi_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals/robust/fuzzapi"
)

var (
	requests = flag.Int("requests", 50, "how many requests each operation gets")
	seed     = flag.Uint64("seed", 1, "of the first world; each further one has the next")
	printed  = flag.Bool("statuses", false, "print the statuses of each operation")
)

// Each world is small, so that reading all of it stays quick.
const perWorld = 50

// manyRequests reach what all operations are for.
const manyRequests = 1000

// enough findings end a run.
const enough = 100

// documentOf asks the server to describe itself.
func documentOf(t *testing.T, w *world) *fuzzapi.Document {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.server.URL+"/openapi.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	if token := w.tokens["read"]; token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := w.server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	if closing := answer.Body.Close(); err != nil || closing != nil {
		t.Fatal(err, closing)
	}
	d, err := fuzzapi.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// campaign runs one against a new world, for the operations whose paths start as one of
// paths.
func campaign(t *testing.T, seed uint64, requests int, paths []string, wrap func(http.Handler) http.Handler) (*fuzzapi.Report, []string) {
	t.Helper()
	w := open(t, int(seed%2), wrap)
	document := documentOf(t, w)
	document.Operations = slices.DeleteFunc(document.Operations, func(op fuzzapi.Operation) bool {
		return !slices.ContainsFunc(paths, func(path string) bool { return strings.HasPrefix(op.Path, path) })
	})
	c := &fuzzapi.Campaign{
		Document: document, URL: w.server.URL, Client: w.server.Client(), Seed: seed, Requests: requests, Tokens: w.tokens,
		Patience: 30 * time.Millisecond, Limit: 20 * time.Second,
		Values: map[string][]string{"projections.name": {"orders", "state"}, "consumers.name": {"orders", "state"}, "generations.number": {"1", "2"}, "stream": {"order-1", "order-2"}, "size": {"1", "2", "3"}},
		// A server works on so many playbacks at once, and says so.
		Expected: func(operation string, status int) bool {
			return status == http.StatusServiceUnavailable && (operation == "startPlayback" || operation == "resumePlayback")
		},
	}
	report, err := c.Run(t.Context())
	if closing := w.close(); err != nil || closing != nil {
		t.Fatalf("seed %d: %v, %v", seed, err, closing)
	}
	return report, w.log.panics()
}

// Whatever is asked, the answer is one that the document describes.
func TestAnswersAreAsDocumented(t *testing.T) {
	t.Parallel()
	began := time.Now()
	total := &fuzzapi.Report{}
	worlds := (*requests + perWorld - 1) / perWorld
	for n := range worlds {
		of := *seed + uint64(n)
		report, panics := campaign(t, of, min(perWorld, *requests-n*perWorld), []string{"/"}, nil)
		for i := range report.Findings {
			t.Errorf("-seed %d: %v", of, &report.Findings[i])
		}
		for _, line := range panics {
			t.Errorf("-seed %d: the server's log: %s", of, line)
		}
		total.Add(report)
		if len(total.Findings) > enough {
			t.FailNow()
		}
	}
	operations := slices.Sorted(maps.Keys(total.Statuses))
	for _, operation := range operations {
		if *printed {
			t.Logf("%-20s %v", operation, total.Statuses[operation])
		}
		if *requests >= manyRequests && total.Succeeded(operation) == 0 {
			t.Errorf("-seed %d: no request of %s succeeded: the generator does not reach it: %v", *seed, operation, total.Statuses[operation])
		}
	}
	t.Logf("%d answers to %d operations in %v, in %d worlds from seed %d; %d waited or followed until they were left",
		total.Requests, len(operations), time.Since(began).Round(time.Millisecond), worlds, *seed, total.Left)
}

// A spoiler changes the answers of one path.
type spoiler struct {
	http.ResponseWriter
	status int
	media  string
	from   string
	to     string
}

func (s *spoiler) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *spoiler) WriteHeader(status int) {
	s.Header().Del("Content-Length")
	if s.media != "" {
		s.Header().Set("Content-Type", s.media)
	}
	if s.status > 0 && status == http.StatusOK {
		status = s.status
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *spoiler) Write(b []byte) (int, error) {
	if s.from == "" {
		return s.ResponseWriter.Write(b)
	}
	_, err := s.ResponseWriter.Write(bytes.ReplaceAll(b, []byte(s.from), []byte(s.to)))
	return len(b), err
}

// Faults that are planted into a server are found.
func TestPlantedFaultsAreFound(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]struct {
		path string
		with spoiler
		want string
	}{
		"a failure":                {"/v1/position", spoiler{status: 500}, "the server failed: 500"},
		"a status":                 {"/v1/projections", spoiler{status: 299}, "the status 299 is not documented"},
		"a media type":             {"/v1/streams", spoiler{media: "text/html"}, `the media type "text/html"`},
		"a member is missing":      {"/v1/streams", spoiler{from: `"streams":`, to: `"stream":`}, "not what the schema says"},
		"a member's type":          {"/v1/position", spoiler{from: `"position":"`, to: `"position":0,"x":"`}, "not what the schema says"},
		"a problem without a code": {"/v1/playbacks/", spoiler{from: `"code":"`, to: `"code":"un`}, "not what the schema says"},
		"a problem's status":       {"/v1/playbacks/", spoiler{from: `"status":4`, to: `"status":5`}, "does not fit its status"},
		"an event of a line":       {"/v1/events", spoiler{from: `"specversion":"1.0"`, to: `"specversion":"0.3"`}, "not what the schema says"},
		"no JSON":                  {"/v1/consumers", spoiler{from: `{`, to: `{,`}, "is no JSON"},
	} {
		report, _ := campaign(t, 2, 40, []string{strings.TrimSuffix(plant.path, "/"), "/v1/streams/{stream}/events"}, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, plant.path) {
					spoiled := plant.with
					spoiled.ResponseWriter = w
					w = &spoiled
				}
				next.ServeHTTP(w, r)
			})
		})
		if !slices.ContainsFunc(report.Findings, func(f fuzzapi.Finding) bool { return strings.Contains(fmt.Sprint(f.Err), plant.want) }) {
			t.Errorf("%s was not found; findings: %v", name, report.Findings)
		}
	}
}

// A panic is found in the server's log.
func TestPlantedPanicIsFound(t *testing.T) {
	t.Parallel()
	report, panics := campaign(t, 2, 20, []string{"/v1/root"}, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v1/root" {
				panic("planted")
			}
			next.ServeHTTP(w, r)
		})
	})
	if len(panics) == 0 || len(report.Findings) == 0 {
		t.Errorf("found %q and %v", panics, report.Findings)
	}
}
