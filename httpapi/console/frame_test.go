package console

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/storetest/stores"
)

// framed is a console over an empty store, with what it logs.
func framed(t *testing.T, opts Options) (*console, *bytes.Buffer) {
	t.Helper()
	var logged bytes.Buffer
	opts.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	return New(stores.Memory(t, nil), &opts).(*console), &logged
}

// ask sends a request to a console.
func ask(c http.Handler, method, path string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w
}

func TestPagesThatThereAreNot(t *testing.T) {
	c, _ := framed(t, Options{})
	for _, test := range []struct {
		method, path string
		status       int
		allow, says  string
	}{
		{"GET", "/console/nothing", 404, "", "there is no page /console/nothing"},
		{"GET", "/console/%3Cscript%3E", 404, "", "there is no page /console/&lt;script&gt;"},
		{"POST", "/console/streams", 405, "GET", "POST is not done"},
		{"DELETE", "/console/", 405, "GET", "DELETE is not done"},
		{"GET", "/console/sign-out", 405, "POST", "GET is not done"},
		{"POST", "/console/nothing", 404, "", "there is no page"},
		{"GET", "/console/static/0/nothing.js", 404, "", "not found"},
	} {
		w := ask(c, test.method, test.path)
		if w.Code != test.status || w.Header().Get("Allow") != test.allow || !strings.Contains(w.Body.String(), test.says) {
			t.Errorf("%s %s: %d, Allow %q\n%s", test.method, test.path, w.Code, w.Header().Get("Allow"), w.Body)
		}
		if w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s %s: no Content-Security-Policy", test.method, test.path)
		}
	}
}

func TestHeadOfAPageIsNoLivePart(t *testing.T) {
	c, _ := framed(t, Options{})
	s := &screen{template: "test_live.html", live: true, read: func(*console, *http.Request) (string, any, error) { return "Live", "now", nil }}
	defineTemplate(t, s.template, `{{define "content"}}{{template "livePart" .}}{{end}}{{define "live"}}{{.Data}}{{end}}`)
	w := httptest.NewRecorder()
	r := httptest.NewRequest("HEAD", "/console/live", nil)
	r.Header.Set("Accept", "text/event-stream")
	c.show(s, w, r)
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
}

// defineTemplate adds a screen's template for a test.
func defineTemplate(t *testing.T, file, text string) {
	t.Helper()
	shared := template.Must(template.New("").Funcs(functions).ParseFS(templateFiles, "templates/layout.html", "templates/part_*.html"))
	templates[file] = template.Must(shared.Parse(text))
	t.Cleanup(func() { delete(templates, file) })
}

func TestFailingPages(t *testing.T) {
	c, logged := framed(t, Options{})
	defineTemplate(t, "test_broken.html", `{{define "content"}}{{.Data.Nothing}}{{end}}`)
	screens := map[string]func(*console, *http.Request) (string, any, error){
		"panic": func(*console, *http.Request) (string, any, error) { panic("a <bug>") },
		"error": func(*console, *http.Request) (string, any, error) { return "", nil, errors.New("disk on <fire>") },
		"notfound": func(*console, *http.Request) (string, any, error) {
			return "Thing", nil, &annals.Error{Code: annals.CodeNotFound, Message: "no <thing>", Hint: "look elsewhere"}
		},
		"template": func(*console, *http.Request) (string, any, error) { return "Broken", 1, nil },
	}
	for name, read := range screens {
		s := &screen{template: "test_broken.html", read: read}
		c.mux.HandleFunc("GET /console/test/"+name, func(w http.ResponseWriter, r *http.Request) { c.show(s, w, r) })
	}
	for name, want := range map[string]struct {
		status    int
		says, log string
	}{
		"panic":    {500, "the page failed by a bug", "a <bug>"},
		"error":    {500, "", "disk on <fire>"},
		"notfound": {404, "no &lt;thing&gt;", ""},
		"template": {500, "the page could not be made", "console template failed"},
	} {
		logged.Reset()
		w := ask(c, "GET", "/console/test/"+name)
		if w.Code != want.status || !strings.Contains(w.Body.String(), want.says) || strings.Contains(w.Body.String(), "<bug>") {
			t.Errorf("%s: %d\n%s", name, w.Code, w.Body)
		}
		if want.log == "" && logged.Len() > 0 || !strings.Contains(logged.String(), want.log) {
			t.Errorf("%s: logged %q", name, logged)
		}
	}
	if !strings.Contains(ask(c, "GET", "/console/test/panic").Body.String(), "<nav") {
		t.Error("the page of a panic has no navigation")
	}
}

// form is what a browser sends that has opened a page before.
func form(values ...string) func(*http.Request) {
	return func(r *http.Request) {
		fields := url.Values{csrfField: {strings.Repeat("A", 26)}}
		for i := 0; i < len(values); i += 2 {
			fields.Set(values[i], values[i+1])
		}
		body := httptest.NewRequest("POST", "/", strings.NewReader(fields.Encode()))
		r.Body, r.ContentLength = body.Body, body.ContentLength
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.AddCookie(&http.Cookie{Name: csrfCookie, Value: strings.Repeat("A", 26)})
	}
}

