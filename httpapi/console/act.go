package console

import (
	"net/http"
	"net/url"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
)

// maxForm is the most bytes of a form.
const maxForm = 2 << 20

// act does what a form asks for, notes it in the operators' log, and sends the
// browser to the page that shows it.
func (c *console) act(a *action, w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	done, next, err := c.doAction(a, r)
	if err != nil {
		c.problem(c.page(&screen{template: "problem.html"}, w, r), w, r, err)
		return
	}
	http.SetCookie(w, c.cookie(r, doneCookie, url.QueryEscape(done), 60))
	http.Redirect(w, r, next, http.StatusSeeOther)
}

func (c *console) doAction(a *action, r *http.Request) (done, next string, err error) {
	if err := r.ParseForm(); err != nil {
		return "", "", annals.Invalid("form", "can't be read: %v", err)
	}
	if err := checkForm(r); err != nil {
		return "", "", err
	}
	who, target := access.From(r.Context()), ""
	if a.target != nil {
		target = a.target(r)
	}
	if !who.May(a.role) {
		return "", "", &annals.Error{Code: annals.CodeForbidden, Message: who.Name + " may not do this: it takes the role " + string(a.role), Hint: "sign in as somebody with that role"}
	}
	if a.typed && r.PostFormValue("confirm") != target {
		return "", "", annals.Invalid("confirm", "must be %q, typed as it is shown", target)
	}
	done, next, err = a.do(c, r)
	note := access.Action{Who: who.Name, At: c.opts.Clock(), What: a.what, Target: target, Detail: done}
	if err != nil {
		note.Error = err.Error()
	}
	if problem := access.Record(r.Context(), c.store, note); problem != nil {
		c.opts.Logger.Error("an operator's action could not be noted", "what", a.what, "target", target, "who", who.Name, "error", problem)
	}
	return done, next, err
}
