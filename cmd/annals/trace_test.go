package main

import (
	"regexp"
	"strings"
	"testing"
)

// Calls stand below the one that they were made within, and the first cause is marked.
func TestTraceTree(t *testing.T) {
	message := func(id, at, typ, data string) string {
		return `{"id":"` + id + `","requestId":"r","timestamp":"2020-05-01T20:00:00.` + at + `Z","type":"MICROSERVICE_` + typ + `","source":"G","data":{` + data + `}}` + "\n"
	}
	const a, b, c = `"Name":"A","callId":"1"`, `"Name":"B","callId":"2","parentId":"1"`, `"Name":"C","callId":"3","parentId":"2"`
	dir := stored(t, message("1", "000", "REQUEST", a)+message("2", "010", "REQUEST", b)+message("3", "020", "REQUEST", c)+
		message("4", "050", "RESPONSE", a+`,"status":502`)+message("5", "040", "RESPONSE", b+`,"error":"context canceled","errorKind":"canceled"`)+message("6", "060", "RESPONSE", c+`,"status":503,"error":"no connection"`))
	got := typed(t.Context(), "", "trace", "r", "--store", dir)
	text := regexp.MustCompile(` *█+ *`).ReplaceAllString(got.out, " █ ")
	want := strings.Join([]string{
		"request r: 6 events, 3 calls, 60ms",
		"  ✗ 20:00:00.000  A                     502        50ms █ ",
		"  - 20:00:00.010    B                              30ms █ context canceled",
		"  ✗ 20:00:00.020      C                 503        40ms █ no connection  ← at fault",
		"at fault: C", "",
	}, "\n")
	if got.exit != 0 || text != want {
		t.Fatalf("%+v\ngot\n%s\nwant\n%s", got, text, want)
	}
}
