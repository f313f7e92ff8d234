package console

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"net/url"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/httpapi"
)

// secure sets the headers of every answer. Scripts, styles and requests are the
// console's own; nothing inline is run.
func secure(h http.Header) {
	httpapi.SetSecurityHeaders(h)
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// embedded reports whether the page of another site asks for something behind its reader's
// back, as for a picture or a live part: it could not see the answer, and would have the
// server make it.
func embedded(r *http.Request) bool {
	site, into := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Sec-Fetch-Dest")
	return (site == "cross-site" || site == "same-site") && into != "document"
}

const (
	tokenCookie = "annals_token"
	csrfCookie  = "annals_csrf"
	doneCookie  = "annals_done"
	csrfField   = "csrf"
)

// encrypted reports whether the browser's connection is: to this server, or to a proxy
// in front that says so. A proxy that lies harms its own clients only.
func encrypted(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// cookieName keeps a neighbor under the same domain, or one without encryption, from
// planting the cookie: browsers take a name with this prefix from the host itself only.
func cookieName(r *http.Request, name string) string {
	if encrypted(r) {
		return "__Host-" + name
	}
	return name
}

// cookie is one that scripts don't see and other sites don't send. It lives so many
// seconds; 0 is until the browser is closed, and less removes it.
func cookie(r *http.Request, name, value string, seconds int) *http.Cookie {
	c := &http.Cookie{Name: cookieName(r, name), Value: value, Path: Path, MaxAge: seconds, HttpOnly: true, SameSite: http.SameSiteStrictMode}
	if encrypted(r) {
		c.Path, c.Secure = "/", true // as the prefix asks for
	}
	return c
}

func readCookie(r *http.Request, name string) (string, bool) {
	c, err := r.Cookie(cookieName(r, name))
	if err != nil {
		return "", false
	}
	return c.Value, true
}

// who is who asks, by the cookie of sign-in.
func (c *console) who(r *http.Request) (access.Principal, error) {
	if c.opts.Authenticator == nil {
		return access.Local(), nil
	}
	token, is := readCookie(r, tokenCookie)
	if !is {
		return access.Principal{}, &annals.Error{Code: annals.CodeUnauthorized, Message: "nobody is signed in", Hint: "sign in with a token"}
	}
	return c.opts.Authenticator.Authenticate(r.Context(), token)
}

// csrf is the browser's secret against forged forms, made at its first page.
func (c *console) csrf(w http.ResponseWriter, r *http.Request) string {
	if secret := csrfOf(r); secret != "" {
		return secret
	}
	return renewCSRF(w, r)
}

// csrfOf is the secret that the browser has; empty if it has none.
func csrfOf(r *http.Request) string {
	if secret, is := readCookie(r, csrfCookie); is && len(secret) == len(rand.Text()) {
		return secret
	}
	return ""
}

// renewCSRF gives the browser another secret, so that forms of before count no more.
func renewCSRF(w http.ResponseWriter, r *http.Request) string {
	secret := rand.Text()
	http.SetCookie(w, cookie(r, csrfCookie, secret, 0))
	return secret
}

// checkForm refuses what does not come from a form of the console in this browser.
func checkForm(r *http.Request) error {
	err := http.NewCrossOriginProtection().Check(r)
	if secret := csrfOf(r); err == nil && secret != "" && subtle.ConstantTimeCompare([]byte(secret), []byte(r.PostFormValue(csrfField))) == 1 {
		return nil
	}
	return &annals.Error{Code: annals.CodeForbidden, Err: err, Message: "this form was not made for this browser, or is too old", Hint: "open the page again and send its form"}
}

// takeDone is what the action before this page did.
func takeDone(w http.ResponseWriter, r *http.Request) string {
	value, is := readCookie(r, doneCookie)
	if !is {
		return ""
	}
	http.SetCookie(w, cookie(r, doneCookie, "", -1))
	text, err := url.QueryUnescape(value)
	if err != nil {
		return ""
	}
	return text
}
