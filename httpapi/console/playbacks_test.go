package console_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/httpapi/console"
	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/storetest/stores"
)

const selection = "playbacks/new/selection"

func (v *visited) orders(n int) {
	v.t.Helper()
	for i := range n {
		v.append(fmt.Sprintf("order-%d", i), annals.Event{Type: "placed", Data: []byte(`{}`)}, annals.Event{Type: "paid", Data: []byte(`{}`)})
	}
}

func (v *visited) playback(id string) playback.Playback {
	v.t.Helper()
	p, err := playback.Show(v.t.Context(), v.store, id, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	return p
}

func TestPlaybackIsCountedThenStarted(t *testing.T) {
	v := visit(t, nil)
	v.sees("playbacks", http.StatusOK, "There are no playbacks here.", "Start a playback")
	v.orders(10)
	v.sees(selection, http.StatusOK, "Which events", "they are counted before anything is sent")
	step1 := selection + "?" + url.Values{"streams": {"order-1, order-2*"}, "types": {"placed"}, "kind": {"stream"}, "name": {"again"}, "count": {"1"}}.Encode()
	page := v.sees(step1, http.StatusOK, "2 events of 2 streams, from position 3 to 5", "to stream again", "Nothing was sent so far",
		"annals playback start --streams 'order-1, order-2*' --types placed --to 20 --to-stream again --store 'my store'")
	if _, _, err := playback.Recent(t.Context(), v.store, 0, 1, nil); err != nil {
		t.Fatal(err)
	}
	form := v.form(page, selection)
	id := form.Get("id")
	v.append("order-1", annals.Event{Type: "placed", Data: []byte(`{}`)}) // what comes later was not counted
	status, page := v.send(selection, form)
	if status != http.StatusOK {
		t.Fatalf("%d\n%s", status, page)
	}
	v.holds(page, "playback "+id+" is started", "curl -N -H 'Accept: text/event-stream' http://127.0.0.1:4000/v1/playbacks/"+id+"/events", "order-1, order-2*")
	waitFor(t, "the playback finishes", func() bool { return v.playback(id).State == playback.StateFinished })
	if p := v.playback(id); p.Count != 2 || p.End != 20 {
		t.Errorf("%+v", p)
	}
	v.sees("playbacks/"+id, http.StatusOK, "finished", "2 events, up to position 20 of 20", "100 %")
	v.sees("playbacks", http.StatusOK, id, "finished", "stream again")
	// The form is sent twice: there is one playback.
	status, page = v.send(selection, form)
	if all, err := playback.List(t.Context(), v.store, nil); status != http.StatusOK || err != nil || len(all) != 1 {
		t.Fatalf("%d, %v, %v", status, all, err)
	}
	v.holds(page, "was started before")
	if a := v.noted(); a.What != "playback.start" || a.Target != id || a.Error != "" {
		t.Errorf("%+v", a)
	}
	// The same id for something else is a conflict.
	form.Set("types", "paid")
	if status, page = v.send(selection, form); status != http.StatusConflict {
		t.Errorf("%d\n%s", status, page)
	}
}

func TestMistakesInTheFormOfAPlayback(t *testing.T) {
	v := visit(t, nil)
	v.orders(3)
	for query, says := range map[string]string{
		"streams=a*b":                 "at the end only",
		"types=nothing":               "no event matches the selection",
		"since=yesterday":             "RFC 3339",
		"from=x":                      "must be a position",
		"from=5&to=2":                 "must not be before from",
		"from=1000":                   "past the end of the log",
		"rate=fast":                   "events a second",
		"rate=NaN":                    "rate",
		"rate=-1":                     "events a second",
		"kind=stream":                 "to which stream",
		"name=again":                  "belongs to a target",
		"kind=file&name=x":            "writes no file",
		"kind=odd&name=x":             "unknown kind",
		"kind=projection&name=orders": "keeps no",
		"kind=kinesis&name=x":         "does not send to Kinesis",
		"streams=%22%3E%3Cscript%3Ealert(1)%3C/script%3E": "no stream's name",
	} {
		status, page := v.open(selection + "?count=1&" + query)
		if status < 400 || status > 499 {
			t.Errorf("%s: %d", query, status)
		}
		v.holds(page, says, "Which events") // the form is there to be mended
		v.lacks(page, "<script>alert", "Start the playback")
	}
}

func TestPlaybackIsStoppedAndResumed(t *testing.T) {
	v := visit(t, nil)
	v.orders(20)
	page := v.sees(selection+"?count=1&kind=stream&name=slow&rate=0.5", http.StatusOK)
	form := v.form(page, selection)
	path := "playbacks/" + form.Get("id")
	if status, page := v.send(selection, form); status != http.StatusOK {
		t.Fatalf("%d\n%s", status, page)
	}
	page = v.sees(path, http.StatusOK, "running", "at most 0.5")
	v.lacks(page, path+"/resume")
	stop := v.form(page, path+"/stop")
	status, page := v.send(path+"/stop", stop, "reason", "a mistake "+odd)
	if status != http.StatusOK {
		t.Fatalf("%d\n%s", status, page)
	}
	v.holds(page, "is stopped", "a mistake "+odd)
	v.lacks(page, "<script>alert", "<img", path+"/stop\"")
	if status, page := v.send(path+"/stop", stop); status != http.StatusConflict {
		t.Errorf("%d\n%s", status, page)
	}
	if status, page = v.send(path+"/resume", v.form(page, path+"/resume")); status != http.StatusOK {
		t.Fatalf("%d\n%s", status, page)
	}
	v.holds(page, "goes on", "running")
	if _, err := playback.Stop(t.Context(), v.store, form.Get("id"), "", nil); err != nil {
		t.Fatal(err)
	}
	v.sees("playbacks/nothing", http.StatusNotFound, "there is no playback nothing")
	v.sees("playbacks/odd%20id", http.StatusBadRequest)
}

// A server that runs none shows those that run elsewhere, and can stop them.
func TestPlaybacksOfAServerThatRunsNone(t *testing.T) {
	v := visit(t, func(o *console.Options) { o.Playbacks = nil })
	v.orders(5)
	if _, err := playback.Start(t.Context(), v.store, playback.Selection{}, playback.ToStream("x"), &playback.Options{ID: "elsewhere"}); err != nil {
		t.Fatal(err)
	}
	v.lacks(v.sees("playbacks", http.StatusOK, "This server runs no playbacks", "elsewhere"), "Start a playback")
	v.sees(selection, http.StatusNotFound, "runs no playbacks")
	page := v.sees("playbacks/elsewhere", http.StatusOK, "running")
	status, page := v.send("playbacks/elsewhere/stop", v.form(page, "playbacks/elsewhere/stop"), "reason", "enough")
	if status != http.StatusOK {
		t.Fatalf("%d\n%s", status, page)
	}
	v.holds(page, "annals playback resume elsewhere")
	v.lacks(page, "elsewhere/resume")
}

func TestPlaybacksReadAPage(t *testing.T) {
	v := visit(t, nil)
	v.orders(3)
	for i := range 30 {
		if _, err := playback.Start(t.Context(), v.store, playback.Selection{}, nil, &playback.Options{ID: fmt.Sprintf("pb-%02d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	// Of each its start in the log, its first and last record, and the records of its pace.
	if n := v.reads("playbacks"); n > 21+20*(2+10) {
		t.Errorf("%d events were read", n)
	}
	page := v.sees("playbacks", http.StatusOK, "pb-29", "pb-10")
	v.lacks(page, "pb-09")
	page = v.sees(regexp1(t, `href="([^"]*)" rel="next"`, page), http.StatusOK, "pb-09", "pb-00", "Newest")
	v.lacks(page, "pb-10")
	v.driver.FailReads(away)
	for _, path := range []string{"playbacks", "playbacks/pb-01", selection + "?count=1", "forks"} {
		v.sees(path, http.StatusServiceUnavailable, "the disk is away")
	}
}

func TestForks(t *testing.T) {
	v := visit(t, nil)
	v.sees("forks", http.StatusOK, "It is no fork of another one.", "annals fork --to ./fork --store 'my store'", "No playback to another store is recorded here.")
	from := stores.Memory(t, nil)
	if _, err := from.Append(t.Context(), "order-1", annals.Any, annals.Event{Type: "placed", Data: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	if _, err := playback.Fork(t.Context(), from, v.store, &playback.ForkOptions{Source: "./live " + odd}); err != nil {
		t.Fatal(err)
	}
	if _, err := playback.Start(t.Context(), v.store, playback.Selection{}, playback.ToStore(from, "./copy "+odd), &playback.Options{ID: "copying"}); err != nil {
		t.Fatal(err)
	}
	page := v.sees("forks", http.StatusOK, "./live "+odd, "1 event of 1 stream", "copying", "./copy "+odd)
	v.lacks(page, "<script>alert", "<img")
	if _, err := playback.Stop(t.Context(), v.store, "copying", "", nil); err != nil {
		t.Fatal(err)
	}
	page = v.sees("playbacks/copying", http.StatusOK, "A server writes no store.", "annals playback resume copying")
	v.lacks(page, "copying/resume")
}

// The live part of a running playback shows how far it is, and holds no forms.
func TestPlaybackLive(t *testing.T) {
	ending := make(chan struct{})
	v := visit(t, func(o *console.Options) { o.LivePeriod, o.Ending = 10*time.Millisecond, ending })
	defer close(ending)
	v.orders(3)
	if _, err := playback.Start(t.Context(), v.store, playback.Selection{}, playback.ToStream("x"), &playback.Options{ID: "pb"}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"playbacks", "playbacks/pb"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.server.URL+console.Path+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "text/event-stream")
		answer, err := v.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		part := make([]byte, 1<<16)
		text := ""
		for !strings.Contains(text, "\n\n") {
			n, err := answer.Body.Read(part)
			if text += string(part[:n]); err != nil {
				t.Fatal(err)
			}
		}
		answer.Body.Close()
		if !strings.Contains(text, "running") || !strings.Contains(text, "<progress") || strings.Contains(text, "<form") {
			t.Errorf("%s: %s", path, text)
		}
	}
}

// Without the role operate nothing is offered, and nothing is done.
func TestReadersOperateNothing(t *testing.T) {
	b := bill(t, errUnsure, nil)
	b.repair(15)
	b.append("s", annals.Event{Type: "p", Data: []byte(`{"a":1}`)})
	if _, err := playback.Start(t.Context(), b.store, playback.Selection{}, nil, &playback.Options{ID: "pb"}); err != nil {
		t.Fatal(err)
	}
	handler := console.New(b.store, &console.Options{Authenticator: readingOnly{}, Playbacks: playback.NewRunner(b.store, nil, nil)})
	for _, path := range []string{"effects/calls?handler=billing&event=order-0@1", "repairs/billing", "playbacks/pb", selection + "?count=1", "reversal?stream=s&version=1"} {
		r := httptest.NewRequest(http.MethodGet, console.Path+path, nil)
		r.AddCookie(&http.Cookie{Name: "annals_token", Value: "t"})
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Errorf("%s: %d\n%s", path, w.Code, w.Body)
		}
		for _, form := range sentForm.FindAllString(w.Body.String(), -1) {
			if !strings.Contains(form, "sign-out") && strings.Contains(form, "csrf") {
				t.Errorf("%s offers %s", path, form)
			}
		}
	}
	const secret = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for _, path := range []string{"effects/resolve", "repairs/billing/approve", "repairs/billing/reject", selection, "playbacks/pb/stop", "playbacks/pb/resume", "reversal"} {
		r := httptest.NewRequest(http.MethodPost, console.Path+path, strings.NewReader("csrf="+secret+"&confirm=billing&reason=x"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.AddCookie(&http.Cookie{Name: "annals_token", Value: "t"})
		r.AddCookie(&http.Cookie{Name: "annals_csrf", Value: secret})
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "operate") {
			t.Errorf("%s: %d\n%s", path, w.Code, w.Body)
		}
	}
}

// readingOnly knows everybody, who may read.
type readingOnly struct{}

func (readingOnly) Authenticate(context.Context, string) (access.Principal, error) {
	return access.Principal{Name: "reader", Roles: []access.Role{access.Read}}, nil
}
