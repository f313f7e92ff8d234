package console_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/httpapi/console"
	"github.com/eb901187/annals/httpapi/console/consoletest"
)

var (
	postForm = regexp.MustCompile(`<form[^>]*method="post"[^>]*>`)
	sendsTo  = regexp.MustCompile(`(?:<form[^>]* action|<button[^>]* formaction)="([^"]+)"`)
)

// Who may only read is shown no form on any screen of the large store; and what the
// forms of an operator's pages send is refused to him, though his browser has a secret
// that counts.
func TestReadersOfTheLargeStoreChangeNothing(t *testing.T) {
	f := consoletest.Big(t)
	file, secret := tokens(t, access.Principal{Name: "bob", Roles: []access.Role{access.Read}})
	opts := f.Options
	opts.Authenticator = file
	reader := console.New(f.Store, &opts)
	const csrf = "AAAAAAAAAAAAAAAAAAAAAAAAAA"
	asReader := func(method, address string, form url.Values) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, address, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.AddCookie(&http.Cookie{Name: "annals_token", Value: secret[0]})
		r.AddCookie(&http.Cookie{Name: "annals_csrf", Value: csrf})
		w := httptest.NewRecorder()
		reader.ServeHTTP(w, r)
		return w
	}
	main := func(page string) string {
		_, content, _ := strings.Cut(page, "<main")
		return content
	}
	actions := map[string]bool{}
	for _, address := range crawl(t, f.Handler) {
		page := asReader(http.MethodGet, address, nil)
		if page.Code != http.StatusOK || postForm.MatchString(main(page.Body.String())) {
			t.Errorf("%s: %d, with the form %s", address, page.Code, postForm.FindString(main(page.Body.String())))
		}
		own := main(get(f.Handler, address).Body.String())
		if !postForm.MatchString(own) {
			continue
		}
		for _, match := range sendsTo.FindAllStringSubmatch(own, -1) {
			actions[html.UnescapeString(match[1])] = true
		}
	}
	if len(actions) < 10 {
		t.Fatalf("only the actions %v were found", actions)
	}
	before, err := f.Store.End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for address := range actions {
		w := asReader(http.MethodPost, address, url.Values{"csrf": {csrf}})
		if w.Code != http.StatusForbidden && w.Code != http.StatusMethodNotAllowed || w.Code == http.StatusForbidden && !strings.Contains(w.Body.String(), "role operate") {
			t.Errorf("POST %s: %d", address, w.Code)
		}
	}
	for e, err := range f.Store.Log(t.Context(), annals.Query{After: before}) {
		var a access.Action
		if err != nil || e.Stream != access.Stream || json.Unmarshal(e.Data, &a) != nil || a.Who != "bob" || !strings.Contains(a.Error, "role operate") {
			t.Errorf("%s %s was appended: %v", e.Stream, e.Data, err)
		}
	}
}
