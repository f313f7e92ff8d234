package gateway

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/eb901187/annals/yamlfile"
)

func (r *reader) services(n *yaml.Node) {
	r.entries(n, "services", func(key, value *yaml.Node) {
		where := "services." + key.Value
		if why := badName(key.Value); key.Value == "" || why != "" {
			r.wrong(key, "the name of a service %s", cmp.Or(why, "must not be empty"))
			return
		}
		r.service(key, value, where)
	})
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		r.wrong(n, "services names none")
	}
}

func (r *reader) service(key, n *yaml.Node, where string) {
	t := &r.config.Timeouts
	s := Service{Name: key.Value, Retries: defaultRetries, Connect: t.Connect, Response: t.Response, Idle: t.Idle, Request: t.Request}
	before := len(r.problems)
	r.object(n, where, keys{
		"to":      func(n *yaml.Node) { r.targets(n, where+".to", &s) },
		"retries": r.integer(&s.Retries, where+".retries", 0, maxRetries),
		"health":  func(n *yaml.Node) { r.health(n, where+".health", &s) },
		"timeouts": func(n *yaml.Node) {
			r.object(n, where+".timeouts", keys{
				"connect":  r.duration(&s.Connect, where+".timeouts.connect", false),
				"response": r.duration(&s.Response, where+".timeouts.response", true),
				"idle":     r.duration(&s.Idle, where+".timeouts.idle", true),
				"request":  r.duration(&s.Request, where+".timeouts.request", true),
			})
		},
	})
	if len(s.To) == 0 && len(r.problems) == before {
		r.wrong(key, "%s.to is missing: it lists where the service is, such as http://127.0.0.1:8081", where)
	}
	r.config.Services = append(r.config.Services, s)
}

func (r *reader) targets(n *yaml.Node, where string, s *Service) {
	r.texts(n, where, func(n *yaml.Node, text string) {
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
			r.wrong(n, "%s must be http:// or https:// with a host, without query, it is %q", where, withoutPassword(text))
		case u.User != nil:
			r.wrong(n, "%s must hold no password: %q", where, u.Redacted())
		case slices.ContainsFunc(s.To, func(other *url.URL) bool { return other.String() == u.String() }):
			r.wrong(n, "%s names %s twice", where, u)
		default:
			s.To = append(s.To, u)
		}
	})
}

// withoutPassword is what an error may show of an address.
func withoutPassword(address string) string {
	if at := strings.LastIndexByte(address, '@'); at >= 0 {
		return "…" + address[at:]
	}
	return address
}

func (r *reader) health(n *yaml.Node, where string, s *Service) {
	h := defaultHealth
	before := len(r.problems)
	r.object(n, where, keys{
		"path":     r.path(&h.Path, where+".path"),
		"interval": r.duration(&h.Interval, where+".interval", false),
		"timeout":  r.duration(&h.Timeout, where+".timeout", false),
	})
	if h.Path == "" && len(r.problems) == before {
		r.wrong(n, "%s.path is missing", where)
	}
	s.Health = &h
}

// path reads one without query, unescaped.
func (r *reader) path(into *string, where string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var s string
		if r.text(&s, where)(n); s == "" {
			return
		}
		if why := badPath(s); why != "" {
			r.wrong(n, "%s %s, it is %q", where, why, s)
			return
		}
		*into = s
	}
}

func badPath(s string) string {
	switch {
	case !strings.HasPrefix(s, "/"):
		return "must begin with /"
	case strings.ContainsAny(s, "?#*{}"):
		return "must be a path without query, and is no pattern"
	case strings.Contains(s, "//"):
		return "must have no empty segment"
	case hasDots(s):
		return "must have no segment . or .."
	}
	return ""
}

func (r *reader) routes(n *yaml.Node) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		r.wrong(n, "routes must be a list of at least one, such as - {path: /orders, service: orders}")
		return
	}
	for _, element := range n.Content {
		r.route(yamlfile.Resolved(element), element.Line)
	}
}

func (r *reader) route(n *yaml.Node, line int) {
	route := Route{Path: "/", line: line}
	before := len(r.problems)
	r.object(n, "routes", keys{
		"host":    func(n *yaml.Node) { r.host(n, &route) },
		"path":    r.path(&route.Path, "routes.path"),
		"strip":   r.boolean(&route.Strip, "routes.strip"),
		"service": r.text(&route.Service, "routes.service"),
	})
	if route.Path != "/" {
		route.Path = strings.TrimSuffix(route.Path, "/")
	}
	known := slices.ContainsFunc(r.config.Services, func(s Service) bool { return s.Name == route.Service })
	switch {
	case len(r.problems) > before:
		return
	case route.Service == "":
		r.wrongAt(line, "routes.service is missing: name one of services")
	case !known:
		r.wrongAt(line, "routes.service %q is not in services", route.Service)
	}
	for _, other := range r.config.Routes {
		if other.Host == route.Host && other.Path == route.Path {
			r.wrongAt(line, "routes.path: host %q and path %s are those of line %d too", route.Host, route.Path, other.line)
		}
	}
	r.config.Routes = append(r.config.Routes, route)
}

func (r *reader) host(n *yaml.Node, route *Route) {
	var s string
	if r.text(&s, "routes.host")(n); s == "" {
		return
	}
	if strings.ContainsAny(s, "/*:@ ?#[]") {
		r.wrong(n, "routes.host must be a name without port, it is %q", s)
		return
	}
	route.Host = hostName(s)
}
