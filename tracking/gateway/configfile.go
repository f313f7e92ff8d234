package gateway

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

func (r *reader) gateway(root *yaml.Node) {
	c := r.config
	var services, routes, record *yaml.Node
	r.object(root, topmost, keys{
		"listen": r.address(&c.Listen, "listen"),
		"admin":  r.admin,
		"name":   r.name(&c.Name, "name"),
		"tls":    r.tls,
		"record": func(n *yaml.Node) { record = n },
		"timeouts": func(n *yaml.Node) {
			t := &c.Timeouts
			r.object(n, "timeouts", keys{
				"connect":   r.duration(&t.Connect, "timeouts.connect", false),
				"response":  r.duration(&t.Response, "timeouts.response", true),
				"idle":      r.duration(&t.Idle, "timeouts.idle", true),
				"request":   r.duration(&t.Request, "timeouts.request", true),
				"header":    r.duration(&t.Header, "timeouts.header", false),
				"keepalive": r.duration(&t.KeepAlive, "timeouts.keepalive", false),
				"shutdown":  r.duration(&t.Shutdown, "timeouts.shutdown", true),
			})
		},
		"limits": func(n *yaml.Node) {
			l := &c.Limits
			r.object(n, "limits", keys{
				"body":        r.bytes(&l.Body, "limits.body", 0, 1<<50),
				"header":      r.bytes(&l.Header, "limits.header", 4<<10, 16<<20),
				"connections": r.integer(&l.Connections, "limits.connections", 1, 1_000_000),
			})
		},
		"trust":    r.trust,
		"services": func(n *yaml.Node) { services = n },
		"routes":   func(n *yaml.Node) { routes = n },
	})
	if root.Kind != yaml.MappingNode {
		return
	}
	// What refers to other parts is read after these.
	for _, part := range []struct {
		key  string
		node *yaml.Node
		read func(*yaml.Node)
	}{{"record", record, r.record}, {"services", services, r.services}, {"routes", routes, r.routes}} {
		if part.node == nil {
			r.wrong(root, "%s is missing", part.key)
			continue
		}
		part.read(part.node)
	}
	if c.Listen == c.Admin && c.Listen != "" && !strings.HasSuffix(c.Listen, ":0") {
		r.wrong(root, "listen and admin are the same address %s", c.Listen)
	}
}

func (r *reader) address(into *string, where string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var s string
		if r.text(&s, where)(n); s == "" {
			return
		}
		_, port, err := net.SplitHostPort(s)
		if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
			r.wrong(n, "%s must be HOST:PORT, it is %q", where, s)
			return
		}
		*into = s
	}
}

// admin reads an address, or "off".
func (r *reader) admin(n *yaml.Node) {
	if n.Value == "off" || n.Value == "false" {
		r.config.Admin = ""
		return
	}
	r.address(&r.config.Admin, "admin")(n)
}

// maxName is in bytes, as for the names of the store.
const maxName = 200

func (r *reader) name(into *string, where string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var s string
		if r.text(&s, where)(n); s == "" {
			return
		}
		if why := badName(s); why != "" {
			r.wrong(n, "%s %s", where, why)
			return
		}
		*into = s
	}
}

// badName says what is wrong with the name of a gateway or a service.
func badName(s string) string {
	switch {
	case len(s) > maxName:
		return "is longer than 200 bytes"
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }):
		return "must hold no control characters"
	case strings.TrimSpace(s) != s:
		return "must not begin or end with a blank"
	}
	return ""
}

func (r *reader) tls(n *yaml.Node) {
	t := &TLS{}
	before := len(r.problems)
	r.object(n, "tls", keys{"cert": r.text(&t.Cert, "tls.cert"), "key": r.text(&t.Key, "tls.key")})
	if (t.Cert == "" || t.Key == "") && len(r.problems) == before {
		r.wrong(n, "tls needs both cert and key, the files of a certificate and of its key")
	}
	r.config.TLS = t
}

func (r *reader) trust(n *yaml.Node) {
	r.texts(n, "trust", func(n *yaml.Node, s string) {
		prefix, err := netip.ParsePrefix(s)
		if err != nil {
			var one netip.Addr
			if one, err = netip.ParseAddr(s); err == nil {
				prefix = netip.PrefixFrom(one, one.BitLen())
			}
		}
		if err != nil {
			r.wrong(n, "trust must list addresses such as 10.0.0.0/8, %q is none", s)
			return
		}
		r.config.Trust = append(r.config.Trust, prefix.Masked())
	})
}

const recordKinds = "a directory, http://…, https://…, dynamodb://…, sqs:QUEUE_URL, kinesis:STREAM, or none"

func (r *reader) record(n *yaml.Node) {
	c := &r.config.Record
	full := "shed"
	spill := n
	r.object(n, "record", keys{
		"to": func(n *yaml.Node) {
			if r.text(&c.To, "record.to")(n); c.To != "" && !recordable(c.To) {
				r.wrong(n, "record.to must be %s, it is %q", recordKinds, c.To)
			}
		},
		"memory": r.bytes(&c.Memory, "record.memory", 1<<20, 1<<40),
		"spill": func(n *yaml.Node) {
			spill = n
			r.object(n, "record.spill", keys{
				"dir":   r.text(&c.SpillDir, "record.spill.dir"),
				"bytes": r.bytes(&c.SpillBytes, "record.spill.bytes", 8<<20, 1<<50),
			})
		},
		"full": func(n *yaml.Node) {
			if full = n.Value; full != "shed" && full != "refuse" {
				r.wrong(n, "record.full must be shed or refuse, it is %s", kindOf(n))
			}
		},
	})
	c.Refuse = full == "refuse"
	if n.Kind == yaml.MappingNode && c.To == "" && !slices.ContainsFunc(n.Content, func(n *yaml.Node) bool { return n.Value == "to" }) {
		r.wrong(n, "record.to is missing: it is %s", recordKinds)
	}
	if spill != n && spill.Kind == yaml.MappingNode && c.SpillDir == "" {
		r.wrong(spill, "record.spill.dir is missing")
	}
}

var scheme = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*):`)

// recordable reports whether an address may be one of recordKinds; whoever opens
// it knows whether it is.
func recordable(to string) bool {
	m := scheme.FindStringSubmatch(to)
	if m == nil {
		return true
	}
	rest := to[len(m[0]):]
	switch m[1] {
	case "http", "https":
		u, err := url.Parse(to)
		return err == nil && u.Host != ""
	case "dynamodb":
		return len(rest) > len("//")
	case "sqs", "kinesis":
		return rest != ""
	}
	return false
}
