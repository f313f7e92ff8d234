package console

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/eb901187/annals/access"
)

// Every action that fails or panics is noted as such, and so is who may not do it, with
// where it was asked from.
func TestFailingActionsAreNoted(t *testing.T) {
	c, _ := framed(t, Options{Authenticator: everybody})
	fail := func(*console, *http.Request) (string, string, error) { return "", "", errors.New("it is broken") }
	panics := func(*console, *http.Request) (string, string, error) { panic("a bug") }
	end := fail
	c.mux = http.ServeMux{}
	c.mux.HandleFunc("GET "+Path+"sign-in", c.signIn)
	c.mux.HandleFunc("POST "+Path+"sign-in", c.signedIn)
	for _, a := range actions {
		a.do = func(c *console, r *http.Request) (string, string, error) { return end(c, r) }
		c.mux.HandleFunc("POST "+Path+a.path, func(w http.ResponseWriter, r *http.Request) { c.act(&a, w, r) })
	}
	operator, reader := look(t, c), look(t, c)
	operator.signIn("annals_operator", "")
	reader.signIn("annals_reader", "")
	for i := range actions {
		a := &actions[i]
		for _, try := range []struct {
			b         *window
			end       func(*console, *http.Request) (string, string, error)
			who, want string
		}{
			{operator, fail, "otto", "it is broken"}, {operator, panics, "otto", "by a bug"}, {reader, fail, "rita", "takes the role operate"},
		} {
			form := targeted(try.b.secret())
			target := a.of(t, form)
			form.Set("confirm", target)
			end = try.end
			w := try.b.do("POST", Path+filled(a.path), form)
			page, _, err := access.Actions(t.Context(), c.store, &access.ActionsOptions{Limit: 1})
			if err != nil || len(page) != 1 || w.Code < 400 {
				t.Fatalf("%s: %d, %+v, %v", a.path, w.Code, page, err)
			}
			if n := page[0]; n.Who != try.who || n.What != a.what || n.Target != target || n.Address != "192.0.2.1" || !strings.Contains(n.Error, try.want) {
				t.Errorf("%s: %+v", a.path, n)
			}
		}
	}
}

// A token that a browser would not keep is refused with a reason, not forgotten silently.
func TestTokensThatAreTooLongForACookie(t *testing.T) {
	long := "annals_" + strings.Repeat("x", longestCookie)
	c, _ := framed(t, Options{Authenticator: secretTokens{long: everybody["annals_reader"]}})
	b := look(t, c)
	if w := b.do("POST", Path+"sign-in", url.Values{"csrf": {b.secret()}, "token": {long}}); w.Code != 400 || !strings.Contains(w.Body.String(), "fewer claims") || b.cookies[tokenCookie] != nil {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
