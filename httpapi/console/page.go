package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/httpapi"
)

//go:embed templates
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// A page is what the template layout gets.
type page struct {
	Title  string
	Screen *screen
	Nav    []*screen
	Who    access.Principal
	// CSRF goes into each form, as the field "csrf"; {{template "csrf" .}} writes it.
	CSRF string
	// Done is what the action before this page did; empty for none.
	Done string
	// Problem is shown instead of the content; nil for none.
	Problem *httpapi.Problem
	// Path is the page's own address with its query, for live parts and links back.
	Path string
	Data any

	signOut bool
}

// Name is the screen's in the navigation.
func (s *screen) Name() string { return s.nav }

// Address is where a screen of the navigation is, behind Path.
func (s *screen) Address() string { return strings.TrimSuffix(s.path, "{$}") }

// Key is the letter behind g that opens the screen.
func (s *screen) Key() string { return s.key }

// Live reports whether the page has a live part.
func (s *screen) Live() bool { return s.live }

// Icon is the id of the screen's drawing in static/icons.svg.
func (s *screen) Icon() string { return icon(s.Address()) }

// Here reports whether s is the page's own screen or the one that leads to it.
func (p *page) Here(s *screen) bool {
	return p.Screen != nil && s.nav != "" && (s.path == p.Screen.path || strings.HasPrefix(p.Screen.path, s.path+"/"))
}

// LivePath is where the live part comes from: what Data says, if it has a method of
// this name, else the page's own address.
func (p *page) LivePath() string {
	if own, is := p.Data.(interface{ LivePath() string }); is {
		return own.LivePath()
	}
	return p.Path
}

// SignedIn reports whether somebody is, who may sign out.
func (p *page) SignedIn() bool { return p.signOut }

// MayOperate reports whether forms of operators are shown.
func (p *page) MayOperate() bool { return p.Who.May(access.Operate) }

// templates are the screens' templates by file, each with the layout.
var templates = parseTemplates()

func parseTemplates() map[string]*template.Template {
	shared := template.Must(template.New("").Funcs(functions).ParseFS(templateFiles, "templates/layout.html", "templates/part_*.html"))
	all := map[string]*template.Template{}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		panic(err)
	}
	for _, file := range names {
		name := strings.TrimPrefix(file, "templates/")
		if name != "layout.html" && !strings.HasPrefix(name, "part_") {
			all[name] = template.Must(template.Must(shared.Clone()).ParseFS(templateFiles, file))
		}
	}
	return all
}

// show answers with a screen.
func (c *console) show(s *screen, w http.ResponseWriter, r *http.Request) {
	if s.live && r.Method == http.MethodGet && wantsLive(r) {
		c.live(s, w, r)
		return
	}
	p := c.page(s, w, r)
	title, data, err := c.admitted(s, r)
	p.Title, p.Data = title, data
	if err != nil {
		c.problem(p, w, r, err)
		return
	}
	status := http.StatusOK
	if own, is := data.(interface{ Status() int }); is {
		status = own.Status()
	}
	c.write(p, w, r, status)
}

// admitted reads what a page shows within a place at work, which a browser that is slow to
// take the page does not hold.
func (c *console) admitted(s *screen, r *http.Request) (title string, data any, err error) {
	leave, err := c.opts.Admission.Enter(r.Context())
	if err != nil {
		return "", nil, err
	}
	defer leave()
	return s.read(c, r)
}

func (c *console) page(s *screen, w http.ResponseWriter, r *http.Request) *page {
	p := &page{Screen: s, Who: access.From(r.Context()), CSRF: c.csrf(w, r), Done: takeDone(w, r), Path: r.URL.RequestURI()}
	p.signOut = c.opts.Authenticator != nil && len(p.Who.Roles) > 0
	for i := range screens {
		if s := &screens[i]; s.nav != "" && (c.opts.Projections != nil || !s.views) {
			p.Nav = append(p.Nav, s)
		}
	}
	return p
}

// problem shows err in place of the content.
func (c *console) problem(p *page, w http.ResponseWriter, r *http.Request, err error) {
	problem := httpapi.NewProblem(err)
	httpapi.RetryLater(w, err)
	if problem.Status >= http.StatusInternalServerError && problem.Code != annals.CodeOverloaded && r.Context().Err() == nil {
		c.opts.Logger.Error("console page failed", "path", r.URL.Path, "error", err)
	}
	p.Problem = &problem
	if p.Title == "" {
		p.Title = problem.Title
	}
	c.write(p, w, r, problem.Status)
}

func (c *console) write(p *page, w http.ResponseWriter, r *http.Request, status int) {
	var b bytes.Buffer
	t := templates["problem.html"]
	if p.Problem == nil {
		t = templates[p.Screen.template]
	}
	if err := t.ExecuteTemplate(&b, "layout", p); err != nil {
		c.opts.Logger.Error("console template failed", "path", r.URL.Path, "error", err)
		http.Error(w, "the page could not be made; the server's log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // a browser that went away needs no page
}

// functions are those that templates may call.
var functions = template.FuncMap{
	"static":     staticPath,
	"streamPath": streamPath, "eventPath": eventPath, "statePath": statePath, "tracePath": tracePath, "prefixPath": prefixPath, "searchPath": searchPath,
	"plural": func(n int64, what string) string {
		if n == 1 {
			return "1 " + what
		}
		return fmt.Sprintf("%d %ss", n, what)
	},
}

// noProjections is the error of the screens that need a server which keeps views.
func noProjections() error {
	return &annals.Error{Code: annals.CodeNotFound, Message: "this server keeps no projections", Hint: "start annals serve with --projections DIRECTORY, or --state"}
}
