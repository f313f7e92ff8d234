package fuzzapi

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// hostile stands for texts in places where others are meant.
var hostile = []string{
	"\x00", "\n", "\r\n", "\x7f", "\x1b[31m", "\xff", "\xc3\x28", "\xed\xa0\x80", "/", "//", "../../etc/passwd", ".", "..", " ", "+", "%", "%00", "%2e", "@", "a@", "@1",
	"a@0", "a@-1", "a@1@2", "annals.consumers", "annals.projections", "annals.playbacks", "annals.erasures", "'", `"`, `\`, "<script>", "\u202e", "\U0001F600", "é", "e\u0301",
	"0", "-1", "-0", "00", "01", "+1", "1.5", "1e9", "0x10", "NaN", "Infinity", "null", "true", "TRUE", "yes", "[]", "{}", "4294967296", "2147483648", "9223372036854775807",
	"9223372036854775808", "-9223372036854775808", "99999999999999999999", "2020-05-01", "2020-13-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "0000-01-01T00:00:00Z",
	"2020-05-01T20:00:00+24:00", ",", ",,", "a,,b", ";", "&", "=", "*", "W/\"1\"", strings.Repeat("x", 300), strings.Repeat("x", 700), strings.Repeat("ä", 2000),
}

// times are valid ones, around those of events.
var times = []string{"2020-05-01T20:00:00Z", "1970-01-01T00:00:00Z", "2100-01-01T00:00:00+14:00", "2020-05-01T20:00:00.123456789-03:30", "2026-01-01T00:00:00Z"}

// known are values that were seen in answers, by what they are called.
type known map[string][]string

const keptValues = 40 // of a name

// see keeps the value for requests to come.
func (k known) see(random *rand.Rand, name, value string) {
	const own = "annals." // streams in which only Annals may write what it can read again
	if value == "" || len(value) > 200 || strings.HasPrefix(value, own) || slices.Contains(k[name], value) {
		return
	}
	if len(k[name]) < keptValues {
		k[name] = append(k[name], value)
		return
	}
	k[name][random.IntN(keptValues)] = value
}

// sameThing are names under which one thing is known in several places.
var sameThing = map[string]string{
	"requestId": "correlation", "projection": "name", "consumer": "name", "types": "type", "sources": "source", "key": "stream", "prefix": "stream", "from": "position",
	"to": "position", "after": "position", "until": "position", "wait": "position", "size": "position", "atVersion": "version", "a": "number", "b": "number",
	"generation": "number", "repairFrom": "position", "repairTo": "position", "Last-Event-ID": "position", "If-None-Match": "etag", "If-Match": "etag",
}

// meant is under which name a parameter of op is known: that of the lists in answers,
// where several things have one name.
func meant(op *Operation, name string) string {
	for _, thing := range []struct{ path, name, is string }{
		{"/parked/", "position", "parked.position"}, {"/v1/playbacks/", "id", "playbacks.id"}, {"/v1/consumers/", "name", "consumers.name"},
		{"/v1/projections/", "name", "projections.name"}, {"", "projection", "projections.name"},
		{"", "generation", "generations.number"}, {"", "a", "generations.number"}, {"", "b", "generations.number"},
	} {
		if thing.name == name && strings.Contains(op.Path, thing.path) {
			return thing.is
		}
	}
	return called(name)
}

func called(name string) string {
	if same := sameThing[name]; same != "" {
		return same
	}
	return name
}

// learn walks through an answer of JSON.
func (k known) learn(random *rand.Rand, text []byte) {
	var value any
	if json.Unmarshal(text, &value) == nil {
		k.walk(random, "", "", value, 0)
	}
}

// walk learns value, which is called name, in an item of a list that is called list.
func (k known) walk(random *rand.Rand, list, name string, value any, depth int) {
	const deepest, most = 6, 20 // more of one answer would only replace what it taught
	if depth > deepest {
		return
	}
	switch v := value.(type) {
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names[:min(most, len(names))] {
			k.walk(random, list, name, v[name], depth+1)
		}
	case []any:
		for _, item := range v[:min(most, len(v))] {
			k.walk(random, name, name, item, depth+1)
		}
	case string:
		k.see(random, called(name), v)
		k.see(random, list+"."+name, v)
	case float64:
		if v == float64(int64(v)) {
			k.see(random, called(name), strconv.FormatInt(int64(v), 10))
			k.see(random, list+"."+name, strconv.FormatInt(int64(v), 10))
		}
	}
}

// pick is one of all.
func pick[T any](random *rand.Rand, all []T) T { return all[random.IntN(len(all))] }

// chance is true once in n.
func chance(random *rand.Rand, n int) bool { return random.IntN(n) == 0 }
