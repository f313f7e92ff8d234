package console

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"net/url"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
)

// secure sets the headers of every answer. Scripts, styles and requests are the
// console's own; nothing inline is run.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

const (
	tokenCookie = "annals_token"
	csrfCookie  = "annals_csrf"
	doneCookie  = "annals_done"
	csrfField   = "csrf"
)

func (c *console) cookie(r *http.Request, name, value string, seconds int) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: Path, MaxAge: seconds, HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode}
}

// who is who asks: by the cookie of sign-in, or by a bearer token.
func (c *console) who(r *http.Request) (access.Principal, error) {
	if c.opts.Authenticator == nil {
		return access.Local(), nil
	}
	cookie, err := r.Cookie(tokenCookie)
	if err != nil {
		return access.Principal{}, &annals.Error{Code: annals.CodeUnauthorized, Message: "nobody is signed in", Hint: "sign in with a token"}
	}
	return c.opts.Authenticator.Authenticate(r.Context(), cookie.Value)
}

// csrf is the browser's secret against forged forms, made at its first page.
func (c *console) csrf(w http.ResponseWriter, r *http.Request) string {
	if cookie, err := r.Cookie(csrfCookie); err == nil && len(cookie.Value) == len(rand.Text()) {
		return cookie.Value
	}
	secret := rand.Text()
	http.SetCookie(w, c.cookie(r, csrfCookie, secret, 0))
	return secret
}

// checkForm refuses what does not come from a form of the console in this browser.
func checkForm(r *http.Request) error {
	cookie, err := r.Cookie(csrfCookie)
	if err == nil && subtle.ConstantTimeCompare([]byte(cookie.Value), []byte(r.PostFormValue(csrfField))) == 1 {
		return http.NewCrossOriginProtection().Check(r)
	}
	return &annals.Error{Code: annals.CodeForbidden, Message: "this form was not made for this browser, or is too old", Hint: "open the page again and send its form"}
}

// takeDone is what the action before this page did.
func takeDone(w http.ResponseWriter, r *http.Request) string {
	cookie, err := r.Cookie(doneCookie)
	if err != nil {
		return ""
	}
	http.SetCookie(w, &http.Cookie{Name: doneCookie, Path: Path, MaxAge: -1})
	text, err := url.QueryUnescape(cookie.Value)
	if err != nil {
		return ""
	}
	return text
}
