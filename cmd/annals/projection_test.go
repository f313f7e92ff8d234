package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/projection"
)

const ordersFile = `name: orders
fold:
  placed: '{total: ($event.data.total + 0), status: "placed"}'
  paid: '.status = "paid"'
delete: [removed]
`

// A place is a store of one kind, with the flags of commands that work on its
// projections.
type place struct {
	store       string
	flags       []string
	definitions string // the directory of files
	remote      bool
}

// define writes the file of orders, with old replaced by new.
func (p *place) define(t *testing.T, old, new string) {
	t.Helper()
	text := strings.Replace(ordersFile, old, new, 1)
	if old != "" && text == ordersFile {
		t.Fatalf("no %q in the file", old)
	}
	if err := os.WriteFile(filepath.Join(p.definitions, "orders.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run types a command line on the projections of the place.
func (p *place) run(t *testing.T, line string) outcome {
	t.Helper()
	args := append(strings.Fields(line), "--store", p.store)
	return typed(t.Context(), "", append(args, p.flags...)...)
}

// want runs a command line that ends with exit and prints parts.
func (p *place) want(t *testing.T, line string, exit int, parts ...string) string {
	t.Helper()
	got := p.run(t, line)
	printed := got.out + got.errs
	if got.exit != exit {
		t.Fatalf("annals %s: exit %d, want %d:\n%s", line, got.exit, exit, printed)
	}
	for _, part := range parts {
		if !strings.Contains(printed, part) {
			t.Fatalf("annals %s does not print %q:\n%s", line, part, printed)
		}
	}
	return printed
}

// append appends an event and waits for its position.
func (p *place) append(t *testing.T, stream, typ, data string) {
	t.Helper()
	if got := typed(t.Context(), "", "append", stream, "--type", typ, "--data", data, "--wait", "--store", p.store); got.exit != 0 {
		t.Fatalf("%+v", got)
	}
}

// newPlace makes a place over a store, and defines orders there.
func newPlace(t *testing.T, store string) *place {
	t.Helper()
	p := &place{store: store, definitions: t.TempDir()}
	p.define(t, "", "")
	p.flags = []string{"--projections", p.definitions}
	return p
}

// served makes a place of a server over a directory.
func served(t *testing.T) *place { return servedFrom(t, filepath.Join(t.TempDir(), "store")) }

func servedFrom(t *testing.T, store string, flags ...string) *place {
	t.Helper()
	p := newPlace(t, store)
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--store", p.store, "--projections", p.definitions}, flags...)
	server := begin(t, " on http://", args...)
	_, address, _ := strings.Cut(strings.TrimSpace(server.String()), " on ")
	p.store, p.flags, p.remote = address, nil, true
	return p
}

// places are one of each kind.
func places() map[string]func(*testing.T) *place {
	return map[string]func(*testing.T) *place{
		"directory": func(t *testing.T) *place { return newPlace(t, filepath.Join(t.TempDir(), "store")) },
		"SQLite beside a directory": func(t *testing.T) *place {
			p := newPlace(t, filepath.Join(t.TempDir(), "store"))
			p.flags = append(p.flags, "--views", "sqlite:"+filepath.Join(t.TempDir(), "views.db"))
			return p
		},
		"server":               served,
		"server over DynamoDB": func(t *testing.T) *place { return servedFrom(t, initialized(t), "--sequence") },
		"DynamoDB": func(t *testing.T) *place {
			p := newPlace(t, initialized(t))
			begin(t, "sequencing", "sequence", "--poll", "2ms", "--store", p.store)
			return p
		},
	}
}

func TestProjectionsOfEveryStore(t *testing.T) {
	for name, make := range places() {
		t.Run(name, func(t *testing.T) {
			p := make(t)
			p.append(t, "order-7", "placed", `{"total":12.5}`)
			p.append(t, "order-8", "placed", `{"total":3}`)
			if !p.remote {
				p.want(t, "projection list", 0, "orders", "not built")
				p.want(t, "view orders order-7", 4, "is defined and has no view yet", "annals projection rebuild orders")
				p.want(t, "projection rebuild orders", 0, "generation 1 of orders is live at position 2")
			}
			p.want(t, "view orders order-7 --wait 2", 0, `"total": 12.5`)
			p.append(t, "order-7", "paid", `{}`)
			p.want(t, "view orders order-7 --wait 3 --json", 0, `{"status":"paid","total":12.5}`)
			p.want(t, "projection list", 0, "NAME    LIVE  STATE", "orders  1     idle ", " 0    0.0      0       -")
			p.want(t, "projection show orders", 0, "defined in "+p.definitions, "1           live  idle ")
			p.want(t, "view orders", 0, "order-7", "order-8", "2 documents of generation 1, which reflects position ")
			p.want(t, "view orders --limit 1", 0, "there are more: --after order-7")
			p.want(t, "view orders --after order-7 --prefix order --json", 0, `"documents":[{"key":"order-8","position":"2","document":{"status":"placed","total":3}}]`)
			p.want(t, "view orders none", 4, `no document "none"`)

			p.define(t, `"paid"'`, `"PAID"'`)
			p.want(t, "projection rebuild orders", 0, "generation 2 of orders is built up to position ", "; annals projection switch orders makes it live")
			p.want(t, "projection rebuild orders", 0, "generation 2 of orders is built up to position ")
			p.want(t, "projection list", 0, "2 (")
			p.want(t, "view orders order-7", 0, `"paid"`)
			p.want(t, "view orders order-7 --generation 2", 0, `"PAID"`)
			p.want(t, "projection diff orders", 0, "1 document the same, 1 different, 0 left out", "order-7\n  a: {\"status\":\"paid\",\"total\":12.5}\n  b: {\"status\":\"PAID\",\"total\":12.5}\n")
			p.want(t, "projection diff orders --generations 2,1 --json", 0, `"a":{"generation":2,`)
			p.want(t, "projection switch orders --dry-run", 0, "generation 2 of orders would be live, and is building now", "nothing was changed")
			p.want(t, "projection switch orders --generation 3", 3, "makes generation 2 live by now, and not generation 3")
			p.want(t, "view orders order-7", 0, `"paid"`)
			p.want(t, "projection switch orders --generation 2", 0, "2           live      ")
			p.want(t, "view orders order-7", 0, `"PAID"`)
			p.want(t, "projection switch orders", 3, "no generation but the live one", "annals projection rebuild orders")
			p.want(t, "projection rollback orders --dry-run", 0, "generation 1 of orders would be live, and is previous now")
			p.want(t, "projection rollback orders --json", 0, `"live":1,"generations"`)
			p.want(t, "view orders order-7", 0, `"paid"`)
			p.want(t, "projection delete orders --generation 1", 3, "generation 1 of projection orders is live")
			p.want(t, "projection delete orders --generation 2 --dry-run", 0, "generation 2 of orders would be deleted")
			p.want(t, "projection delete orders --generation 2", 0, "1           live")
			p.want(t, "projection rollback orders", 3, "no generation to go back to")
			p.want(t, "projection pause orders", 0, "paused")
			p.want(t, "projection resume orders --json", 0, `"number":1,"role":"live"`)
			p.want(t, "projection rebuild --all --switch", 0, "generation 3 of orders is live at position ")
			p.want(t, "projection delete orders --all", 0, "no generation is built")
			p.want(t, "projection show orders", 0, "no generation is built")
			p.want(t, "projection show none", 4, "there is no projection none", "annals projection list")
		})
	}
}

func TestParkedEventsOfEveryStore(t *testing.T) {
	for name, make := range places() {
		t.Run(name, func(t *testing.T) {
			p := make(t)
			p.append(t, "order-1", "placed", `{"total":"x"}`)
			p.append(t, "order-1", "paid", `{}`)
			p.append(t, "order-2", "placed", `{"total":"y"}`)
			p.append(t, "order-3", "placed", `{"total":3}`)
			if p.remote {
				p.want(t, "view orders --wait 4", 0)
			} else {
				p.want(t, "projection rebuild orders", 0, "live at position 4, with 3 events parked (annals parked list orders@1)")
			}
			p.want(t, "parked list", 0, "orders@1  1         order-1@1  placed  1 ", "orders@1  2         order-1@2  paid    0 ", "waits behind an earlier event of its stream", "orders.yaml:3: fold of placed failed")
			p.want(t, "parked list orders --json", 0, `{"consumer":"orders@1","parked":[{"consumer":"orders@1","position":"1","stream":"order-1","version":"1","type":"placed","waiting":false,"attempts":1,"error":`)
			p.want(t, "parked retry orders", 5, "2 events failed again: ", "annals parked list orders@1 shows the errors")
			p.want(t, "parked retry orders@1 3 --json", 5, `"handled":0,"asked":0,"failed":[{"consumer":"orders@1","position":"3",`, `"parked":3`)
			p.want(t, "parked retry orders 2", 5, "waits behind an earlier event of order-1 that failed")
			p.want(t, "parked retry orders 9", 4, "no parked event at position 9")
			p.want(t, "parked drop orders 3 --reason a-test", 0, "1 event of orders@1 handled, 2 parked now")
			mended := filepath.Join(t.TempDir(), "mended.json")
			if err := os.WriteFile(mended, []byte(`{"total":1}`), 0o600); err != nil {
				t.Fatal(err)
			}
			p.want(t, "parked edit orders 1 --reason it-was-text --data "+mended, 0, "2 events of orders@1 handled, 0 parked now")
			p.want(t, "view orders order-1 --json", 0, `{"status":"paid","total":1}`)
			p.want(t, "parked list", 0, "no event is parked")
			p.want(t, "parked retry orders", 0, "orders@1 has no event to try again")
			// What was decided holds for a rebuild.
			p.want(t, "projection rebuild orders --switch", 0, "generation 2 of orders is live at position ")
			p.want(t, "view orders --json", 0, `"documents":[{"key":"order-1","position":"2","document":{"status":"paid","total":1}},{"key":"order-3",`)
			p.want(t, "parked list orders@9", 4, "there is no consumer orders@9")
		})
	}
}

// A retry of a consumer that is paused is noted, and no more is said to be done.
func TestRetryOfAPausedConsumer(t *testing.T) {
	p := newPlace(t, filepath.Join(t.TempDir(), "store"))
	p.append(t, "order-1", "placed", `{"total":"x"}`)
	p.want(t, "projection rebuild orders", 0, "1 event parked")
	p.want(t, "projection pause orders", 0)
	p.want(t, "parked retry orders", 0, "events of 1 stream to be tried again once orders@1 is resumed")
	p.want(t, "parked list", 0, "to be tried again: ")
	p.want(t, "projection rebuild orders --switch", 0, "generation 2") // its own consumer, which is not paused
}

func TestStateCommand(t *testing.T) {
	p := served(t)
	q := newPlace(t, filepath.Join(t.TempDir(), "store"))
	for _, p := range []*place{p, q} {
		for _, data := range []string{`{"total":1,"a":1}`, `{"total":2,"a":null}`} {
			p.append(t, "order-7", "placed", data)
		}
		p.flags = nil // the command takes none
		p.want(t, "state order-7", 0, "order-7 at version 2, ", "{\n  \"total\": 2\n}\n")
		p.want(t, "state order-7 --at-version 1 --json", 0, `{"stream":"order-7","version":"1",`, `"position":"1","state":{"a":1,"total":1}}`)
		p.want(t, "state order-7 --fold "+filepath.Join(p.definitions, "orders.yaml"), 0, `"status": "placed"`)
		p.want(t, "state order-7 --at-time 2099-01-01T00:00:00Z", 0, "at version 2")
		p.want(t, "state order-7 --at-time 2000-01-01T00:00:00Z", 4, "no event by then")
		p.want(t, "state order-7 --at-version 9", 4, "at version 2 and has no version 9")
		p.want(t, "state order-9", 4, "there is no stream order-9")
		p.want(t, "state order-7 --at-version 0", 2, "annals read order-7")
		p.want(t, "state order-7 --at-version 1 --at-time 2000-01-01T00:00:00Z", 2, "exclude each other")
		p.want(t, "state order-7 --at-time noon", 5, "RFC 3339")
		p.want(t, "state order-7 --fold none.yaml", 4, "there is no file none.yaml")
	}
}

// A server refuses definitions that are broken or have changed, says where and what
// to do, and leaves nothing behind.
func TestServeRefusesDefinitions(t *testing.T) {
	p := newPlace(t, filepath.Join(t.TempDir(), "store"))
	p.append(t, "order-7", "placed", `{"total":1}`)
	p.want(t, "projection rebuild orders", 0)
	serve := "serve --listen 127.0.0.1:0"
	p.define(t, "placed: '{", "placed: '{{")
	p.want(t, serve, 5, "orders.yaml:3: ")
	p.want(t, "projection list", 5, "orders.yaml:3: ")
	p.define(t, "delete:", "delte:")
	p.want(t, serve, 5, "orders.yaml:5: ", "delete")
	p.define(t, `"placed"}'`, `"new"}'`)
	p.want(t, serve, 5, "orders.yaml:1: projection orders has changed since its generation 1 was built", "annals projection rebuild orders, or annals serve --rebuild")
	server := begin(t, " on http://", append(strings.Fields(serve), "--store", p.store, "--projections", p.definitions, "--rebuild", "--state")...)
	_, address, _ := strings.Cut(strings.TrimSpace(server.String()), " on ")
	remote := &place{store: address}
	remote.want(t, "view orders --wait 1 --generation 2", 0, `{"status":"new","total":1}`)
	remote.want(t, "view orders", 0, `{"status":"placed","total":1}`)
	remote.want(t, "view state order-7 --wait 1", 0, `"total": 1`)
	remote.want(t, "projection list --projections x", 2, "those of the server")
	if exit := server.interrupt(); exit != 0 {
		t.Fatalf("exit %d: %s", exit, server)
	}
	p.want(t, "view state order-7 --json", 0, `{"total":1}`) // the built-in one needs no flag here
	p.want(t, "projection list", 0, "orders  1     ", "2 (100%)", "state   1     idle")
	if err := os.WriteFile(filepath.Join(p.definitions, "copy.yaml"), []byte(ordersFile), 0o600); err != nil {
		t.Fatal(err)
	}
	p.want(t, serve, 5, "orders.yaml", "copy.yaml")
	p.flags = []string{"--projections", filepath.Join(p.definitions, "none")}
	p.want(t, serve, 4, filepath.Join(p.definitions, "none"))
}

// A changed definition is rebuilt by a running server, which answers from the old
// generation meanwhile; --no-wait only begins it.
func TestRebuildOverHTTPReadsTheFileAgain(t *testing.T) {
	p := served(t)
	p.append(t, "order-7", "placed", `{"total":1}`)
	p.want(t, "view orders --wait 1", 0)
	p.define(t, "placed: '{", "placed: '{{")
	p.want(t, "projection rebuild orders", 5, "orders.yaml:3: ")
	p.define(t, `"placed"}'`, `"new"}'`)
	got := p.run(t, "projection rebuild orders --no-wait --json")
	var info projection.Info
	if err := json.Unmarshal([]byte(got.out), &info); err != nil || info.Live != 1 || info.Building() == nil {
		t.Fatalf("%+v, %v", got, err)
	}
	p.want(t, "view orders order-7", 0, `"placed"`)
	p.want(t, "projection rebuild orders --switch", 0, "generation 2 of orders is live")
	p.want(t, "view orders order-7", 0, `"new"`)
	// A file that is new is a projection once it is built.
	other := strings.Replace(ordersFile, "name: orders", "name: others", 1)
	if err := os.WriteFile(filepath.Join(p.definitions, "others.yaml"), []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	p.want(t, "projection rebuild others", 0, "generation 1 of others is live")
	p.want(t, "projection rebuild none", 4, "no file in "+p.definitions+" defines a projection none")
}

// What was restored from an older copy must not meet views that are ahead of it.
func TestViewsAheadOfTheStoreAreRefused(t *testing.T) {
	p := newPlace(t, filepath.Join(t.TempDir(), "store"))
	backup := filepath.Join(t.TempDir(), "backup")
	p.append(t, "order-7", "placed", `{"total":1}`)
	if got := typed(t.Context(), "", "backup", backup, "--store", p.store); got.exit != 0 {
		t.Fatalf("%+v", got)
	}
	p.append(t, "order-8", "placed", `{"total":1}`)
	p.want(t, "projection rebuild orders", 0)
	for _, args := range [][]string{{"verify"}, {"reindex"}, {"verify"}} {
		if got := typed(t.Context(), "", append(args, "--store", p.store)...); got.exit != 0 {
			t.Fatalf("%q beside views: %+v", args, got)
		}
	}
	if _, err := os.Stat(filepath.Join(backup, viewsDir)); err == nil {
		t.Fatal("the backup holds views")
	}
	views := []string{"--views", filepath.Join(p.store, viewsDir)}
	p.store, p.flags = backup, append(p.flags, views...)
	p.want(t, "projection list", 1, "the view of orders@1 reflects position 2, and the store ends at 1")
	p.want(t, "serve --listen 127.0.0.1:0", 1, "remove the views")
}

// A view that nobody keeps up to date says how far it is.
func TestViewOfADirectorySaysWhatItLacks(t *testing.T) {
	p := newPlace(t, filepath.Join(t.TempDir(), "store"))
	p.append(t, "order-7", "placed", `{"total":1}`)
	p.want(t, "projection rebuild orders", 0)
	p.append(t, "order-8", "placed", `{"total":1}`)
	p.want(t, "view orders order-8", 4, "the view is at position 1; --wait 3 brings it up to date")
	if got := p.run(t, "view orders order-7 --json"); got.exit != 0 || got.errs != "" {
		t.Fatalf("%+v", got)
	}
	p.want(t, "view orders order-8 --wait 3", 0, `"total": 1`)
	p.want(t, "view orders order-8 --wait 9 --patience 1s", 6, "did not reach 9 in time")
}

// projectionMisuses are command lines that fail before they touch anything.
var projectionMisuses = map[string]misuse{
	"projection":                     {2, "annals projection needs a command\n  → annals projection --help lists them"},
	"projection lst":                 {2, "did you mean annals projection list?"},
	"parked nosuch":                  {2, `there is no command "parked nosuch"`},
	"projection show":                {2, "projection show needs a NAME"},
	"projection show a b":            {2, "projection show takes one NAME, and got 2 arguments"},
	"projection rebuild":             {2, "needs a NAME or --all"},
	"projection rebuild a --all":     {2, "needs a NAME or --all"},
	"projection rebuild a --no-wait": {2, "needs a server that goes on building"},
	"projection rebuild a --no-wait --switch --store http://127.0.0.1:1": {2, "can't switch to what is not built yet"},
	"projection delete a":                        {2, "needs --generation N or --all"},
	"projection delete a --all --generation 1":   {2, "needs --generation N or --all"},
	"projection delete a --generation 0":         {2, "must be a number from 1"},
	"projection diff a --generations 1":          {2, "two numbers such as 1,2"},
	"projection diff a --generations 1,x":        {2, "two numbers such as 1,2"},
	"projection switch a --frce":                 {2, "did you mean --force?"},
	"projection list --store http://127.0.0.1:1": {6, "can't be reached"},
	"projection list --views nosuch:x":           {5, "sqlite:PATH"},
	"projection list --projections none":         {4, "none"},
	"projection show none":                       {4, "there is no projection none"},
	"parked retry":                               {2, "parked retry needs a CONSUMER"},
	"parked retry a x":                           {2, `POSITION must be a number from 1, not "x"`},
	"parked retry a 0":                           {2, "number from 1"},
	"parked retry none":                          {4, "there is no consumer none"},
	"parked edit a 1":                            {2, "parked edit needs --data"},
	"parked edit a 1 --data file":                {2, "parked edit needs --reason"},
	"parked edit a 1 --data none --reason r":     {4, "there is no file none"},
	"parked edit a":                              {2, "parked edit needs a POSITION"},
	"parked drop a 1":                            {2, "parked drop needs --reason"},
	"parked drop a 1 2 --reason r":               {2, "parked drop takes CONSUMER POSITION, and got 3 arguments"},
	"view":                                       {2, "view needs a PROJECTION"},
	"view none":                                  {4, "there is no projection none"},
	"view a b --limit 3":                         {2, "choose among documents"},
	"view a --wait -1":                           {2, "--wait must not be negative"},
	"view a --patience x":                        {2, "a time such as 250ms"},
	"state":                                      {2, "state needs a STREAM"},
	"state a --fold file":                        {5, "file:1: "},
	"serve --projections none":                   {4, "none"},
}

func TestProjectionMisuses(t *testing.T) {
	t.Chdir(t.TempDir())
	if got := typed(t.Context(), command1, "ingest", "-"); got.exit != 0 {
		t.Fatalf("%+v", got)
	}
	if err := os.WriteFile("file", []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for line, c := range projectionMisuses {
		t.Run(line, func(t *testing.T) {
			got := typed(t.Context(), "", strings.Fields(line)...)
			if got.exit != c.exit || !strings.Contains(got.errs, c.want) {
				t.Fatalf("%+v, want exit %d and %q", got, c.exit, c.want)
			}
			if strings.Count(got.errs, "annals: ") != 1 || strings.Contains(got.errs, "strconv") || strings.Contains(got.errs, "%!") {
				t.Fatalf("worded badly: %s", got.errs)
			}
			problem := typed(t.Context(), "", append([]string{"--json"}, strings.Fields(line)...)...)
			var p httpapi.Problem
			if err := json.Unmarshal([]byte(problem.errs), &p); err != nil || problem.exit != c.exit {
				t.Fatalf("%+v, %v", problem, err)
			}
		})
	}
}

func TestHelpOfGroups(t *testing.T) {
	for _, line := range []string{"help projection rebuild", "projection rebuild --help"} {
		if got := typed(t.Context(), "", strings.Fields(line)...); got.exit != 0 || !strings.Contains(got.out, "annals projection rebuild [NAME] [flags]") {
			t.Errorf("%s: %+v", line, got)
		}
	}
	if got := typed(t.Context(), "", "projection", "--help"); got.exit != 0 || !strings.Contains(got.out, "rollback") {
		t.Errorf("%+v", got)
	}
}

func TestNamesOfProjectionsAreCompleted(t *testing.T) {
	p := served(t)
	local := []string{"__complete", "projection", "show", "--projections", p.definitions, ""}
	remote := []string{"__complete", "view", "--store", p.store, ""}
	for _, args := range [][]string{local, remote} {
		if got := typed(t.Context(), "", args...); got.exit != 0 || !strings.HasPrefix(got.out, "orders\n") {
			t.Errorf("%q: %+v", args, got)
		}
	}
	nowhere := []string{"__complete", "projection", "show", "--projections", "none", ""}
	if got := typed(t.Context(), "", nowhere...); got.exit != 0 || !strings.HasPrefix(got.out, ":") {
		t.Errorf("%+v", got)
	}
}
