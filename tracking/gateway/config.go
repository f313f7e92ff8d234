package gateway

import (
	"net/netip"
	"net/url"
	"time"

	"github.com/eb901187/annals/listen"
	"github.com/eb901187/annals/yamlfile"
)

// A Config says what a gateway listens on, where it sends calls, and where it
// records them. Parse makes one with every default filled in.
type Config struct {
	// Listen is the address for calls, HOST:PORT.
	Listen string
	// Admin is the address of /healthz, /readyz and /metrics; empty serves none.
	Admin string
	// Name is the source of the events that the gateway records.
	Name string
	// TLS has the certificate for Listen; nil listens without encryption.
	TLS *TLS
	// Record is where calls are recorded.
	Record Record
	// Timeouts are those that no service overrides, and those of clients.
	Timeouts Timeouts
	Limits   Limits
	// Trust are the addresses of proxies in front whose X-Forwarded-For,
	// X-Forwarded-Host and X-Forwarded-Proto are believed; others' are replaced.
	Trust []netip.Prefix
	// Services are where calls go; routes name them.
	Services []Service
	// Routes lead to services. No two have both host and path in common.
	Routes []Route
}

// TLS names the files of a certificate chain and its key, both PEM. They are
// read again when they change.
type TLS struct{ Cert, Key string }

// RecordNowhere as Record.To switches recording off.
const RecordNowhere = "none"

// Record says where calls are recorded, and what is kept until they are there.
type Record struct {
	// To is a store's directory, http://…, https://…, dynamodb://…,
	// sqs:QUEUE_URL, kinesis:STREAM, or RecordNowhere.
	To string
	// Memory is how many bytes of events wait in memory at most.
	Memory int64
	// SpillDir is where events wait that find no room in memory; empty spills
	// none. SpillBytes bounds the files there.
	SpillDir   string
	SpillBytes int64
	// Refuse answers 503 instead of making a call that can't be recorded; false
	// makes the call and counts the recording as shed.
	Refuse bool
}

// Timeouts bound the parts of a call; 0 is no bound.
type Timeouts struct {
	// Connect: until a connection with the service stands, TLS included.
	Connect time.Duration
	// Response: from the end of the request until the answer begins.
	Response time.Duration
	// Idle: how long a body may stand still, in either direction. Upgraded
	// connections have no such bound.
	Idle time.Duration
	// Request: the whole call with all its tries, from its headers to the end of
	// the answer. Upgraded connections end with it too.
	Request time.Duration
	// Header: until a client has sent the headers of a request.
	Header time.Duration
	// KeepAlive: how long a client's connection may wait for its next request.
	KeepAlive time.Duration
	// Shutdown: how long calls under way are given at the end.
	Shutdown time.Duration
}

// Limits bound what clients may use.
type Limits struct {
	// Body is the most bytes of a request's body; 0 is no bound.
	Body int64
	// Header is the most bytes of a request's headers.
	Header int64
	// Connections is how many clients are connected at a time. A further one
	// takes the place of the one that has been without a request for longest;
	// where all have one, it waits. Clients of HTTP/2 make no more calls at a time
	// either. 0 is what the limit of open files allows.
	Connections int
}

// A Service is where calls go.
type Service struct {
	// Name is what events, metrics and errors call it.
	Name string
	// To are its targets, in turn; a path in them goes before that of the call.
	To []*url.URL
	// Health asks the targets whether they are well; nil asks none, and only calls
	// that fail tell.
	Health *Health
	// Retries is how many more tries a call with an idempotent method has if no
	// answer begins.
	Retries int
	// Connect, Response, Idle and Request override Config.Timeouts; they hold the
	// value in force.
	Connect, Response, Idle, Request time.Duration
}

// Health is how a service's targets are asked whether they are well: an answer
// below 400 within Timeout says so.
type Health struct {
	Path     string
	Interval time.Duration
	Timeout  time.Duration
}

// A Route sends the calls of a host and below a path to a service. Of several
// that match, one with a host goes before those without, then the longest path.
type Route struct {
	// Host is a name without port; empty matches every host.
	Host string
	// Path is matched by whole segments: /a matches /a and /a/b, not /ab.
	Path string
	// Strip takes Path off before the call goes on.
	Strip   bool
	Service string

	line int
}

// What stands in place of what a file leaves out.
const (
	DefaultListen = "127.0.0.1:4080"
	DefaultAdmin  = "127.0.0.1:4001"
	DefaultName   = "Gateway"

	defaultMemory     = 16 << 20
	defaultSpillBytes = 1 << 30
	defaultHeader     = 64 << 10
	defaultRetries    = 1
	maxRetries        = 5
)

var defaultTimeouts = Timeouts{
	Connect: 3 * time.Second, Response: 30 * time.Second, Idle: time.Minute,
	Header: 10 * time.Second, KeepAlive: 2 * time.Minute, Shutdown: 30 * time.Second,
}

var defaultHealth = Health{Interval: 10 * time.Second, Timeout: 2 * time.Second}

// Parse reads the YAML of a configuration; file names it in errors. All that is
// wrong comes in one *annals.Error of code invalid, each with line and key.
func Parse(file string, text []byte) (*Config, error) {
	r := &reader{config: &Config{
		Listen: DefaultListen, Admin: DefaultAdmin, Name: DefaultName, Timeouts: defaultTimeouts,
		Record: Record{Memory: defaultMemory, SpillBytes: defaultSpillBytes}, Limits: Limits{Header: defaultHeader},
	}}
	if root := r.root(text); root != nil {
		r.gateway(root)
	}
	if len(r.problems) > 0 {
		return nil, yamlfile.Err(file, r.problems)
	}
	return r.config, nil
}

// CheckFiles reads the certificate that c names; it is an error of code invalid if
// it can't be used.
func (c *Config) CheckFiles() error {
	if c.TLS == nil {
		return nil
	}
	_, err := listen.OpenCertificate(c.TLS.Cert, c.TLS.Key, nil)
	return err
}
