package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
)

// filled is the path of an action or screen with something for each of its wildcards.
func filled(path string) string {
	for strings.Contains(path, "{") {
		before, rest, _ := strings.Cut(path, "{")
		_, after, _ := strings.Cut(rest, "}")
		path = before + "7" + after
	}
	return path
}

func TestActionsAreWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range actions {
		subject, verb, dotted := strings.Cut(a.what, ".")
		switch {
		case a.role != access.Operate:
			t.Errorf("%s takes the role %q: what the console does is for operators", a.path, a.role)
		case !dotted || subject == "" || verb == "":
			t.Errorf("%s is called %q in the operators' log", a.path, a.what)
		case a.typed && a.target == nil:
			t.Errorf("%s asks for a name to be typed, and has none", a.path)
		case seen[a.path]:
			t.Errorf("%s is there twice", a.path)
		}
		seen[a.path] = true
	}
}

// watched is a console whose actions only count how often they are done.
func watched(t *testing.T) (c *console, done *int) {
	t.Helper()
	c, _ = framed(t, Options{Authenticator: everybody})
	c.mux = http.ServeMux{}
	c.mux.HandleFunc("GET "+Path+"sign-in", c.signIn)
	c.mux.HandleFunc("POST "+Path+"sign-in", c.signedIn)
	done = new(int)
	for _, a := range actions {
		a.do = func(*console, *http.Request) (string, string, error) {
			*done++
			return "did it", "https://evil.example/", nil
		}
		c.mux.HandleFunc("POST "+Path+a.path, func(w http.ResponseWriter, r *http.Request) { c.act(&a, w, r) })
	}
	return c, done
}

// targeted is a form with which an action has a target.
func targeted(secret string) url.Values {
	form := url.Values{"csrf": {secret}}
	for _, field := range []string{"id", "name", "handler", "event", "stream"} {
		form.Set(field, "7")
	}
	return form
}

// target is what the action is done to with this form.
func (a *action) of(t *testing.T, form url.Values) (target string) {
	t.Helper()
	if a.target == nil {
		return ""
	}
	var mux http.ServeMux
	mux.HandleFunc("POST "+Path+a.path, func(_ http.ResponseWriter, r *http.Request) {
		r.PostForm, r.Form = form, form
		target = a.target(r)
	})
	ask(&mux, "POST", Path+filled(a.path))
	return target
}

// Every action is refused to whoever lacks its role, to forms that are not of this
// browser, and where another name is typed than the target's: nothing is done, and
// nothing stored but the note of who lacked the role.
func TestActionsAreRefused(t *testing.T) {
	c, done := watched(t)
	refused := func(a *action, why string, b *window, form url.Values, status int) {
		t.Helper()
		w := b.do("POST", Path+filled(a.path), form)
		end, err := c.store.End(t.Context())
		notes, _, noting := access.Actions(t.Context(), c.store, &access.ActionsOptions{Limit: 1000})
		if w.Code != status || *done != 0 || end != int64(len(notes)) || err != nil || noting != nil {
			t.Errorf("%s %s: %d, done %d times, the log ends at %d behind %d notes, %v, %v", a.path, why, w.Code, *done, end, len(notes), err, noting)
		}
		for _, note := range notes {
			if !strings.Contains(note.Error, "takes the role operate") {
				t.Errorf("%s %s: noted as %+v", a.path, why, note)
			}
		}
		if w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s %s: no Content-Security-Policy", a.path, why)
		}
	}
	operator := look(t, c)
	operator.signIn("annals_operator", "")
	for i := range actions {
		a := &actions[i]
		form := targeted(operator.secret())
		target := a.of(t, form)
		form.Set("confirm", target)
		without := func(field string, values ...string) url.Values {
			changed := url.Values{}
			for name := range form {
				changed[name] = slices.Clone(form[name])
			}
			changed[field] = values
			return changed
		}
		refused(a, "by nobody", look(t, c), form, 401)
		for _, token := range []string{"annals_reader", "annals_feeder", "annals_blind"} {
			b := look(t, c)
			b.signIn(token, "")
			if token == "annals_blind" { // who can't even sign in
				b.cookies[tokenCookie] = &http.Cookie{Name: tokenCookie, Value: token}
			}
			own := without("csrf", b.secret())
			refused(a, "by "+token, b, own, 403)
		}
		refused(a, "without a secret", operator, without("csrf"), 403)
		refused(a, "with an empty secret", operator, without("csrf", ""), 403)
		refused(a, "with another secret", operator, without("csrf", strings.Repeat("A", 26)), 403)
		for header, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
			operator.change = func(r *http.Request) { r.Header.Set(header, value) }
			refused(a, "from another site", operator, form, 403)
		}
		operator.change = func(r *http.Request) { r.URL.RawQuery = form.Encode() }
		refused(a, "with the form in the address", operator, url.Values{}, 403)
		operator.change = func(*http.Request) {}
		if a.typed {
			for _, name := range []string{"", target + " ", strings.ToUpper("x" + target)} {
				refused(a, "with another name", operator, without("confirm", name), 400)
			}
			refused(a, "without a name", operator, without("confirm"), 400)
		}
	}
}

