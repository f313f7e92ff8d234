package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
)

// Limits of actions.
const (
	maxForm = 2 << 20          // bytes of a form
	maxDone = 1000             // bytes of what a page says was done: a cookie holds 4 KiB, escaped
	noting  = 10 * time.Second // how long the operators' log may take
)

// cut shortens text to so many bytes, at the end of a character.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}

// act does what a form asks for, notes it in the operators' log, and sends the
// browser to the page that shows it.
func (c *console) act(a *action, w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	done, next, err := c.doAction(a, r)
	if err != nil {
		c.problem(c.page(&screen{template: "problem.html"}, w, r), w, r, err)
		return
	}
	http.SetCookie(w, cookie(r, doneCookie, url.QueryEscape(cut(done, maxDone)), 60))
	http.Redirect(w, r, ownPath(next), http.StatusSeeOther)
}

func (c *console) doAction(a *action, r *http.Request) (done, next string, err error) {
	if err := r.ParseForm(); err != nil {
		if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
			return "", "", &annals.Error{Code: annals.CodeTooLarge, Message: fmt.Sprintf("the form has more than %d bytes", large.Limit), Err: err}
		}
		return "", "", annals.Invalid("form", "can't be read: %v", err)
	}
	if err := checkForm(r); err != nil {
		return "", "", err
	}
	who, target := access.From(r.Context()), ""
	if a.target != nil {
		target = a.target(r)
	}
	note := access.Action{Who: who.Name, At: c.opts.Clock(), What: a.what, Target: target, Address: access.RemoteAddress(r)}
	if !who.May(a.role) {
		err = &annals.Error{Code: annals.CodeForbidden, Message: who.Name + " may not do this: it takes the role " + string(a.role), Hint: "sign in as somebody with that role"}
		note.Error = err.Error()
		if c.refusals.Note(&note) {
			c.note(r, note)
		}
		return "", "", err
	}
	if a.typed && (target == "" || r.PostFormValue("confirm") != target) {
		return "", "", annals.Invalid("confirm", "must be %q, typed as it is shown", target)
	}
	leave, err := c.opts.Admission.Enter(r.Context())
	if err != nil {
		return "", "", err
	}
	defer leave()
	returned := false
	defer func() {
		note.Detail = done
		switch {
		case !returned:
			note.Error = "the console failed by a bug; how far it came is not known"
		case err != nil:
			note.Error = err.Error()
		}
		c.note(r, note)
	}()
	done, next, err = a.do(c, r)
	returned = true
	return done, next, err
}

// note puts what was done into the operators' log, for a browser that went away too.
func (c *console) note(r *http.Request, a access.Action) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), noting)
	defer cancel()
	if problem := access.Record(ctx, c.store, a); problem != nil {
		c.opts.Logger.Error("an operator's action could not be noted", "what", a.What, "target", a.Target, "who", a.Who, "error", problem)
	}
}
