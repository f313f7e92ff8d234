package console_test

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals/httpapi/console"
)

// A visitor opens pages of a server, fills in forms and sends them, as a browser without
// JavaScript does.
type visitor struct {
	t      *testing.T
	server *httptest.Server
	client *http.Client
}

// visitorOf starts a server for h, which whoever calls it closes.
func visitorOf(t *testing.T, h http.Handler) visitor {
	jar, _ := cookiejar.New(nil) // never fails
	return visitor{t: t, server: httptest.NewServer(h), client: &http.Client{Jar: jar}}
}

// open returns a page; path may be behind console.Path.
func (v *visitor) open(path string) (status int, page string) {
	v.t.Helper()
	if !strings.HasPrefix(path, "/") {
		path = console.Path + path
	}
	answer, err := v.client.Get(v.server.URL + path)
	return v.read(answer, err)
}

func (v *visitor) read(answer *http.Response, err error) (int, string) {
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
func (v *visitor) sees(path string, status int, texts ...string) string {
	v.t.Helper()
	got, page := v.open(path)
	if got != status {
		v.t.Fatalf("%s: %d, want %d\n%s", path, got, status, page)
	}
	v.holds(page, texts...)
	return page
}

func (v *visitor) holds(page string, texts ...string) {
	v.t.Helper()
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(page), text) {
			v.t.Errorf("the page does not hold %q:\n%s", text, page)
		}
	}
}

func (v *visitor) lacks(page string, texts ...string) {
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
func (v *visitor) form(page, action string) url.Values {
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
func (v *visitor) send(action string, form url.Values, fields ...string) (status int, page string) {
	v.t.Helper()
	for i := 0; i < len(fields); i += 2 {
		form[fields[i]] = append(form[fields[i]], fields[i+1])
	}
	answer, err := v.client.PostForm(v.server.URL+console.Path+action, form)
	return v.read(answer, err)
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