// With all that it takes an action is done once and noted, and leads to no other site.
func TestActionsAreDoneAndNoted(t *testing.T) {
	c, done := watched(t)
	b := look(t, c)
	b.signIn("annals_operator", "")
	for i := range actions {
		a := &actions[i]
		form := targeted(b.secret())
		target := a.of(t, form)
		form.Set("confirm", target)
		w := b.do("POST", Path+filled(a.path), form)
		if w.Code != 303 || *done != i+1 || w.Header().Get("Location") != Path {
			t.Fatalf("%s: %d to %s, done %d times\n%s", a.path, w.Code, w.Header().Get("Location"), *done, w.Body)
		}
		page, _, err := access.Actions(t.Context(), c.store, nil)
		if err != nil || len(page) != i+1 {
			t.Fatalf("%s: %d notes, %v", a.path, len(page), err)
		}
		if n := page[0]; n.Who != "otto" || n.What != a.what || n.Target != target || n.Detail != "did it" || n.Error != "" || n.At.IsZero() {
			t.Errorf("%s: %+v", a.path, n)
		}
	}
}

// Strict headers are on every answer, whatever it is, and none sets a cookie that
// scripts or other sites see.
func TestHeadersOfEveryAnswer(t *testing.T) {
	c, _ := framed(t, Options{Authenticator: everybody})
	b := look(t, c)
	b.signIn("annals_operator", "")
	css, err := staticPath("console.css")
	if err != nil {
		t.Fatal(err)
	}
	requests := []string{
		"GET /console/sign-in", "POST /console/sign-in", "POST /console/sign-out", "GET /console/nothing", "DELETE /console/", "HEAD /console/streams",
		"GET /console/static/nothing", "GET /console//streams", "GET /console/../console/streams", "GET " + css, "GET /console/event/a?version=x",
	}
	for i := range screens {
		requests = append(requests, "GET "+Path+filled(strings.NewReplacer("{$}", "", "...", "").Replace(screens[i].path)))
	}
	for i := range actions {
		requests = append(requests, "POST "+Path+filled(actions[i].path))
	}
	for _, who := range []*window{b, look(t, c)} {
		for _, request := range requests {
			method, path, _ := strings.Cut(request, " ")
			w := who.do(method, path, nil)
			h := w.Header()
			policy := h.Get("Content-Security-Policy")
			if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
				t.Errorf("%s: %d, Content-Security-Policy %q", request, w.Code, policy)
			}
			for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin"} {
				if h.Get(name) != want {
					t.Errorf("%s: %d, %s %q", request, w.Code, name, h.Get(name))
				}
			}
			if h.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s lets other sites read", request)
			}
			for _, cookie := range w.Result().Cookies() {
				if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode {
					t.Errorf("%s: %s", request, cookie)
				}
			}
			body := strings.ToLower(w.Body.String())
			if strings.Contains(h.Get("Content-Type"), "html") && (strings.Contains(body, "<script>") || strings.Contains(body, " style=") || strings.Contains(body, " onclick=")) {
				t.Errorf("%s has inline script or style", request)
			}
		}
	}
}

func TestProblemOfARefusedFormNamesTheRole(t *testing.T) {
	c, _ := watched(t)
	b := look(t, c)
	b.signIn("annals_reader", "")
	form := targeted(b.secret())
	if w := b.do("POST", Path+filled(actions[0].path), form); w.Code != annals.CodeForbidden.Info().Status || !strings.Contains(w.Body.String(), "role operate") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A page has no form and no link that who looks at it can't use.
func TestPagesOfferWhatWorks(t *testing.T) {
	open, _ := framed(t, Options{})
	if page := ask(open, "GET", Path+"search").Body.String(); !strings.Contains(page, `href="/v1/events`) {
		t.Error("without tokens the API is a link away")
	}
	c, _ := framed(t, Options{Authenticator: everybody})
	b := look(t, c)
	b.signIn("annals_reader", "")
	for i := range screens {
		page := b.do("GET", Path+filled(strings.NewReplacer("{$}", "", "...", "").Replace(screens[i].path)), nil).Body.String()
		_, content, _ := strings.Cut(page, "<main")
		if strings.Contains(content, `method="post"`) || strings.Contains(content, `href="/v1/`) {
			t.Errorf("%s\n%s", screens[i].path, content)
		}
	}
}

// Links of other sites lead here; their pictures, frames and scripts make the server do
// nothing.
func TestOtherSitesCanOnlyLinkHere(t *testing.T) {
	c, _ := framed(t, Options{})
	for fetched, status := range map[string]int{
		"": 200, "none document": 200, "same-origin empty": 200, "cross-site document": 200, "same-site document": 200,
		"cross-site image": 403, "cross-site iframe": 403, "same-site empty": 403, "cross-site ": 403,
	} {
		site, into, _ := strings.Cut(fetched, " ")
		w := ask(c, "GET", Path+"streams", func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", site)
			r.Header.Set("Sec-Fetch-Dest", into)
		})
		if w.Code != status {
			t.Errorf("%q: %d, want %d", fetched, w.Code, status)
		}
	}
}

// However an address is written, what is behind it takes a token, except for sign-in
// and the files of the console.
func TestOddAddressesLeadAroundNoToken(t *testing.T) {
	c, _ := framed(t, Options{Authenticator: everybody})
	for _, method := range []string{"GET", "HEAD", "POST", "CONNECT", "OPTIONS"} {
		for _, path := range []string{
			"/console/static/../operators", "/console/static/%2e%2e/operators", "/console/static%2f..%2foperators", "/console/static/..%2foperators",
			"/console/static/x/../../operators", "/console//operators", "/console/./operators", "/console/sign-in/../operators", "/console/sign-in%2f..%2foperators",
			"/console/static/%2e%2e%2foperators", "/console/static/x/%2e%2e/%2e%2e/operators", "/console/%6fperators", "/console/operators/",
		} {
			w := ask(c, method, path)
			if w.Code < 300 || strings.Contains(w.Body.String(), "What operators did") || strings.Contains(w.Body.String(), "No operator has done") {
				t.Errorf("%s %s: %d\n%s", method, path, w.Code, w.Body)
			}
		}
	}
}
