package console_test

import (
	"context"
	"html"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/httpapi/console"
	"github.com/eb901187/annals/playback"
)

// A meteredDriver counts the events that are read from it, and fails on demand.
type meteredDriver struct {
	annals.Driver
	events  atomic.Int64
	failing atomic.Bool
	refused atomic.Pointer[string] // the stream that nothing is appended to; nil for none
}

func (m *meteredDriver) Append(ctx context.Context, stream string, expected int64, events []annals.Event) (annals.Commit, error) {
	if refused := m.refused.Load(); refused != nil && *refused == stream {
		return annals.Commit{}, &annals.Error{Code: annals.CodeNoSpace, Message: "the disk is full"}
	}
	return m.Driver.Append(ctx, stream, expected, events)
}

func (m *meteredDriver) Stream(ctx context.Context, stream string, from, to int64, backward bool) iter.Seq2[annals.Event, error] {
	return m.meter(m.Driver.Stream(ctx, stream, from, to, backward))
}

func (m *meteredDriver) Log(ctx context.Context, q annals.Query) iter.Seq2[annals.Event, error] {
	return m.meter(m.Driver.Log(ctx, q))
}

func (m *meteredDriver) meter(events iter.Seq2[annals.Event, error]) iter.Seq2[annals.Event, error] {
	return func(yield func(annals.Event, error) bool) {
		if m.failing.Load() {
			yield(annals.Event{}, &annals.Error{Code: annals.CodeUnavailable, Message: "the disk is away"})
			return
		}
		for e, err := range events {
			m.events.Add(1)
			if !yield(e, err) {
				return
			}
		}
	}
}

// A visited console is one whose forms are filled in and sent, as by a browser without
// JavaScript.
type visited struct {
	t      *testing.T
	driver *meteredDriver
	store  *annals.Store
	server *httptest.Server
	client *http.Client
}

// visit starts one over a store of its own. change may be nil.
func visit(t *testing.T, change func(*console.Options)) *visited {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	d, err := embedded.OpenDriver("store", &embedded.Options{FS: vfs.NewMem(), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	v := &visited{t: t, driver: &meteredDriver{Driver: d}}
	v.store = annals.New(v.driver, nil)
	runner := playback.NewRunner(v.store, nil, quiet)
	opts := console.Options{Logger: quiet, StoreName: "my store", APIAddress: "http://127.0.0.1:4000", Playbacks: runner}
	if change != nil {
		change(&opts)
	}
	v.server = httptest.NewServer(console.New(v.store, &opts))
	jar, _ := cookiejar.New(nil) // never fails
	v.client = &http.Client{Jar: jar}
	t.Cleanup(func() {
		v.server.Close()
		runner.Close()
		if err := v.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return v
}

func (v *visited) append(stream string, events ...annals.Event) annals.Commit {
	v.t.Helper()
	commit, err := v.store.Append(v.t.Context(), stream, annals.Any, events...)
	if err != nil {
		v.t.Fatal(err)
	}
	return commit
}

// open returns a page; path may be behind console.Path.
func (v *visited) open(path string) (status int, page string) {
	v.t.Helper()
	if !strings.HasPrefix(path, "/") {
		path = console.Path + path
	}
	answer, err := v.client.Get(v.server.URL + path)
	return v.read(answer, err)
}

func (v *visited) read(answer *http.Response, err error) (int, string) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// sees opens a page with a status and wants texts on it, as people see them.
func (v *visited) sees(path string, status int, texts ...string) string {
	v.t.Helper()
	got, page := v.open(path)
	if got != status {
		v.t.Fatalf("%s: %d, want %d\n%s", path, got, status, page)
	}
	v.holds(page, texts...)
	return page
}

func (v *visited) holds(page string, texts ...string) {
	v.t.Helper()
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(page), text) {
			v.t.Errorf("the page does not hold %q:\n%s", text, page)
		}
	}
}

func (v *visited) lacks(page string, texts ...string) {
	v.t.Helper()
	for _, text := range texts {
		if strings.Contains(page, text) {
			v.t.Errorf("the page holds %q:\n%s", text, page)
		}
	}
}

var (
	sentForm    = regexp.MustCompile(`(?s)<form method="post"([^>]*)>(.*?)</form>`)
	formAction  = regexp.MustCompile(`(?:form)?action="([^"]*)"`)
	hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// form is what a page has in the hidden fields of its form to an action.
func (v *visited) form(page, action string) url.Values {
	v.t.Helper()
	for _, form := range sentForm.FindAllStringSubmatch(page, -1) {
		leads := false
		for _, to := range formAction.FindAllStringSubmatch(form[1]+form[2], -1) {
			leads = leads || to[1] == console.Path+action
		}
		if !leads {
			continue
		}
		values := url.Values{}
		for _, field := range hiddenField.FindAllStringSubmatch(form[2], -1) {
			values.Set(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
		}
		return values
	}
	v.t.Fatalf("the page has no form to %s:\n%s", action, page)
	return nil
}

// send sends a form with further fields, by name and value, and returns the page that
// it leads to.
func (v *visited) send(action string, form url.Values, fields ...string) (status int, page string) {
	v.t.Helper()
	for i := 0; i < len(fields); i += 2 {
		form[fields[i]] = append(form[fields[i]], fields[i+1])
	}
	answer, err := v.client.PostForm(v.server.URL+console.Path+action, form)
	return v.read(answer, err)
}

// reads is how many events a page reads.
func (v *visited) reads(path string) int64 {
	v.t.Helper()
	before := v.driver.events.Load()
	v.sees(path, http.StatusOK)
	return v.driver.events.Load() - before
}

// noted is the last action in the operators' log.
func (v *visited) noted() access.Action {
	v.t.Helper()
	page, _, err := access.Actions(v.t.Context(), v.store, nil)
	if err != nil || len(page) == 0 {
		v.t.Fatalf("%v, %v", page, err)
	}
	return page[0]
}

// waitFor waits until is, at most 20 s.
func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatal("not within 20 s: " + what)
		}
		runtime.Gosched()
	}
}

// regexp1 is what the group of a pattern matches first, without escapes.
func regexp1(t *testing.T, pattern, text string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("%s is not in\n%s", pattern, text)
	}
	return html.UnescapeString(m[1])
}
