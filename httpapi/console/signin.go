package console

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/httpapi"
)

// signInData is what the template of sign-in gets.
type signInData struct {
	Next string // where the browser goes then
	// Failed says why the token was refused, empty at first; Hint what to do about it.
	Failed, Hint string
	Open         bool // the server asks nobody for a token
}

// signedInFor is how many seconds a browser stays signed in: half a day.
const signedInFor = 12 * 3600

// longestCookie is what browsers keep of a cookie, less its name and attributes.
const longestCookie = 3800

// askWho sends a browser to sign-in, and comes back from there.
func (c *console) askWho(w http.ResponseWriter, r *http.Request, err error) {
	if annals.CodeOf(err) != annals.CodeUnauthorized {
		later(w, err)
		c.problem(c.page(&screen{template: "problem.html"}, w, r), w, r, err)
		return
	}
	signIn := Path + "sign-in?next=" + url.QueryEscape(r.URL.RequestURI())
	switch {
	case wantsLive(r) || r.Header.Get("HX-Request") != "":
		w.Header().Set("HX-Redirect", Path+"sign-in")
		http.Error(w, "sign in first", http.StatusUnauthorized)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, signIn, http.StatusSeeOther)
	default:
		c.problem(c.page(&screen{template: "problem.html"}, w, r), w, r, err)
	}
}

// later tells who asks too often when to come again.
func later(w http.ResponseWriter, err error) {
	if limit := (*access.LimitError)(nil); errors.As(err, &limit) {
		w.Header().Set("Retry-After", strconv.Itoa(limit.Seconds()))
	}
}

func (c *console) signIn(w http.ResponseWriter, r *http.Request) {
	c.askToken(w, r, http.StatusOK, signInData{Next: ownPath(r.URL.Query().Get("next"))})
}

func (c *console) askToken(w http.ResponseWriter, r *http.Request, status int, data signInData) {
	data.Open = c.opts.Authenticator == nil
	p := c.page(&screen{template: "sign_in.html"}, w, r)
	p.Title, p.Data = "Sign in", data
	c.write(p, w, r, status)
}

func (c *console) signedIn(w http.ResponseWriter, r *http.Request) {
	if !c.checkSignForm(w, r) {
		return
	}
	next := ownPath(r.PostFormValue("next"))
	if c.opts.Authenticator == nil {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	}
	token := strings.TrimSpace(r.PostFormValue("token"))
	who, err := c.opts.Authenticator.Authenticate(r.Context(), token)
	if err == nil {
		err = who.Check(access.Read)
	}
	if err == nil && len(token) > longestCookie {
		err = annals.Invalid("token", "has %d bytes, and browsers keep cookies of %d: ask its issuer for one with fewer claims", len(token), longestCookie)
	}
	if err != nil {
		problem := httpapi.NewProblem(err)
		later(w, err)
		c.askToken(w, r, problem.Status, signInData{Next: next, Failed: problem.Detail, Hint: problem.Hint})
		return
	}
	http.SetCookie(w, cookie(r, tokenCookie, token, signedInFor))
	renewCSRF(w, r)
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, next, http.StatusSeeOther)
}

func (c *console) signOut(w http.ResponseWriter, r *http.Request) {
	if !c.checkSignForm(w, r) {
		return
	}
	http.SetCookie(w, cookie(r, tokenCookie, "", -1))
	renewCSRF(w, r)
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, Path+"sign-in", http.StatusSeeOther)
}

// checkSignForm answers a forged form itself.
func (c *console) checkSignForm(w http.ResponseWriter, r *http.Request) bool {
	const most = 64 << 10
	r.Body = http.MaxBytesReader(w, r.Body, most)
	err := checkForm(r)
	if err != nil {
		c.problem(c.page(&screen{template: "sign_in.html"}, w, r), w, r, err)
	}
	return err == nil
}

// ownPath keeps sign-in from leading to another site.
func ownPath(next string) string {
	if _, err := url.Parse(next); err == nil && strings.HasPrefix(next, Path) && !strings.ContainsAny(next, "\\\r\n\t") {
		return next
	}
	return Path
}
