package httpapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/eb901187/annals/access"
)

// A route is one operation: what the mux matches and the OpenAPI document says.
type route struct {
	method  string
	path    string // may hold {names}
	group   Group
	role    access.Role // that it takes; empty for that of its group
	what    string      // what the operators' log calls it; empty if it is not noted
	follows bool        // has no end of its own, whatever its parameters
	id      string      // OpenAPI's operationId, and the label of metrics
	summary string
	query   []param
	headers []param
	accepts []string // media types of the body; nil for none
	answers map[int]answer
	handle  func(s *server, w http.ResponseWriter, r *request) error
}

type param struct {
	name    string
	kind    string // OpenAPI's type
	meaning string
}

type answer struct {
	meaning string
	media   []string
	schema  string
}

const (
	mediaJSON    = "application/json"
	mediaNDJSON  = "application/x-ndjson"
	mediaSSE     = "text/event-stream"
	mediaProblem = "application/problem+json"
	mediaEvent   = "application/cloudevents+json"
	mediaBatch   = "application/cloudevents-batch+json"
)

var eventMedia = []string{mediaJSON, mediaNDJSON, mediaSSE, mediaBatch}

var problemAnswer = answer{"what went wrong", []string{mediaProblem}, "Problem"}

var (
	limitParam    = param{"limit", "integer", "the most events; 0 for all"}
	backwardParam = param{"backward", "boolean", "from the end to the start"}
	exactParam    = param{"exact", "boolean", "data that JSON would not keep byte for byte as data_base64"}
	resumeParam   = param{"Last-Event-ID", "string", "resumes an SSE stream behind this id"}
)

// routes is the whole interface.
var routes = slices.Concat(storeRoutes, viewRoutes, projectionRoutes, consumerRoutes, playbackRoutes, proofRoutes, erasureRoutes, processRoutes)

var storeRoutes = []route{
	{
		method: "POST", path: "/v1/streams/{stream}/events", group: GroupCommand, id: "append",
		summary: "Append one event or an array of events to a stream, all or none.",
		headers: []param{
			{"If-Match", "string", `the stream's exact version in quotes, such as "7"`},
			{"If-None-Match", "string", "* for a stream that must not exist yet"},
		},
		accepts: []string{mediaJSON, mediaEvent, mediaBatch},
		answers: map[int]answer{
			201: {"stored", []string{mediaJSON}, "Commit"}, 200: {"stored before", []string{mediaJSON}, "Commit"},
			400: problemAnswer, 403: problemAnswer, 409: problemAnswer, 410: problemAnswer, 408: problemAnswer, 413: problemAnswer, 415: problemAnswer, 503: problemAnswer, 504: problemAnswer, 507: problemAnswer,
		},
		handle: (*server).append,
	},
	{
		method: "GET", path: "/v1/streams/{stream}/events", group: GroupQuery, id: "readStream",
		summary: "Read the events of one stream by version.",
		query: []param{
			{"from", "string", "first version"}, {"to", "string", "last version"}, backwardParam, limitParam, exactParam,
		},
		headers: []param{resumeParam, {"If-None-Match", "string", "the version that the client has; 304 if it is the stream's"}},
		answers: map[int]answer{
			200: {"events", eventMedia, "Events"}, 304: {"the stream is at the version of If-None-Match", nil, ""},
			400: problemAnswer, 404: problemAnswer, 406: problemAnswer, 500: problemAnswer, 503: problemAnswer,
		},
		handle: (*server).readStream,
	},
	streamsRoute,
	{
		method: "GET", path: "/v1/events", group: GroupQuery, id: "readLog",
		summary: "Read the log by position, and follow it as events arrive.",
		query: []param{
			{"after", "string", "only positions behind this one"}, {"until", "string", "only positions up to this one"},
			{"types", "string", "types, separated by commas"}, {"sources", "string", "sources, separated by commas"},
			{"correlation", "string", "the request that events belong to"}, {"prefix", "string", "start of the streams' names"},
			{"since", "string", "only times from this one on (RFC 3339)"}, {"before", "string", "only times before this one (RFC 3339)"},
			limitParam, backwardParam, {"follow", "boolean", "go on with new events; as NDJSON or SSE"}, exactParam,
		},
		headers: []param{resumeParam},
		answers: map[int]answer{
			200: {"events", eventMedia, "Events"}, 400: problemAnswer, 406: problemAnswer, 500: problemAnswer, 503: problemAnswer,
		},
		handle: (*server).readLog,
	},
	{
		method: "POST", path: "/v1/commands", group: GroupCommand, id: "command",
		summary: "Append one command body or an array of them to the stream that they name, all or none.",
		headers: []param{
			{"If-Match", "string", `the stream's exact version in quotes, such as "7"`},
			{"If-None-Match", "string", "* for a stream that must not exist yet"},
		},
		accepts: []string{mediaJSON},
		answers: map[int]answer{
			201: {"stored", []string{mediaJSON}, "Commit"}, 200: {"stored before", []string{mediaJSON}, "Commit"},
			400: problemAnswer, 403: problemAnswer, 409: problemAnswer, 410: problemAnswer, 408: problemAnswer, 413: problemAnswer, 415: problemAnswer, 503: problemAnswer, 504: problemAnswer, 507: problemAnswer,
		},
		handle: (*server).command,
	},
	{
		method: "POST", path: "/v1/ingest", group: GroupIngest, id: "ingest",
		summary: "Store one message, an array, or NDJSON: CloudEvents, tracking messages, command bodies.",
		accepts: []string{mediaJSON, mediaNDJSON, mediaEvent, mediaBatch},
		answers: map[int]answer{
			200: {"what became of each message", []string{mediaJSON}, "Ingested"},
			202: {"all are accepted, and stored later", []string{mediaJSON}, "AcceptedMessages"},
			400: problemAnswer, 403: problemAnswer, 409: problemAnswer, 410: problemAnswer, 408: problemAnswer, 413: problemAnswer, 415: problemAnswer, 503: problemAnswer, 504: problemAnswer, 507: problemAnswer,
		},
		handle: (*server).ingest,
	},
	{
		method: "GET", path: "/v1/traces/{requestId}", group: GroupQuery, id: "trace",
		summary: "The flow of one request: its events, its calls, and the service at fault.",
		answers: map[int]answer{200: {"the trace", []string{mediaJSON}, "Trace"}, 400: problemAnswer, 404: problemAnswer, 500: problemAnswer, 503: problemAnswer},
		handle:  (*server).trace,
	},
	{
		method: "GET", path: "/v1/position", group: GroupQuery, id: "position",
		summary: "The position of the log's last event, or of one event; waits for it.",
		query: []param{
			{"after", "string", "answer once the log is past this position"},
			{"stream", "string", "the position of an event of this stream instead; 0 while the log does not hold it"},
			{"version", "string", "that event's version"},
			{"wait", "integer", "for at most so many seconds, up to 60"},
		},
		answers: map[int]answer{200: {"the position", []string{mediaJSON}, "Position"}, 400: problemAnswer, 404: problemAnswer, 503: problemAnswer},
		handle:  (*server).position,
	},
}

