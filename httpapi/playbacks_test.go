package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/storetest"
)

// playing is a server that runs playbacks, over six events.
func playing(t *testing.T) live {
	t.Helper()
	clock, quiet := func() time.Time { return storetest.Epoch }, slog.New(slog.DiscardHandler)
	store, err := embedded.Open("store", &embedded.Options{FS: vfs.NewMem(), Logger: quiet, Store: &annals.Options{Clock: clock}})
	if err != nil {
		t.Fatal(err)
	}
	runner := playback.NewRunner(store, &playback.Options{Runner: "server", Clock: clock}, quiet)
	s := live{httptest.NewServer(New(store, &Options{Logger: quiet, Clock: clock, Playbacks: runner})), store}
	t.Cleanup(func() {
		runner.Close()
		s.CloseClientConnections()
		s.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	fillStreams(t, s)
	return s
}

// ask sends a request and returns the answer of an expected status.
func (s live) ask(t *testing.T, status int, method, path, body string, headers ...string) string {
	t.Helper()
	got, _, text := s.do(t, method, path, body, append(headers, isJSON)...)
	if got != status {
		t.Fatalf("%s %s: %d %s, want %d", method, path, got, text, status)
	}
	return text
}

// finished waits for the end of a playback.
func (s live) finished(t *testing.T, id string) string {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; runtime.Gosched() {
		if text := s.ask(t, 200, "GET", "/v1/playbacks/"+id, ""); !strings.Contains(text, `"state":"running"`) {
			return text
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not end")
		}
	}
}

func TestPlaybackToAStream(t *testing.T) {
	s := playing(t)
	body := `{"id":"april","selection":{"types":["T1"],"from":"2"},"target":{"kind":"stream","name":"again"},"rate":1000}`
	if text := s.ask(t, 200, "POST", "/v1/playbacks?dryRun=true", body); text != `{"events":3,"bytes":3,"streams":1,"types":{"T1":3},"first":"2","last":"6","end":"6"}`+"\n" {
		t.Fatal(text)
	}
	if text := s.ask(t, 200, "GET", "/v1/playbacks", ""); text != `{"playbacks":[]}`+"\n" {
		t.Fatalf("a dry run has started %s", text)
	}
	s.ask(t, 201, "POST", "/v1/playbacks", body)
	want := `{"id":"april","state":"finished","selection":{"types":["T1"],"from":"2"},"end":"6","target":{"kind":"stream","name":"again"},"rate":1000,"by":"server",` +
		`"started":` + epochText + `,"position":"6","events":3,"runner":"server","updated":` + epochText + `}`
	if text := s.finished(t, "april"); text != want+"\n" {
		t.Fatalf("%s\nwant\n%s", text, want)
	}
	if text := s.ask(t, 200, "GET", "/v1/playbacks", ""); text != `{"playbacks":[`+want+`]}`+"\n" {
		t.Fatal(text)
	}
	again := storetest.Collect(t, s.store.Stream(t.Context(), playback.StreamPrefix+"again", nil))
	if len(again) != 3 || again[0].ID != "april:2" || again[2].Attributes["playbackof"] != "s1@3" {
		t.Fatalf("%+v", again)
	}
	s.ask(t, 409, "POST", "/v1/playbacks", body)
	s.ask(t, 409, "POST", "/v1/playbacks/april/resume", "")
	s.ask(t, 409, "POST", "/v1/playbacks/april/stop", "")
}

// Subscribers get it from its start, whenever they come, and are told of its end.
func TestSubscribersOfAPlayback(t *testing.T) {
	s := playing(t)
	s.ask(t, 201, "POST", "/v1/playbacks", `{"id":"pb","selection":{"types":["T0"]}}`)
	s.finished(t, "pb")
	fillMore(t, s)
	lines := s.ask(t, 200, "GET", "/v1/playbacks/pb/events", "")
	if n := strings.Count(lines, "\n"); n != 3 || strings.Count(lines, `"playback":"pb","playbackof":"s0@`) != 3 {
		t.Fatal(lines)
	}
	text := s.ask(t, 200, "GET", "/v1/playbacks/pb/events", "", "Accept: text/event-stream", "Last-Event-ID: 1")
	if !strings.HasPrefix(text, "id: 3\ndata: {") || !strings.HasSuffix(text, "\n\nid: 6\nevent: end\ndata: {\"playback\":\"pb\",\"position\":\"6\"}\n\n") || strings.Count(text, "data: ") != 3 {
		t.Fatal(text)
	}
	if text := s.ask(t, 200, "GET", "/v1/playbacks/pb/events?after=6", ""); text != "" {
		t.Fatal(text)
	}
}

func fillMore(t *testing.T, s live) {
	t.Helper()
	if _, err := s.store.Append(t.Context(), "s0", annals.Any, annals.Event{Type: "T0"}); err != nil {
		t.Fatal(err)
	}
}

// With a rate each event is given as it comes; a stop and a resume are recorded.
func TestSlowPlaybacks(t *testing.T) {
	s := playing(t)
	s.ask(t, 201, "POST", "/v1/playbacks", `{"id":"slow","rate":0.001,"target":{"kind":"stream","name":"again"}}`)
	if text := s.ask(t, 200, "POST", "/v1/playbacks/slow/stop?reason=lunch", ""); !strings.Contains(text, `"state":"stopped"`) || !strings.Contains(text, `"reason":"lunch"`) {
		t.Fatal(text)
	}
	if text := s.ask(t, 200, "POST", "/v1/playbacks/slow/resume", ""); !strings.Contains(text, `"state":"running"`) {
		t.Fatal(text)
	}
	answer, err := http.Get(s.URL + "/v1/playbacks/slow/events")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if line, err := bufio.NewReader(answer.Body).ReadString('\n'); err != nil || !strings.Contains(line, `"playback":"slow"`) {
		t.Fatalf("%s, %v", line, err)
	}
}

// A server runs so many at once, and one that was stopped makes room.
func TestManyPlaybacks(t *testing.T) {
	s := playing(t)
	slow := `{"rate":0.001,"target":{"kind":"stream","name":"again"}}`
	for i := range playback.MaxRunning + 3 {
		var p playback.Playback
		if err := json.Unmarshal([]byte(s.ask(t, 201, "POST", "/v1/playbacks", slow)), &p); err != nil {
			t.Fatal(err)
		}
		if i < 4 {
			s.ask(t, 200, "POST", "/v1/playbacks/"+p.ID+"/stop", "")
		}
	}
	s.ask(t, 201, "POST", "/v1/playbacks", slow)
	if text := s.ask(t, 503, "POST", "/v1/playbacks", slow); !strings.Contains(text, "16 playbacks run here already") {
		t.Fatal(text)
	}
}

func TestManyPlaybacksAtOnce(t *testing.T) {
	s := playing(t)
	var started atomic.Int64
	var all sync.WaitGroup
	for range 3 * playback.MaxRunning {
		all.Go(func() {
			answer, err := http.Post(s.URL+"/v1/playbacks", "application/json", strings.NewReader(`{"rate":0.001,"target":{"kind":"stream","name":"again"}}`))
			if err != nil {
				t.Error(err)
				return
			}
			if answer.StatusCode == http.StatusCreated {
				started.Add(1)
			}
			if err := answer.Body.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := started.Load(); n != playback.MaxRunning {
		t.Fatalf("%d playbacks run, want %d", n, playback.MaxRunning)
	}
}

// A subscriber that goes away is no failure of the server.
func TestSubscribersGo(t *testing.T) {
	var logged bytes.Buffer
	s := start(t, Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	fillStreams(t, s)
	run, err := playback.Start(t.Context(), s.store, playback.Selection{}, nil, &playback.Options{ID: "slow", Rate: playback.MinRate})
	if err != nil || run.Playback().ID != "slow" {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/v1/playbacks/slow/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := bufio.NewReader(answer.Body).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	leave()
	s.Close() // waits for the request
	if logged.Len() > 0 {
		t.Error(logged.String())
	}
}

func TestRefusedPlaybacks(t *testing.T) {
	s := playing(t)
	for _, c := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"a file", `{"target":{"kind":"file","name":"/etc/passwd"}}`, 400, "writes no file for its clients"},
		{"a store", `{"target":{"kind":"store","name":"/tmp"}}`, 400, "writes no store"},
		{"unknown kind", `{"target":{"kind":"x"}}`, 400, "unknown kind"},
		{"name without a kind", `{"target":{"name":"x"}}`, 400, "no kind"},
		{"unknown member", `{"selecton":{}}`, 400, "selecton"},
		{"a number as a position", `{"selection":{"from":1}}`, 400, "positions are strings"},
		{"twice", `{"id":"a","id":"b"}`, 400, "invalid_json"},
		{"no JSON", `{`, 400, "invalid_json"},
		{"an array", `[]`, 400, "array"},
		{"past the end", `{"selection":{"to":"7"}}`, 400, "past the end of the log, which is at 6"},
		{"nothing", `{"selection":{"types":["none"]}}`, 404, "nothing to do"},
		{"bad id", `{"id":"a/b"}`, 400, "id of a playback"},
		{"bad rate", `{"rate":-1}`, 400, "rate"},
		{"bad stream", `{"target":{"kind":"stream","name":"../x"}}`, 400, "no stream's name"},
		{"too large", `{"id":"` + strings.Repeat("x", maxPlaybackBytes) + `"}`, 413, "larger"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := s.ask(t, c.status, "POST", "/v1/playbacks", c.body)
			var p Problem
			if err := json.Unmarshal([]byte(text), &p); err != nil || !strings.Contains(text, c.want) {
				t.Fatalf("%s, %v", text, err)
			}
		})
	}
	s.ask(t, 404, "GET", "/v1/playbacks/none", "")
	s.ask(t, 404, "GET", "/v1/playbacks/none/events", "")
	s.ask(t, 400, "GET", "/v1/playbacks/a%2Fb/events", "")
	s.ask(t, 404, "POST", "/v1/playbacks/none/stop", "")
	s.ask(t, 404, "POST", "/v1/playbacks/none/resume", "")
	s.ask(t, 406, "GET", "/v1/playbacks/none/events", "", "Accept: image/png")
	if text := s.ask(t, 200, "GET", "/v1/playbacks", ""); text != `{"playbacks":[]}`+"\n" {
		t.Fatal(text)
	}
	plain := start(t, Options{})
	fillStreams(t, plain)
	if text := plain.ask(t, 404, "POST", "/v1/playbacks", `{}`); !strings.Contains(text, "runs no playbacks") {
		t.Fatal(text)
	}
}

// A generation is built from the selection only, beside the live one, and has to be
// forced to pass for it.
func TestPlaybackIntoAProjection(t *testing.T) {
	k := keep(t)
	k.append(t, "order-7", "placed", `{"total":1}`)
	k.append(t, "order-8", "placed", `{"total":2}`)
	position := k.append(t, "order-7", "paid", `{}`)
	k.built(t, "1", position)
	k.ask(t, 404, "POST", "/v1/playbacks", `{"target":{"kind":"projection","name":"none"}}`)
	k.ask(t, 201, "POST", "/v1/playbacks", `{"id":"part","selection":{"streams":["order-7"],"to":"2"},"target":{"kind":"projection","name":"orders"}}`)
	if text := k.finished(t, "part"); !strings.Contains(text, `"state":"finished"`) || !strings.Contains(text, `"events":1,`) {
		t.Fatal(text)
	}
	k.want(t, "GET /v1/views/orders?generation=2", 200, `"documents":[{"key":"order-7","position":"1","document":{"status":"placed","total":1}}]`)
	k.want(t, "GET /v1/views/orders", 200, `"generation":1`, `"order-8"`)
	k.want(t, "GET /v1/projections/orders", 200, `"part":{"playback":"part","selection":{"streams":["order-7"],"to":"2"},"end":"2"}`)
	k.want(t, "POST /v1/projections/orders/switch", 409, "was built from a part of the log")
	k.ask(t, 409, "POST", "/v1/playbacks", `{"id":"next","target":{"kind":"projection","name":"orders"}}`)
	k.want(t, "DELETE /v1/projections/orders/generations/2", 200)
	k.ask(t, 404, "GET", "/v1/playbacks/next", "")
}

// Without a target a playback goes where the server is told, and to Kinesis only with
// what sends there.
func TestPlaybackTargetOfTheServer(t *testing.T) {
	s := playing(t)
	if text := s.ask(t, 400, "POST", "/v1/playbacks", `{"target":{"kind":"kinesis","name":"k"}}`); !strings.Contains(text, "does not send to Kinesis") {
		t.Error(text)
	}
	clock := func() time.Time { return storetest.Epoch }
	runner := playback.NewRunner(s.store, &playback.Options{Runner: "server", Clock: clock}, nil)
	defer runner.Close()
	other := live{httptest.NewServer(New(s.store, &Options{
		Clock: clock, Playbacks: runner, PlaybackTo: playback.Destination{Kind: playback.KindKinesis, Name: "k"},
		PlaybackTarget: func(to playback.Destination) (playback.Target, error) {
			if to.Name != "k" {
				return nil, annals.Invalid("target", "is not k")
			}
			return renamed{playback.ToStream("again"), to}, nil
		},
	})), s.store}
	defer other.Close()
	other.ask(t, 201, "POST", "/v1/playbacks", `{"id":"pb"}`)
	if text := other.finished(t, "pb"); !strings.Contains(text, `"target":{"kind":"kinesis","name":"k"}`) || !strings.Contains(text, `"events":6`) {
		t.Error(text)
	}
	other.ask(t, 400, "POST", "/v1/playbacks", `{"target":{"kind":"kinesis","name":"j"}}`)
	if _, err := playback.Start(t.Context(), s.store, playback.Selection{}, nil, &playback.Options{ID: "slow"}); err != nil { // to subscribers
		t.Fatal(err)
	}
	if text := other.ask(t, 200, "POST", "/v1/playbacks/slow/resume", ""); !strings.Contains(text, `"target":{}`) {
		t.Error(text)
	}
}

type renamed struct {
	playback.Target
	to playback.Destination
}

func (r renamed) Destination() playback.Destination { return r.to }
