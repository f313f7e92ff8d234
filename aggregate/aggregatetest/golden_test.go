package aggregatetest_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals/aggregate"
	"github.com/eb901187/annals/aggregate/aggregatetest"
)

// Fact is an event of the tests of golden files.
type Fact any

type (
	Paid struct {
		Cents int64 `json:"cents"`
	}
	PaidIn struct {
		Cents    int64  `json:"cents"`
		Currency string `json:"currency"`
	}
	PaidAt struct {
		Cents int64      `json:"cents"`
		At    *time.Time `json:"at,omitempty"`
	}
)

func facts(t *testing.T, s aggregate.Schema[Fact]) *aggregate.Type[int, Fact] {
	t.Helper()
	typ, err := aggregate.New("fact", s, func(n int, _ Fact) int { return n + 1 }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return typ
}

func only(v ...aggregate.Variant[Fact]) aggregate.Schema[Fact] {
	return aggregate.Schema[Fact]{Events: v}
}

// paidIn is the second version of paid.
func paidIn(currency string) aggregate.Schema[Fact] {
	s := only(aggregate.Event[Fact, PaidIn]("paid", 2))
	s.Upcasters = []aggregate.Upcaster{aggregate.Upcast("paid", 1, func(data json.RawMessage) (json.RawMessage, error) {
		var old Paid
		if err := json.Unmarshal(data, &old); err != nil {
			return nil, err
		}
		return json.Marshal(PaidIn{old.Cents, currency})
	})}
	return s
}

// golden returns how Golden fails, "" if it does not.
func golden(t *testing.T, s aggregate.Schema[Fact], dir string, update bool, samples ...Fact) string {
	t.Helper()
	value := ""
	if update {
		value = "1"
	}
	t.Setenv(aggregatetest.UpdateVariable, value)
	return failure(t, func(r testing.TB) { aggregatetest.Golden(r, facts(t, s), dir, samples) })
}

func wantFailure(t *testing.T, got string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(got, want) {
			t.Fatalf("got:\n%s\nwant:\n%s", got, want)
		}
	}
}

func wantGolden(t *testing.T, s aggregate.Schema[Fact], dir string, samples ...Fact) {
	t.Helper()
	if got := golden(t, s, dir, false, samples...); got != "" {
		t.Fatalf("got:\n%s", got)
	}
}

func wantWritten(t *testing.T, s aggregate.Schema[Fact], dir string, samples ...Fact) {
	t.Helper()
	if got := golden(t, s, dir, true, samples...); got != "" {
		t.Fatalf("writing: %s", got)
	}
	wantGolden(t, s, dir, samples...)
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, text string, path ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(path...), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestGoldenWritesWhatIsMissingOnlyWhenItIsTold(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "events")
	s := only(aggregate.Event[Fact, PaidIn]("paid", 1))
	got := golden(t, s, dir, false)
	wantFailure(t, got, "paid.v1.json is missing", "ANNALS_UPDATE=1 go test -run '^TestRecorded$'\n")
	if _, err := os.Stat(dir); err == nil {
		t.Fatal("something was written")
	}
	wantWritten(t, s, dir)
	want := `{
  "type": "paid",
  "version": 1,
  "data": {
    "cents": 2,
    "currency": "Currency 3"
  },
  "decoded": [
    "paid {\"cents\":2,\"currency\":\"Currency 3\"}"
  ]
}
`
	if got := read(t, dir, "paid.v1.json"); got != want {
		t.Fatalf("wrote %s", got)
	}
}

