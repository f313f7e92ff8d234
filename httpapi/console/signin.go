package console

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/eb901187/annals/access"
)

// signInData is what the template of sign-in gets.
type signInData struct {
	Next   string // where the browser goes then
	Failed string // why the token was refused; empty at first
}

// askWho sends a browser to sign-in, and comes back from there.
func (c *console) askWho(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.Header.Get("Accept") == "text/event-stream" {
		http.Error(w, "sign in first", http.StatusUnauthorized)
		return
	}
	http.Redirect(w, r, Path+"sign-in?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
}

func (c *console) signIn(w http.ResponseWriter, r *http.Request) {
	p := c.page(&screen{template: "sign_in.html"}, w, r)
	p.Title, p.Data = "Sign in", signInData{Next: ownPath(r.URL.Query().Get("next"))}
	c.write(p, w, r, http.StatusOK)
}

func (c *console) signedIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	p := c.page(&screen{template: "sign_in.html"}, w, r)
	p.Title = "Sign in"
	next := ownPath(r.PostFormValue("next"))
	if err := checkForm(r); err != nil {
		c.problem(p, w, r, err)
		return
	}
	token := strings.TrimSpace(r.PostFormValue("token"))
	if c.opts.Authenticator != nil {
		if _, err := c.opts.Authenticator.Authenticate(r.Context(), token); err != nil {
			p.Data = signInData{Next: next, Failed: err.Error()}
			c.write(p, w, r, http.StatusUnauthorized)
			return
		}
	}
	const day = 24 * 3600
	http.SetCookie(w, c.cookie(r, tokenCookie, token, day/2))
	http.Redirect(w, r, next, http.StatusSeeOther)
}

func (c *console) signOut(w http.ResponseWriter, r *http.Request) {
	p := c.page(&screen{template: "sign_in.html"}, w, r)
	if err := checkForm(r); err != nil {
		c.problem(p, w, r, err)
		return
	}
	http.SetCookie(w, c.cookie(r, tokenCookie, "", -1))
	http.Redirect(w, r.WithContext(access.With(r.Context(), access.Principal{})), Path+"sign-in", http.StatusSeeOther)
}

// ownPath keeps sign-in from leading to another site.
func ownPath(next string) string {
	if strings.HasPrefix(next, Path) && !strings.ContainsAny(next, "\\\r\n") {
		return next
	}
	return Path
}
