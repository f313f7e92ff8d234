package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/reversal"
)

// reversible are events of which some will be reversed.
var reversible = []step{
	{`append order-7 --type placed --data {"status":"placed","total":9.90} --correlation r-1`, nil},
	{`append order-7 --type paid --data {"status":"paid"} --id pay-1 --correlation r-1`, nil},
	{`append order-8 --type paid --data {"status":"paid"} --id pay-1 --correlation r-2`, nil},
}

func TestReverse(t *testing.T) {
	f := openFaces(t)
	for name, store := range map[string]string{"a directory": f.dir, "a server": f.server.URL} {
		t.Run(name, func(t *testing.T) {
			for _, s := range append(reversible, []step{
				{"reverse order-7 2 --dry-run", []string{
					"reverses order-7@2 paid id=pay-1, by the inverse of its merge patch\nthe state before (-) and after (+):\n",
					"  -   \"status\": \"paid\"\n  +   \"status\": \"placed\"\n      \"total\": 9.90\n",
					`  order-7@3 annals.event-reversed {"status":"placed"} reverses=order-7@2`, "nothing was appended: this was a dry run\n",
				}},
				{"reverse order-7 --event pay-1 --id rev-1 --reason twice", []string{"order-7 is at version 3\n", "annals reverse --reversal rev-1 takes it back\n"}},
				{"state order-7", []string{`"status": "placed"`}},
				{"reverse order-7 2 --id rev-1", []string{"passed over order-7@2: this reversal has reversed it, by order-7@3\nnothing to do\n"}},
				{"reverse --reversal rev-1", []string{"reverses order-7@3 annals.event-reversed"}},
				{"state order-7", []string{`"status": "paid"`}},
				{"reverse --query --types paid --since 2020-01-01T00:00:00Z --json --id rev-2", []string{
					`{"id":"rev-2","streams":[{"stream":"order-7","version":"4","reversed":[{"version":"2","id":"pay-1","type":"paid","way":"merge-patch"}],"before":{"status":"paid","total":9.90},"after":{"status":"placed","total":9.90},"events":[{"specversion":"1.0"`,
					`{"stream":"order-8","version":"1","reversed":[{"version":"1","id":"pay-1","type":"paid","way":"replay"}],"before":{"status":"paid"},"after":null,`,
					`"data":{"state":null}}]}],"passed":[],"dryRun":false,"commits":[{"stream":"order-7","version":"5"`,
				}},
				{"reverse --query --types paid", []string{"passed over order-7@2: it is reversed already, by order-7@5\npassed over order-8@1: it is reversed already, by order-8@2\nnothing to do\n"}},
			}...) {
				s.run(t, store)
			}
			if got := typed(t.Context(), "", "state", "order-8", "--store", store); got.exit != 4 {
				t.Errorf("a stream whose only event is reversed: %+v", got)
			}
		})
	}
}

func TestReverseOnDynamoDB(t *testing.T) {
	store := initialized(t)
	for _, s := range append(reversible, []step{
		{"reverse order-7 2 --id rev-1", []string{"order-7 is at version 3\n"}},
		{"state order-7", []string{`"status": "placed"`}},
		{"reverse order-7 3", []string{"order-7 is at version 4\n"}},
		{"state order-7", []string{`"status": "paid"`}},
	}...) {
		s.run(t, store)
	}
	if got := typed(t.Context(), "", "reverse", "--event", "pay-1", "--store", store); got.exit != 4 || !strings.Contains(got.errs, "a store on DynamoDB numbers its log later") {
		t.Errorf("an event whose log is not numbered yet: %+v", got)
	}
}

func TestReverseMisuse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	for _, s := range reversible {
		s.run(t, dir)
	}
	for line, want := range map[string]misuse{
		"":                            {2, "give STREAM VERSION, --event ID, --query with what to look for, or --reversal ID"},
		"order-7":                     {2, "reverse order-7 needs a VERSION"},
		"order-7 x":                   {2, `VERSION must be a number from 1, not "x"`},
		"order-7 0":                   {2, `VERSION must be a number from 1, not "0"`},
		"order-7 +1":                  {2, `VERSION must be a number from 1, not "+1"`},
		"order-7 1 2":                 {2, "takes [STREAM] [VERSION], and got 3 arguments"},
		"order-7 1 --event pay-1":     {2, "VERSION and --event exclude each other"},
		"order-7 1 --query --types a": {2, "exclude each other"},
		"--reversal x --event y":      {2, "exclude each other"},
		"--types a":                   {2, "--types belongs to --query"},
		"order-7 1 --types a":         {2, "--types belongs to --query"},
		"--query":                     {2, "--query alone would reverse every event of the store"},
		"--query --types= --since 2020-01-01T00:00:00Z": {2, "--types is empty"},
		"--query --correlation=":                        {2, "--correlation is empty"},
		"--query --after 0":                             {2, "--query alone would reverse every event of the store"},
		"--query --since yesterday":                     {5, "since must be an RFC 3339 time"},
		"--query --types none":                          {4, "no event matches the query"},
		"order-7 9":                                     {4, "stream order-7 is at version 2 and has no version 9"},
		"none 1":                                        {4, "there is no stream none"},
		"--event pay-1":                                 {5, "order-7@2, order-8@1"},
		"--event none":                                  {4, `the log holds no event with the id "none"`},
		"--reversal none":                               {4, "the log holds no event of a reversal none"},
		"annals.effects/x 1":                            {5, "one of Annals' own streams"},
		"order-7 1 --inverses none.yaml":                {4, "there is no file none.yaml"},
		"order-7 1 --inverses - --id é\x00":             {5, "standard input"},
		"order-7 1 --fold none.yaml":                    {4, "there is no file none.yaml"},
	} {
		t.Run(line, func(t *testing.T) {
			got := typed(t.Context(), "a: '{'", append(append([]string{"reverse"}, strings.Fields(line)...), "--store", dir)...)
			if line == "order-7 1 --inverses - --id é\x00" {
				want.want = "-:1: jq of a is not jq"
			}
			if got.exit != want.exit || !strings.Contains(got.errs, want.want) || got.out != "" {
				t.Errorf("%+v, want exit %d and %q", got, want.exit, want.want)
			}
		})
	}
	(step{"read order-7 --json", []string{`"version":"2"`}}).run(t, dir)
}