func TestGoldenFindsAnEncodingThatChanged(t *testing.T) {
	dir := t.TempDir()
	wantWritten(t, only(aggregate.Event[Fact, Paid]("paid", 1)), dir)
	before := read(t, dir, "paid.v1.json")
	for name, s := range map[string]aggregate.Schema[Fact]{
		"a new field":              only(aggregate.Event[Fact, PaidIn]("paid", 1)),
		"a field that may be left": only(aggregate.Event[Fact, PaidAt]("paid", 1)),
		"another type":             only(aggregate.Event[Fact, string]("paid", 1)),
	} {
		for _, update := range []bool{false, true} {
			got := golden(t, s, dir, update)
			wantFailure(t, got, "paid is encoded otherwise than version 1 of it was (- "+filepath.Join(dir, "paid.v1.json")+", + today)",
				"give it version 2 and an upcaster from 1", "+ ")
			if read(t, dir, "paid.v1.json") != before {
				t.Fatalf("%s: the file was changed", name)
			}
		}
	}
	wantGolden(t, only(aggregate.Event[Fact, Paid]("paid", 1)), dir)
}

func TestGoldenFollowsAnEventThroughItsVersions(t *testing.T) {
	dir := t.TempDir()
	wantWritten(t, only(aggregate.Event[Fact, Paid]("paid", 1)), dir)
	got := golden(t, paidIn("EUR"), dir, false)
	wantFailure(t, got, "paid.v2.json is missing", `- paid {"cents":2}`, `+ paid v2 {"cents":2,"currency":"EUR"}`)
	wantWritten(t, paidIn("EUR"), dir)
	wantFailure(t, read(t, dir, "paid.v1.json"), `"cents": 2`, `"paid v2 {\"cents\":2,\"currency\":\"EUR\"}"`)

	// The upcaster becomes another: what was stored means something else now.
	got = golden(t, paidIn("USD"), dir, false)
	wantFailure(t, got, "paid.v1.json is decoded otherwise than before", `- paid v2 {"cents":2,"currency":"EUR"}`, `+ paid v2 {"cents":2,"currency":"USD"}`)

	// It fails.
	broken := paidIn("EUR")
	broken.Upcasters[0] = aggregate.Upcast("paid", 1, func(json.RawMessage) (json.RawMessage, error) { return json.RawMessage(`[]`), nil })
	for _, update := range []bool{false, true} {
		wantFailure(t, golden(t, broken, dir, update), "paid.v1.json holds is stored somewhere and can't be read any more")
	}

	// The event is gone, and then passed over on purpose.
	other := only(aggregate.Event[Fact, string]("noted", 1))
	wantFailure(t, golden(t, other, dir, true), "paid.v1.json holds is stored", "paid.v2.json holds is stored", `"paid" is no event of the schema`)
	other.Ignored = []string{"paid"}
	wantWritten(t, other, dir)
}

func TestGoldenNeedsAnExampleOfEveryVersion(t *testing.T) {
	dir := t.TempDir()
	for _, update := range []bool{false, true} {
		wantFailure(t, golden(t, paidIn("EUR"), dir, update), `paid.v1.json is missing: bring it back from version control, or write {"type":"paid","version":1,"data":…}`)
	}
	write(t, `{"type":"paid","version":1,"data":{"cents":5}}`, dir, "paid.v1.json")
	wantFailure(t, golden(t, paidIn("EUR"), dir, false), "is decoded otherwise")
	wantWritten(t, paidIn("EUR"), dir)

	// One under the name that the event had then will do.
	renamed := paidIn("EUR")
	renamed.Renamed = map[string]string{"payment": "paid"}
	write(t, `{"type":"payment","version":1,"data":{"cents":5}}`, dir, "payment.v1.json")
	if err := os.Remove(filepath.Join(dir, "paid.v1.json")); err != nil {
		t.Fatal(err)
	}
	wantWritten(t, renamed, dir)
}

func TestGoldenRefusesFilesThatAreNoExamples(t *testing.T) {
	s := only(aggregate.Event[Fact, Paid]("paid", 1))
	for text, want := range map[string]string{
		`{`: "unexpected end", `{"type":"paid","version":1}`: "needs type, version and data", `{"type":"paid","version":0,"data":1}`: "needs type",
		`{"type":"paid","version":1,"data":{"cents":1}}`: "which belongs into",
	} {
		dir := t.TempDir()
		wantWritten(t, s, dir)
		write(t, text, dir, "x.json")
		wantFailure(t, golden(t, s, dir, true), filepath.Join(dir, "x.json"), want)
	}
}