func TestActions(t *testing.T) {
	c, _ := framed(t, Options{})
	done := 0
	c.mux.HandleFunc("POST /console/test/{name}", func(w http.ResponseWriter, r *http.Request) {
		a := &action{
			what: "test.do", role: access.Operate, typed: true, target: func(r *http.Request) string { return r.PathValue("name") },
			do: func(*console, *http.Request) (string, string, error) {
				done++
				return strings.Repeat("é", 1000) + "<b>", Path + "streams", nil
			},
		}
		c.act(a, w, r)
	})
	for name, send := range map[string]func(*http.Request){
		"no token":             func(*http.Request) {},
		"not typed":            form(),
		"typed something else": form("confirm", "orders "),
		"another site":         func(r *http.Request) { form("confirm", "orders")(r); r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"another token":        form("confirm", "orders", csrfField, strings.Repeat("B", 26)),
		"too much":             form("confirm", "orders", "text", strings.Repeat("x", maxForm)),
	} {
		if w := ask(c, "POST", "/console/test/orders", send); w.Code < 400 || w.Code >= 500 || done != 0 {
			t.Errorf("%s: %d, done %d times\n%s", name, w.Code, done, w.Body)
		}
	}
	w := ask(c, "POST", "/console/test/orders", form("confirm", "orders"))
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != Path+"streams" || done != 1 {
		t.Fatalf("%d %v\n%s", w.Code, w.Header(), w.Body)
	}
	cookies := w.Result().Cookies()
	at := slices.IndexFunc(cookies, func(cookie *http.Cookie) bool { return cookie.Name == doneCookie })
	if at < 0 || len(cookies[at].Value) > 4000 {
		t.Fatalf("%v", cookies)
	}
	w = ask(c, "GET", "/console/streams", func(r *http.Request) { r.AddCookie(cookies[at]) })
	if !strings.Contains(w.Body.String(), "éé…") || !strings.Contains(strings.Join(w.Header().Values("Set-Cookie"), "\n"), doneCookie+"=;") {
		t.Errorf("the page does not say once what was done: %v\n%s", w.Header(), w.Body)
	}
	noted, _, err := access.Actions(t.Context(), c.store, nil)
	if err != nil || len(noted) != 1 || noted[0].What != "test.do" || noted[0].Target != "orders" || noted[0].Who != "local" {
		t.Errorf("noted %+v, %v", noted, err)
	}
}

func TestStaticFilesAreKeptByTheirContent(t *testing.T) {
	c, _ := framed(t, Options{})
	path, err := staticPath("console.css")
	if err != nil {
		t.Fatal(err)
	}
	w := ask(c, "GET", path)
	if w.Code != 200 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/css") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	w = ask(c, "GET", "/console/static/000000000000/console.css")
	if w.Code != 200 || w.Header().Get("Cache-Control") != "no-cache" {
		t.Errorf("of another version: %d %v", w.Code, w.Header())
	}
	if _, err := staticPath("nothing.css"); err == nil {
		t.Error("a file that there is not has an address")
	}
}

// What comes from others is what they published.
func TestVendored(t *testing.T) {
	list, err := staticFiles.ReadFile("static/VENDOR")
	if err != nil {
		t.Fatal(err)
	}
	vendored := map[string]bool{}
	for line := range strings.Lines(string(list)) {
		fields := strings.Fields(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		vendored[fields[1]] = true
		text, err := staticFiles.ReadFile("static/" + fields[1])
		if sum := sha256.Sum256(text); err != nil || hex.EncodeToString(sum[:]) != fields[0] {
			t.Errorf("static/%s is not %s of %s (%v)", fields[1], fields[3], fields[2], err)
		}
	}
	for name := range staticHashes {
		own := []string{"console.css", "console.js", "live.js", "icon.svg", "icons.svg", "VENDOR"}
		if !vendored[name] && !slices.Contains(own, name) {
			t.Errorf("static/%s is neither ours nor in VENDOR", name)
		}
	}
}

func TestScreens(t *testing.T) {
	paths, keys := map[string]bool{}, map[string]string{}
	for i := range screens {
		s := &screens[i]
		switch {
		case paths[s.path]:
			t.Errorf("two screens at %s", s.path)
		case templates[s.template] == nil:
			t.Errorf("%s has no template %s", s.path, s.template)
		case s.live && templates[s.template].Lookup("live") == nil:
			t.Errorf("%s is live, but %s does not define that part", s.path, s.template)
		case s.key != "" && keys[s.key] != "":
			t.Errorf("g %s opens %s and %s", s.key, keys[s.key], s.path)
		case s.key != "" && (s.nav == "" || strings.Contains(s.Address(), "{")):
			t.Errorf("%s has a key but is not in the navigation", s.path)
		case s.nav != "" && s.Icon() == "page":
			t.Errorf("%s has no drawing in icons.svg", s.path)
		}
		paths[s.path] = true
		keys[s.key] = s.path
	}
}
