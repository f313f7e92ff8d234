package gateway

import (
	"net"
	"net/url"
	"strings"
)

// A table finds the route of a call.
type table map[string]map[string]*way // by host, then by path

// A way is a route with its service.
type way struct {
	Route
	service  *service
	segments int // of Path
}

func newTable(routes []Route, services map[string]*service) table {
	t := table{}
	for _, r := range routes {
		if t[r.Host] == nil {
			t[r.Host] = map[string]*way{}
		}
		t[r.Host][r.Path] = &way{r, services[r.Service], strings.Count(strings.TrimSuffix(r.Path, "/"), "/")}
	}
	return t
}

// find returns the way of a host and a path, as canonical makes it; nil if none
// leads there.
func (t table) find(host, path string) *way {
	if w := longestPrefix(t[hostName(host)], path); w != nil {
		return w
	}
	return longestPrefix(t[""], path)
}

func longestPrefix(ways map[string]*way, path string) *way {
	for len(ways) > 0 {
		if w := ways[path]; w != nil {
			return w
		}
		cut := strings.LastIndexByte(path, '/')
		if cut < 0 {
			return ways["/"]
		}
		path = path[:cut]
	}
	return nil
}

// hostName is a host as routes know it: in small letters, without port and
// without the dot that may end it.
func hostName(host string) string {
	if strings.IndexByte(host, ':') >= 0 {
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// canonical is the path of u by which it is routed: each segment unescaped, but
// for slashes within segments, which make no new ones.
func canonical(u *url.URL) string {
	if u.RawPath == "" {
		return u.Path
	}
	segments := strings.Split(u.EscapedPath(), "/")
	for i, s := range segments {
		if plain, err := url.PathUnescape(s); err == nil {
			segments[i] = strings.ReplaceAll(plain, "/", "%2F")
		}
	}
	return strings.Join(segments, "/")
}

// routable reports whether u, the target of a call, is a path that services and
// routes read alike.
func routable(u *url.URL) bool {
	return u.Opaque == "" && (u.Path == "" || u.Path[0] == '/') && !hasDots(u.Path)
}

// hasDots reports whether an unescaped path has a segment . or .., which a service
// might follow out of the route's path. Some take %2F and \ for slashes, and drop
// what follows a semicolon.
func hasDots(path string) bool {
	if strings.IndexByte(path, '.') < 0 {
		return false
	}
	for s := range strings.FieldsFuncSeq(path, func(c rune) bool { return c == '/' || c == '\\' }) {
		if s, _, _ = strings.Cut(s, ";"); s == "." || s == ".." {
			return true
		}
	}
	return false
}

// toward sets path of u, which is that of a call, to what goes to the target:
// without the way's path if it strips that, and behind the target's own.
func (w *way) toward(u, target *url.URL) {
	escaped := u.EscapedPath()
	if w.Strip {
		for range w.segments {
			_, rest, _ := strings.Cut(escaped[1:], "/")
			escaped = "/" + rest
		}
	}
	base := strings.TrimSuffix(target.EscapedPath(), "/")
	u.Scheme, u.Host = target.Scheme, target.Host
	if base == "" && !w.Strip {
		return
	}
	escaped = base + escaped
	if plain, err := url.PathUnescape(escaped); err == nil {
		u.Path, u.RawPath = plain, escaped
	}
}
