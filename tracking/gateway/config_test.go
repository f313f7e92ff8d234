package gateway

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
)

const smallest = "record: {to: none}\nservices: {a: {to: http://h}}\nroutes: [{service: a}]\n"

func TestParseFillsDefaults(t *testing.T) {
	c, err := Parse("g.yaml", []byte(smallest))
	if err != nil {
		t.Fatal(err)
	}
	s := c.Services[0]
	if c.Listen != DefaultListen || c.Admin != DefaultAdmin || c.Name != DefaultName || c.TLS != nil || c.Record.Refuse || c.Record.Memory != 16<<20 ||
		c.Limits.Header != 64<<10 || s.Retries != 1 || s.Connect != 3*time.Second || s.Response != 30*time.Second || s.Health != nil || c.Routes[0].Path != "/" {
		t.Fatalf("%+v", c)
	}
}

func TestParseReadsEveryKey(t *testing.T) {
	c, err := Parse("g.yaml", []byte(`
listen: 0.0.0.0:80
admin: off
name: Edge
tls: {cert: c.pem, key: k.pem}
record:
  to: sqs:https://sqs.eu-central-1.amazonaws.com/1/q
  memory: 2MiB
  spill: {dir: spill, bytes: 3GiB}
  full: refuse
timeouts: {connect: 1s, response: 0, idle: 2s, request: 3s, header: 4s, keepalive: 5s, shutdown: 6s}
limits: {body: 7, header: 8KiB, connections: 9}
trust: [10.0.0.0/8, "::1"]
services:
  a b:
    to: [http://h:1, https://h/base]
    retries: 0
    health: {path: /up, interval: 1m, timeout: 9s}
    timeouts: {connect: 10s, response: 11s, idle: 0, request: 12s}
routes:
- {host: Shop.Example., path: /orders/, strip: true, service: a b}
- {path: "/über", service: a b}
`))
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "0.0.0.0:80" || c.Admin != "" || c.Name != "Edge" || *c.TLS != (TLS{"c.pem", "k.pem"}) ||
		c.Record != (Record{"sqs:https://sqs.eu-central-1.amazonaws.com/1/q", 2 << 20, "spill", 3 << 30, true}) ||
		c.Timeouts != (Timeouts{time.Second, 0, 2 * time.Second, 3 * time.Second, 4 * time.Second, 5 * time.Second, 6 * time.Second}) ||
		c.Limits != (Limits{7, 8 << 10, 9}) || len(c.Trust) != 2 || c.Trust[1].Bits() != 128 {
		t.Errorf("%+v", c)
	}
	s := c.Services[0]
	if s.Name != "a b" || len(s.To) != 2 || s.Retries != 0 || *s.Health != (Health{"/up", time.Minute, 9 * time.Second}) ||
		s.Connect != 10*time.Second || s.Response != 11*time.Second || s.Idle != 0 || s.Request != 12*time.Second {
		t.Errorf("%+v", s)
	}
	if r := c.Routes[0]; r.Host != "shop.example" || r.Path != "/orders" || !r.Strip {
		t.Errorf("%+v", r)
	}
}

