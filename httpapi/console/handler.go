package console

import (
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/httpapi"
)

// routes fills the mux.
func (c *console) routes() {
	c.mux.HandleFunc("GET "+Path+"static/{hash}/{file}", static)
	for i := range screens {
		s := &screens[i]
		c.mux.HandleFunc("GET "+Path+s.path, func(w http.ResponseWriter, r *http.Request) { c.show(s, w, r) })
	}
	for i := range actions {
		a := &actions[i]
		c.mux.HandleFunc("POST "+Path+a.path, func(w http.ResponseWriter, r *http.Request) { c.act(a, w, r) })
	}
	c.mux.HandleFunc("GET "+Path+"sign-in", c.signIn)
	c.mux.HandleFunc("POST "+Path+"sign-in", c.signedIn)
	c.mux.HandleFunc("POST "+Path+"sign-out", c.signOut)
	c.mux.HandleFunc(Path, c.noPage)
}

// noPage answers what no route takes: an address that there is not, or a method that
// the address does not have.
func (c *console) noPage(w http.ResponseWriter, r *http.Request) {
	p := c.page(&screen{template: "problem.html"}, w, r)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := c.mux.Handler(other); pattern != "" && pattern != Path {
			w.Header().Set("Allow", method)
			p.Title = "Method not allowed"
			p.Problem = &httpapi.Problem{Title: p.Title, Status: http.StatusMethodNotAllowed, Detail: r.Method + " is not done at " + r.URL.Path + ", only " + method}
			c.write(p, w, r, http.StatusMethodNotAllowed)
			return
		}
	}
	c.problem(p, w, r, &annals.Error{Code: annals.CodeNotFound, Message: "there is no page " + r.URL.Path, Hint: "the navigation lists the pages"})
}

// public are the paths that nobody needs to be known for.
func public(path string) bool {
	return path == Path+"sign-in" || strings.HasPrefix(path, Path+"static/")
}

// ServeHTTP implements http.Handler.
func (c *console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	w, r = c.timely(w, r)
	if embedded(r) {
		http.Error(w, "pages of other sites can't hold parts of the console", http.StatusForbidden)
		return
	}
	who, err := c.who(r)
	switch {
	case err != nil && !public(r.URL.Path):
		c.askWho(w, r, err)
		return
	case err == nil && !public(r.URL.Path) && !who.May(access.Read):
		s := &screen{template: "problem.html"}
		r = r.WithContext(access.With(r.Context(), who))
		c.problem(c.page(s, w, r), w, r, &annals.Error{Code: annals.CodeForbidden, Message: who.Name + " may not read this store", Hint: "sign in as somebody with the role read"})
		return
	}
	r = r.WithContext(access.With(r.Context(), who))
	defer c.panicked(w, r)
	c.mux.ServeHTTP(w, r)
}

// panicked answers a request whose screen or action panicked, with its stack in the
// server's log. What was sent already stays.
func (c *console) panicked(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	c.opts.Logger.Error("console page panicked", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
	c.problem(c.page(&screen{template: "problem.html"}, w, r), w, r, &annals.Error{Code: annals.CodeInternal, Message: "the page failed by a bug", Hint: "the server's log says where; please report it"})
}
