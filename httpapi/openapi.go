package httpapi

import (
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/eb901187/annals"
)

type object = map[string]any

// openAPI answers with the OpenAPI 3.1 document of the route table.
func (s *server) openAPI(w http.ResponseWriter, _ *request) error {
	writeJSON(w, http.StatusOK, mediaJSON, document())
	return nil
}

func document() object {
	paths := object{}
	for _, rt := range routes {
		path, ok := paths[rt.path].(object)
		if !ok {
			path = object{}
			paths[rt.path] = path
		}
		path[strings.ToLower(rt.method)] = rt.operation()
	}
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Annals", "version": "1", "license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
			"description": "An event store over HTTP. Versions and positions are strings.",
		},
		"paths": paths,
		"components": object{"schemas": schemas(), "securitySchemes": object{"bearer": object{
			"type": "http", "scheme": "bearer", "description": "A token with the role that the operation names. A server that was started without tokens asks for none.",
		}}},
	}
}

func (rt *route) operation() object {
	var params []object
	for _, name := range rt.variables() {
		params = append(params, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for in, list := range map[string][]param{"query": rt.query, "header": rt.headers} {
		for _, p := range list {
			params = append(params, object{"name": p.name, "in": in, "description": p.meaning, "schema": object{"type": p.kind}})
		}
	}
	responses := object{}
	for status, a := range rt.answers {
		responses[strconv.Itoa(status)] = a.response()
	}
	problem := func(status, meaning string) { // unless the route says more of it
		if responses[status] == nil {
			responses[status] = answer{meaning, problemAnswer.media, problemAnswer.schema}.response()
		}
	}
	problem("400", "a parameter is not known, or not what it must be")
	if len(params) > 0 {
		problem("413", "a name, a parameter or the body is too long")
	}
	if rt.accepts != nil {
		problem("415", "the body is of another media type, or encoded")
	}
	security := []object{}
	if role := rt.policy(); role != anybody {
		security = append(security, object{"bearer": []string{string(role)}})
		for status, meaning := range map[string]string{
			"401": "the token is missing or not known", "403": "the token lacks the role " + string(role),
			"429": "the token's holder asks too often; Retry-After says when to come again", "503": "the server has too much to do, and Retry-After says when to come again, or the store does not answer",
		} {
			problem(status, meaning)
		}
	}
	op := object{"operationId": rt.id, "summary": rt.summary, "responses": responses, "security": security}
	if params != nil {
		op["parameters"] = params
	}
	if rt.accepts != nil {
		content := object{}
		for _, media := range rt.accepts {
			content[media] = object{"schema": object{}}
		}
		op["requestBody"] = object{"required": true, "content": content}
	}
	return op
}

func (a answer) response() object {
	content := object{}
	for _, media := range a.media {
		schema := object{}
		if a.schema != "" && (media == mediaJSON || media == mediaBatch || media == mediaProblem) {
			schema["$ref"] = "#/components/schemas/" + a.schema
		}
		content[media] = object{"schema": schema}
	}
	return object{"description": a.meaning, "content": content}
}

// The words of schemas.
var (
	text  = object{"type": "string"}
	count = object{"type": "integer"}
	flag  = object{"type": "boolean"}
	date  = object{"type": "string", "format": "date-time"}
)

func ref(name string) object { return object{"$ref": "#/components/schemas/" + name} }

func list(of object) object { return object{"type": "array", "items": of} }

func strict(required []string, properties object) object {
	if required == nil {
		required = []string{} // as null is no list
	}
	return object{"type": "object", "required": required, "properties": properties}
}

func schemas() object {
	orNull := func(kind string) object { return object{"type": []string{kind, "null"}} }
	var codes []annals.Code
	for _, info := range annals.Codes() {
		codes = append(codes, info.Code)
	}
	violation := strict([]string{"field", "message"}, object{"field": text, "message": text})
	result := strict([]string{"number", "status"}, object{
		"number": count, "status": object{"enum": []string{"stored", "replayed", "refused", "accepted", "not_accepted", "unknown"}},
		"id": text, "stream": text, "version": text, "position": text, "error": ref("Problem"),
	})
	call := strict([]string{"service", "status", "durationMs", "error"}, object{
		"service": text, "status": orNull("integer"), "durationMs": orNull("number"), "error": orNull("string"),
		"callId": text, "parentId": text, "method": text, "path": text, "errorKind": text,
	})
	all := object{
		"Event": strict([]string{"specversion", "id", "type", "source", "stream", "version"}, object{
			"specversion": object{"const": "1.0"}, "id": text, "type": text, "source": text, "time": object{"type": "string", "format": "date-time"},
			"stream": text, "version": text, "correlation": text, "causation": text,
			"position":        object{"type": "string", "description": "left out in streams of a store that numbers its log later"},
			"datacontenttype": text, "data": object{}, "data_base64": text,
		}),
		"Events": list(ref("Event")),
		"Commit": strict([]string{"stream", "version", "position", "count", "replayed"}, object{
			"stream": text, "version": text, "count": count, "replayed": object{"type": "boolean"},
			"position": object{"type": "string", "description": "0 from a store that numbers its log later"},
		}),
		"Ingested": strict([]string{"stored", "replayed", "refused", "results"}, object{
			"stored": count, "replayed": count, "refused": count, "results": list(result),
		}),
		"AcceptedMessages": strict([]string{"messages", "ids"}, object{"messages": count, "ids": list(text)}),
		"Trace": strict([]string{"requestId", "events", "calls", "faulty"}, object{
			"requestId": text, "events": list(ref("Event")), "calls": list(call), "faulty": orNull("string"),
		}),
		"Streams":  streamsSchema(),
		"Position": strict([]string{"position"}, object{"position": text}),
		"Status":   strict([]string{"status"}, object{"status": text}),
		"Problem": strict([]string{"type", "title", "status", "detail", "code", "retryable"}, object{
			"type": text, "title": text, "status": count, "detail": text, "hint": text,
			"code": object{"enum": codes}, "retryable": object{"type": "boolean"}, "violations": list(violation),
			"expected": text, "actual": text, "stream": text, "id": text, "version": text, "results": list(result),
		}),
	}
	maps.Copy(all, viewSchemas())
	maps.Copy(all, playbackSchemas())
	maps.Copy(all, proofSchemas())
	maps.Copy(all, erasureSchemas())
	return all
}