// processRoutes are about the server itself.
var processRoutes = []route{
	{
		method: "GET", path: "/healthz", group: GroupProcess, role: anybody, id: "health", summary: "Whether the process lives.",
		answers: map[int]answer{200: {"it does", []string{mediaJSON}, "Status"}},
		handle:  (*server).health,
	},
	{
		method: "GET", path: "/readyz", group: GroupProcess, role: anybody, id: "ready", summary: "Whether the store answers.",
		answers: map[int]answer{200: {"it does", []string{mediaJSON}, "Status"}, 503: problemAnswer},
		handle:  (*server).ready,
	},
	{
		method: "GET", path: "/metrics", group: GroupProcess, role: access.Read, id: "metrics", summary: "Metrics for Prometheus.",
		answers: map[int]answer{200: {"metrics", []string{"text/plain"}, ""}},
		handle:  (*server).metrics,
	},
}

func init() {
	// These describe the table and so can't stand in its initializer.
	routes = append(routes, route{
		method: "GET", path: "/openapi.json", group: GroupProcess, role: access.Read, id: "openapi", summary: "This interface as an OpenAPI 3.1 document.",
		answers: map[int]answer{200: {"the document", []string{mediaJSON}, ""}},
		handle:  (*server).openAPI,
	}, route{
		method: "GET", path: "/", group: GroupProcess, role: access.Read, id: "index", summary: "This list.",
		answers: map[int]answer{200: {"the resources", []string{"text/plain"}, ""}},
		handle:  (*server).index,
	})
}

// wide are the variables of a path that take slashes too. Behind one stands no
// other variable.
var wide = map[string]bool{"stream": true, "requestId": true, "key": true}

// values are what the variables of the route's path stand for in an escaped path,
// if that is the route's.
func (rt *route) values(path string) (values []string, ok bool) {
	for pattern := rt.path; ; {
		literal, rest, variable := strings.Cut(pattern, "{")
		if !variable {
			return values, path == literal
		}
		if path, ok = strings.CutPrefix(path, literal); !ok {
			return nil, false
		}
		name, after, _ := strings.Cut(rest, "}")
		end := strings.IndexByte(path, '/')
		switch {
		case wide[name] && !strings.HasSuffix(path, after):
			return nil, false
		case wide[name]:
			end = len(path) - len(after)
		case end < 0:
			end = len(path)
		}
		values = append(values, path[:end])
		path, pattern = path[end:], after
	}
}

// variables are the names in the route's path.
func (rt *route) variables() (names []string) {
	for _, part := range strings.Split(rt.path, "{")[1:] {
		name, _, _ := strings.Cut(part, "}")
		names = append(names, name)
	}
	return names
}

// match finds the route of a request. It works on the escaped path, so that
// neither %2F nor .. changes which route is meant. allowed are the methods of
// the path if only the method is wrong.
func match(method string, u *url.URL) (found *route, vars, allowed []string, err error) {
	path := u.EscapedPath()
	for i := range routes {
		rt := &routes[i]
		values, ok := rt.values(path)
		if !ok {
			continue
		}
		if method != rt.method && (method != http.MethodHead || rt.method != http.MethodGet) {
			allowed = append(allowed, rt.method)
			continue
		}
		for i := range values {
			if values[i], err = url.PathUnescape(values[i]); err != nil {
				return rt, nil, nil, err
			}
		}
		return rt, values, nil, nil
	}
	slices.Sort(allowed)
	return nil, nil, slices.Compact(allowed), nil
}
