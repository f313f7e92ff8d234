package fuzzapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

const (
	mediaBatch = "application/cloudevents-batch+json"
	mediaEvent = "application/cloudevents+json"
)

type object = map[string]any

// body gives a request one that op may take.
func (g *Generator) body(r *Request, op *Operation) {
	media := pick(g.random, op.Accepts)
	var text []byte
	switch op.ID {
	case "append":
		text = g.events(media, func() any { return g.newEvent(media) })
	case "ingest":
		text = g.events(media, func() any { return g.message(media) })
	case "command":
		text = g.events(media, g.command)
	case "startPlayback":
		text = encoded(g.playback())
	case "eraseSubject":
		text = encoded(object{"subject": g.person(20), "reason": "request 12"})
	default:
		media, text = pick(g.random, []string{"application/json", "text/plain"}), encoded(g.data())
	}
	r.Header.Set("Content-Type", media)
	if g.mistaken(6) {
		g.header(r, "Content-Type", pick(g.random, []string{"text/plain", "application/json; charset=latin1", ";", "application/json, text/html", "multipart/form-data", "application/xml", ""}))
	}
	if g.mistaken(2) {
		text = g.spoiled(text)
	}
	r.Body = text
}

// one is a value that answers have named, or one of others.
func (g *Generator) one(name string, others ...string) string {
	if of := g.known[called(name)]; len(of) > 0 && chance(g.random, 2) {
		return pick(g.random, of)
	}
	return pick(g.random, others)
}

func encoded(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // made of maps and texts
	}
	return text
}

// events is one item, or several in the form of media.
func (g *Generator) events(media string, item func() any) []byte {
	n := 1 + g.random.IntN(4)
	switch {
	case media == mediaNDJSON:
		var lines []byte
		for range n {
			lines = append(append(lines, encoded(item())...), '\n')
		}
		return lines
	case media == mediaBatch, media == "application/json" && chance(g.random, 2):
		all := make([]any, n)
		for i := range all {
			all[i] = item()
		}
		return encoded(all)
	}
	return encoded(item())
}

func (g *Generator) newID() string {
	if chance(g.random, 6) {
		return g.one("id", "id-1", "id-2")
	}
	return fmt.Sprintf("id-%d", g.random.Uint64())
}

func (g *Generator) data() any {
	return pick(g.random, []any{
		nil, 1, "text", []any{}, object{}, object{"total": g.random.IntN(100)}, object{"total": "x"}, object{"é": []any{1.5, nil, true}}, object{"a": object{"b": object{"c": 1}}},
	})
}

func (g *Generator) kind() string {
	return pick(g.random, []string{"placed", "paid", "removed", "T1", "T2"})
}

// newEvent is what an append takes: an event of the short form, or a CloudEvent.
func (g *Generator) newEvent(media string) object {
	e := object{"type": g.kind(), "data": g.data()}
	if chance(g.random, 4) {
		e["datasubject"] = g.person(1)
	}
	if media != "application/json" {
		e["specversion"], e["id"], e["source"] = "1.0", g.newID(), "/fuzz"
		return e
	}
	if chance(g.random, 2) {
		e["id"] = g.newID()
	}
	if chance(g.random, 4) {
		e["correlation"], e["causation"] = g.one("correlation", "request-1"), "order-1@1"
	}
	if chance(g.random, 4) {
		e["subject"] = "order"
	}
	return e
}

// person names a data subject: one in so many times one of a few who have events, whose
// erasure builds views anew.
func (g *Generator) person(rarely int) string {
	if chance(g.random, rarely) {
		return fmt.Sprintf("person-%d", g.random.IntN(8))
	}
	return fmt.Sprintf("stranger-%d", g.random.Uint64())
}

func (g *Generator) command() any {
	c := object{"aggregateId": g.one("stream", "order-1", "order-2"), "eventType": g.kind(), "eventData": g.data()}
	if chance(g.random, 2) {
		c["id"] = g.newID()
	}
	return c
}