type sealed interface{ sealed() }

func TestGoldenTakesExamples(t *testing.T) {
	type odd struct{ Value sealed }
	s := only(aggregate.Event[Fact, Paid]("paid", 1), aggregate.Event[Fact, odd]("odd", 1))
	dir := t.TempDir()
	wantWritten(t, s, dir, Paid{77}, Paid{78})
	wantFailure(t, read(t, dir, "paid.v1.json"), `"cents": 77`)
	wantFailure(t, read(t, dir, "odd.v1.json"), `"Value": null`)
	wantFailure(t, golden(t, s, dir, false, "unknown"), "type string is not in the schema")
	picky := only(aggregate.Event[Fact, weekday]("day", 1))
	wantFailure(t, golden(t, picky, t.TempDir(), true), "no example of day could be made, pass one to Golden", "invalid argument")
	wantWritten(t, picky, t.TempDir(), weekday{3})
}

// weekday can't be encoded without a value.
type weekday struct{ n int }

func (d weekday) MarshalText() ([]byte, error) {
	if d.n == 0 {
		return nil, os.ErrInvalid
	}
	return []byte{'0' + byte(d.n)}, nil
}

func (d *weekday) UnmarshalText(text []byte) error {
	d.n = int(text[0] - '0')
	return nil
}

func TestGoldenNamesFilesThatFileSystemsTake(t *testing.T) {
	dir := t.TempDir()
	wantWritten(t, only(aggregate.Event[Fact, Paid]("com.shop/paid:x@1+a", 1)), dir)
	if files, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(files) != 1 || filepath.Base(files[0]) != "com.shop%2Fpaid%3Ax%401%2Ba.v1.json" {
		t.Fatalf("wrote %s, %v", files, err)
	}
}

// gobs is a codec that is not JSON.
type gobs struct{}

func (gobs) ContentType() string { return "application/x-gob" }

func (gobs) Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(v)
	return b.Bytes(), err
}

func (gobs) Decode(data []byte, v any) error { return gob.NewDecoder(bytes.NewReader(data)).Decode(v) }

func TestGoldenOfACodecThatIsNotJSON(t *testing.T) {
	dir := t.TempDir()
	s := only(aggregate.Event[Fact, Paid]("paid", 1))
	wantWritten(t, s, dir)
	s.Codec = gobs{}
	wantFailure(t, golden(t, s, dir, false), "paid is encoded otherwise")
	if err := os.Remove(filepath.Join(dir, "paid.v1.json")); err != nil {
		t.Fatal(err)
	}
	wantWritten(t, s, dir)
	wantFailure(t, read(t, dir, "paid.v1.json"), `"contentType": "application/x-gob"`)
}

// Every kind of field has a value in the examples that Golden makes.
func TestGoldenFillsEveryField(t *testing.T) {
	type inner struct{ A, B string }
	type full struct {
		Bool  bool
		Int   int8
		Uint  uint16
		Float float32
		Text  string
		At    time.Time
		Raw   json.RawMessage
		Any   any
		Ptr   *inner
		List  []inner
		Array [2]int
		Map   map[string]*inner
		Self  *full2
		inner
	}
	dir := t.TempDir()
	wantWritten(t, only(aggregate.Event[Fact, full]("full", 1)), dir)
	var e struct{ Data map[string]json.RawMessage }
	if err := json.Unmarshal([]byte(read(t, dir, "full.v1.json")), &e); err != nil {
		t.Fatal(err)
	}
	if len(e.Data) != 15 {
		t.Errorf("%d fields", len(e.Data))
	}
	for name, value := range e.Data {
		switch string(value) {
		case "false", "0", `""`, "null", "[]", "{}", `"0001-01-01T00:00:00Z"`:
			t.Errorf("%s is %s", name, value)
		}
	}
}

type full2 struct{ Next *full2 }