// An interloper appends to the stream right before the appends of another.
type interloper struct {
	annals.Driver
	first []annals.Event // one before each append
}

func (i *interloper) Append(ctx context.Context, stream string, expected int64, events []annals.Event) (annals.Commit, error) {
	if len(i.first) > 0 {
		e := i.first[0]
		i.first = i.first[1:]
		e.Source, e.ContentType, e.Time = "other", annals.JSONContentType, events[0].Time
		if _, err := i.Driver.Append(ctx, stream, annals.Any, []annals.Event{e}); err != nil {
			return annals.Commit{}, err
		}
	}
	return i.Driver.Append(ctx, stream, expected, events)
}

// Where somebody appends meanwhile, the command goes on if the change is the same.
func TestReverseAmongOtherAppends(t *testing.T) {
	other := func(id, data string) annals.Event { return annals.Event{ID: id, Type: "noted", Data: []byte(data)} }
	for name, c := range map[string]struct {
		first []annals.Event
		code  annals.Code
		want  string
	}{
		"the same change": {[]annals.Event{other("a", `{"note":"x"}`), other("b", `{"more":1}`)}, "", "order-7 is at version 5\n"},
		"another change":  {[]annals.Event{other("a", `{"status":"sent"}`)}, annals.CodeConflict, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := embedded.OpenDriver("store", &embedded.Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			between := &interloper{Driver: d}
			store := annals.New(between, nil)
			defer func() { _ = store.Close() }()
			for _, data := range []string{`{"status":"placed"}`, `{"status":"paid"}`} {
				if _, err := store.Append(t.Context(), "order-7", annals.Any, annals.Event{Type: "t", Data: []byte(data)}); err != nil {
					t.Fatal(err)
				}
			}
			between.first = c.first
			var out bytes.Buffer
			a := &app{out: bufio.NewWriter(&out)}
			r := &reversing{target: reversal.Target{Stream: "order-7", Version: 2}, opts: reversal.Options{ID: "rev-1"}}
			err = a.planAndReverse(t.Context(), store, r)
			_ = a.out.Flush()
			if annals.CodeOf(err) != c.code || !strings.Contains(out.String(), c.want) || c.want == "" && out.Len() > 0 {
				t.Errorf("%v\n%s", err, out.String())
			}
			if err != nil && !strings.Contains(err.Error(), "--id rev-1 --dry-run") {
				t.Error(err)
			}
		})
	}
}

// A fold and inverses come from files; a view in a file follows.
func TestReverseByFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.MkdirAll("projections", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"projections/carts.yaml":  "fold:\n  added: '.items = ((.items // []) + [$event.data.item])'\n",
		"projections/counts.yaml": "key: .data.item\nfold:\n  '*': '.n += 1'\n",
		"inverses.yaml":           "charged: '{type: \"refunded\", data: {amount: .data.amount}}'\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []step{
		{`append cart-1 --type added --data {"item":"tea"}`, nil},
		{`append cart-1 --type added --data {"item":"salt"}`, nil},
		{"projection rebuild --all --switch", nil},
		{"reverse cart-1 1 --fold projections/carts.yaml --id rev-1", []string{"by the state without it", `annals.state-restored {"fold":"carts","state":{"items":["salt"]}}`, "-     \"tea\",\n"}},
		{"view carts cart-1 --wait 3 --json", []string{`{"items":["salt"]}`}},
		{"parked list", []string{"no event is parked"}},
		{"reverse cart-1 3 --fold projections/carts.yaml", nil},
		{"view carts cart-1 --wait 7 --json", []string{`{"items":["tea","salt"]}`}},
		{`append cart-1 --type charged --data {"amount":5}`, nil},
		{"reverse cart-1 5 --inverses inverses.yaml", []string{"by its declared inverse", `cart-1@6 refunded {"amount":5} reverses=cart-1@5`}},
	} {
		s.run(t, "annals-data")
	}
	var plan reversed
	got := typed(t.Context(), "", "reverse", "cart-1", "2", "--fold", "projections/carts.yaml", "--dry-run", "--json")
	if err := json.Unmarshal([]byte(got.out), &plan); err != nil || len(plan.Streams) != 1 || !plan.DryRun || plan.Commits == nil || string(plan.Streams[0].After) != `{"items":["tea"]}` {
		t.Errorf("%+v, %v", got, err)
	}
}
