package console

import (
	"net/http"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
)

// routes fills the mux.
func (c *console) routes() {
	c.mux.Handle("GET "+Path+"static/", http.StripPrefix(Path, static()))
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
	c.mux.HandleFunc(Path, func(w http.ResponseWriter, r *http.Request) {
		s := &screen{template: "problem.html"}
		c.problem(c.page(s, w, r), w, r, &annals.Error{Code: annals.CodeNotFound, Message: "there is no page " + r.URL.Path, Hint: "the navigation lists the pages"})
	})
}

// public are the paths that nobody needs to be known for.
func public(path string) bool {
	return path == Path+"sign-in" || strings.HasPrefix(path, Path+"static/")
}

// ServeHTTP implements http.Handler.
func (c *console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	who, err := c.who(r)
	switch {
	case err != nil && !public(r.URL.Path):
		c.askWho(w, r)
		return
	case err == nil && !public(r.URL.Path) && !who.May(access.Read):
		s := &screen{template: "problem.html"}
		r = r.WithContext(access.With(r.Context(), who))
		c.problem(c.page(s, w, r), w, r, &annals.Error{Code: annals.CodeForbidden, Message: who.Name + " may not read this store", Hint: "sign in as somebody with the role read"})
		return
	}
	c.mux.ServeHTTP(w, r.WithContext(access.With(r.Context(), who)))
}