// Each file has one problem, which is named with its line and key.
func TestParseNamesLineAndKey(t *testing.T) {
	service := "services: {a: {to: http://h}}\n"
	start := "record: {to: none}\n" + service
	all := start + "routes: [{service: a}]\n"
	for text, want := range map[string]string{
		"":                                              "g.yaml:1: the file is empty",
		"[a]":                                           "g.yaml:1: the file must be a map, it is a list",
		"a: [":                                          "g.yaml:1: this is no YAML",
		all + "---\n{}":                                 "a second document begins",
		all + "port: 80":                                "g.yaml:4: unknown key port: known are admin, limits, listen",
		all + "limits: {bdoy: 1}":                       "g.yaml:4: unknown key limits.bdoy",
		all + "listen: a":                               `g.yaml:4: listen must be HOST:PORT, it is "a"`,
		all + "listen: a:70000":                         "g.yaml:4: listen must be HOST:PORT",
		all + "listen: 127.0.0.1:4001":                  "the same address",
		all + "name: ''":                                `g.yaml:4: name must be a text`,
		all + "name: \"a\\nb\"":                         "g.yaml:4: name must hold no control characters",
		all + "tls: {cert: c}":                          "g.yaml:4: tls needs both",
		all + "timeouts: {connect: 0s}":                 "g.yaml:4: timeouts.connect must be more than 0",
		all + "timeouts: {idle: 5}":                     "g.yaml:4: timeouts.idle must be a time",
		all + "timeouts: {idle: -5s}":                   "g.yaml:4: timeouts.idle must be a time",
		all + "timeouts: []":                            "g.yaml:4: timeouts must be a map",
		all + "limits: {header: 1KiB}":                  "g.yaml:4: limits.header must be from 4096 to",
		all + "limits: {body: 1MB}":                     "g.yaml:4: limits.body must be a number of bytes",
		all + "limits: {connections: 0}":                "g.yaml:4: limits.connections must be a whole number from 1",
		all + "trust: [h]":                              `g.yaml:4: trust must list addresses`,
		all + "routes: []":                              "g.yaml:4: routes stands here and in line 3",
		start + "routes: []":                            "g.yaml:3: routes must be a list of at least one",
		start + "routes: [{service: b}]":                `g.yaml:3: routes.service "b" is not in services`,
		start + "routes: [{path: /}]":                   "g.yaml:3: routes.service is missing",
		start + "routes: [{path: a, service: a}]":       `g.yaml:3: routes.path must begin with /`,
		start + "routes: [{path: /a/../b, service: a}]": `routes.path must have no segment . or ..`,
		start + "routes: [{path: /a//b, service: a}]":   `routes.path must have no empty segment`,
		start + "routes: [{path: '/*', service: a}]":    `is no pattern`,
		start + "routes: [{host: 'h:80', service: a}]":  `g.yaml:3: routes.host must be a name without port`,
		start + "routes: [{strip: 1, service: a}]":      "g.yaml:3: routes.strip must be true or false",
		start + "routes:\n- {path: /a, service: a}\n- {path: /b, service: a}\n- {path: /a/, service: a}": "g.yaml:6: routes.path: host \"\" and path /a are those of line 4 too",
		start + "routes:\n- {host: H, service: a}\n- {host: h, service: a}":                              `g.yaml:5: routes.path: host "h" and path / are those of line 4 too`,
		service + "routes: [{service: a}]":                                                               "record is missing",
		"record: {}\n" + service + "routes: [{service: a}]":                                              "g.yaml:1: record.to is missing",
		"record: {to: ftp://h}\n" + service + "routes: [{service: a}]":                                   "g.yaml:1: record.to must be a directory, http",
		"record: {to: 'http:///x'}\n" + service + "routes: [{service: a}]":                               "g.yaml:1: record.to must be a directory, http",
		"record: {to: 'sqs:'}\n" + service + "routes: [{service: a}]":                                    "g.yaml:1: record.to must be",
		"record: {to: d, full: stop}\n" + service + "routes: [{service: a}]":                             "g.yaml:1: record.full must be shed or refuse",
		"record: {to: d, spill: {dir: s, bytes: 7MiB}}\n" + service + "routes: [{service: a}]":           "g.yaml:1: record.spill.bytes must be from 8388608",
		"record: {to: d, spill: {bytes: 8MiB}}\n" + service + "routes: [{service: a}]":                   "g.yaml:1: record.spill.dir is missing",
		"record: {to: d}\nservices: {}\nroutes: [{service: a}]":                                          "services names none",
		"record: {to: d}\nservices: {a: {}}\nroutes: [{service: a}]":                                     "g.yaml:2: services.a.to is missing",
		"record: {to: d}\nservices: {a: {to: h:80}}\nroutes: [{service: a}]":                             "g.yaml:2: services.a.to must be http:// or https://",
		"record: {to: d}\nservices: {a: {to: 'http://h?q'}}\nroutes: [{service: a}]":                     "services.a.to must be http:// or https://",
		"record: {to: d}\nservices: {a: {to: [http://h, http://h]}}\nroutes: [{service: a}]":             "g.yaml:2: services.a.to names http://h twice",
		"record: {to: d}\nservices: {a: {to: http://h, retries: 9}}\nroutes: [{service: a}]":             "g.yaml:2: services.a.retries must be a whole number from 0 to 5",
		"record: {to: d}\nservices: {a: {to: http://h, health: {interval: 1s}}}\nroutes: [{service: a}]": "g.yaml:2: services.a.health.path is missing",
	} {
		_, err := Parse("g.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, annals.ErrInvalid) {
			t.Errorf("%s\ngives %v, want %s", text, err, want)
		}
	}
}

// All problems come at once, by line.
func TestParseNamesAllProblems(t *testing.T) {
	_, err := Parse("g.yaml", []byte("listne: x\nrecord: {to: none, full: stop}\nservices:\n  a: {to: http://u:geheim@h}\nroutes:\n- {path: x, service: a}\n- {service: b}\n"))
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 6 || !strings.Contains(lines[0], "g.yaml has 5 problems") || strings.Contains(err.Error(), "geheim") {
		t.Fatalf("%v", err)
	}
	for i, want := range []string{"1: unknown key listne", "2: record.full", "4: services.a.to", "6: routes.path", `7: routes.service "b"`} {
		if !strings.HasPrefix(lines[i+1], "  g.yaml:"+want) {
			t.Errorf("%q is not about %s", lines[i+1], want)
		}
	}
}

var located = regexp.MustCompile(`^annals: g\.yaml(:[1-9]\d*: | has \d+ problems: (?s:.*)\n  g\.yaml:[1-9]\d*: )`)

func FuzzParse(f *testing.F) {
	f.Add(smallest)
	f.Add("record: &a {to: *a}")
	f.Add("a: &a\n- *a")
	f.Add("services: {a: {to: [[]]}}\nroutes: [1, {}, null]")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse("g.yaml", []byte(text))
		if err != nil {
			if !located.MatchString(err.Error()) {
				t.Fatalf("not located: %v", err)
			}
			return
		}
		c.Record.To = RecordNowhere
		for i := range c.Services {
			c.Services[i].Health = nil
		}
		c.TLS = nil
		g, err := New(c, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		g.Close()
	})
}

// The file that docs/gateway.md shows is in order.
func TestParseDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/gateway.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllSubmatch(text, -1)
	if len(blocks) < 1 {
		t.Fatalf("docs/gateway.md shows no file")
	}
	for _, b := range blocks {
		if _, err := Parse("docs/gateway.md", b[1]); err != nil {
			t.Error(err)
		}
	}
}