// message is any of those that an ingest takes.
func (g *Generator) message(media string) object {
	cloud := object{
		"specversion": "1.0", "id": g.newID(), "source": "/fuzz", "type": g.kind(), "stream": g.one("stream", "order-1", "order-3"), "data": g.data(),
	}
	if chance(g.random, 4) {
		cloud["datasubject"] = g.person(1)
	}
	if media == mediaEvent || media == mediaBatch || chance(g.random, 3) {
		return cloud
	}
	if chance(g.random, 2) {
		return g.command().(object)
	}
	return object{
		"id": g.newID(), "requestId": g.one("correlation", "request-1", "request-2"), "timestamp": "2020-05-01T20:00:00Z", "source": "Gateway",
		"type": pick(g.random, []string{"MICROSERVICE_REQUEST", "MICROSERVICE_RESPONSE"}), "data": object{"Name": "Microservice A"},
	}
}

func (g *Generator) playback() object {
	p := object{"selection": pick(g.random, []object{
		{}, {"types": []string{"placed", "paid"}}, {"streams": []string{g.one("stream", "order-1")}}, {"from": g.one("position", "1"), "to": g.one("position", "9")},
		{"since": "2020-05-01T20:00:00Z", "until": "2100-01-01T00:00:00Z"}, {"correlation": g.one("correlation", "request-1")},
	})}
	if chance(g.random, 2) {
		p["id"] = fmt.Sprintf("play-%d", g.random.IntN(30))
	}
	if target := pick(g.random, []object{
		nil, {"kind": "stream", "name": "again-" + fmt.Sprint(g.random.IntN(4))}, {"kind": "projection", "name": "orders"}, {"kind": "kinesis", "name": "x"}, {"kind": "file", "name": "x"},
	}); target != nil {
		p["target"] = target
	}
	if chance(g.random, 3) {
		p["rate"] = pick(g.random, []float64{1000, 0.5, -1, 1e300})
	}
	return p
}

// spoiled is a text of JSON with something wrong.
func (g *Generator) spoiled(text []byte) []byte {
	at := g.random.IntN(len(text) + 1)
	switch g.random.IntN(12) {
	case 0:
		return text[:at]
	case 1:
		return slices.Concat(text[:at], []byte{byte(g.random.Uint32())}, text[at:])
	case 2:
		changed := bytes.Clone(text)
		changed[min(at, len(text)-1)] ^= 1 << g.random.IntN(8)
		return changed
	case 3:
		return []byte{}
	case 4:
		return append([]byte("\ufeff"), text...)
	case 5:
		return slices.Concat(text, text)
	case 6:
		return []byte(strings.Repeat("[", 20_000))
	case 7:
		return []byte(strings.Repeat(`{"a":`, 500) + "1" + strings.Repeat("}", 500))
	case 8:
		return bytes.Replace(text, []byte(`":`), []byte(`":`+pick(g.random, []string{"null,\"x\":", "[],\"x\":", "1e999,\"x\":", "-0,\"x\":", "\"\\ud800\",\"x\":"})), 1+g.random.IntN(3))
	case 9:
		return []byte(pick(g.random, []string{"null", "1", `""`, "[]", "{}", "[[]]", "[null]", "true", "\x00", "[1,2]", `{"":""}`, `{"a":1,"a":2}`}))
	case 10:
		return bytes.ReplaceAll(text, []byte(`"`), []byte(`'`))
	}
	return g.otherValue(text)
}

// otherValue replaces the value of one member.
func (g *Generator) otherValue(text []byte) []byte {
	var members object
	if json.Unmarshal(text, &members) != nil || len(members) == 0 {
		return text
	}
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	members[pick(g.random, names)] = pick(g.random, []any{nil, 1, -1, 1e300, true, []any{}, object{}, "", pick(g.random, hostile), []any{pick(g.random, hostile)}})
	return encoded(members)
}
