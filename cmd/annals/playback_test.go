package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/eb901187/annals/playback"
)

// shop appends a few orders and a basket.
func (p *place) shop(t *testing.T) {
	t.Helper()
	for _, stream := range []string{"order-7", "order-8", "basket-1", "order-7"} {
		p.append(t, stream, "placed", `{"total":1}`)
	}
}

func TestPlaybacksOfEveryStore(t *testing.T) {
	for name, make := range places() {
		if strings.HasPrefix(name, "SQLite") {
			continue // is about views
		}
		t.Run(name, func(t *testing.T) {
			p := make(t)
			p.flags = nil
			p.shop(t)
			dir := t.TempDir()
			file, copied := filepath.Join(dir, "orders.ndjson"), filepath.Join(dir, "copy")
			p.want(t, "playback list", 0, "no playbacks")
			p.want(t, "playback start --streams order-* --dry-run", 0, "placed  3", "3 events of 2 streams, from position 1 to 4")
			p.want(t, "playback start --streams order-* --dry-run --json", 0, `{"events":3,"bytes":33,"streams":2,"types":{"placed":3},"first":"1","last":"4","end":"4"}`)
			p.want(t, "playback list", 0, "no playbacks")
			p.want(t, "playback start --streams order-* --id f --to 4 --to-file "+file, 0, "playback f has finished: 3 events sent to file "+file)
			if text, err := os.ReadFile(file); err != nil || strings.Count(string(text), `"playback":"f","playbackof":"order-`) != 3 {
				t.Fatalf("%s, %v", text, err)
			}
			p.want(t, "playback start --streams order-* --id c --to 4 --to-store "+copied, 0, "playback c has finished: 3 events sent to store "+copied)
			(&place{store: copied}).want(t, "log --json", 0, `"stream":"order-8"`, `"playbackof":"order-7@2"`)
			p.want(t, "playback start --streams order-* --id s --to 4 --to-stream again --rate 1000", 0, "playback s has finished: 3 events sent to stream again")
			p.want(t, "read annals.playback/again --json", 0, `"id":"s:1"`, `"playbackof":"order-8@1"`, `"id":"s:4"`)
			p.want(t, "playback start --id w --to 4", 0, "playback w has finished: 4 events for subscribers: GET /v1/playbacks/w/events")
			p.want(t, "playback show s", 0, "finished", "streams order-*, to 4", "stream again", "3 events, up to position 4 of 4", "1000 events/s")
			p.want(t, "playback show s --json", 0, `{"id":"s","state":"finished","selection":{"streams":["order-*"],"to":"4"},"end":"4","target":{"kind":"stream","name":"again"},"rate":1000,"by":"`)
			p.want(t, "playback resume s", 3, "playback s has finished: there is nothing to do")
			p.want(t, "playback stop s", 3, "There is nothing to do")
			p.want(t, "playback start --id s --to 4 --to-stream again", 3, "there is a playback s already")
			p.want(t, "playback start --types none", 4, "nothing to do up to position")
			p.want(t, "playback start --to 1000", 5, "position 1000 is past the end of the log")
			p.want(t, "playback start --to 4 --to-file "+file, 3, "exists already, and is left as it is")
			p.want(t, "playback start --to 4 --to-store "+p.store, 5, "is the store that is played back")
			p.want(t, "playback show none", 4, "there is no playback none", "annals playback list")
		})
	}
}

func TestPlaybackMisuses(t *testing.T) {
	t.Chdir(t.TempDir())
	p := &place{store: "store"}
	p.shop(t)
	if err := os.Symlink("store", "link"); err != nil {
		t.Fatal(err)
	}
	for line, c := range map[string]misuse{
		"playback":         {2, "annals playback --help lists them"},
		"playback nosuch":  {2, `no command "playback nosuch"`},
		"playback start x": {2, "takes no arguments"},
		"playback show":    {2, "needs a PLAYBACK"},
		"playback start --to-file a --to-stream b":      {2, "two are named: file a and stream b"},
		"playback start --no-wait":                      {2, "--no-wait needs a server"},
		"playback start --rate x":                       {2, `--rate takes a number, not "x"`},
		"playback start --rate -1":                      {5, "rate"},
		"playback start --since x":                      {5, "since must be an RFC 3339 time"},
		"playback start --streams a*b":                  {5, "streams[0]"},
		"playback start --from 3 --to 2":                {5, "2 is before 3"},
		"playback start --to-store ftp://x":             {2, "no kind of store"},
		"playback start --to-store link":                {5, "is the store that is played back"},
		"playback start --to-store ./store/../store":    {5, "is the store that is played back"},
		"playback start --to-store made --types none":   {4, "nothing to do"},
		"playback start --to-store made --rate -1":      {5, "rate"},
		"playback start --to-file=":                     {2, "--to-file is empty"},
		"playback start --types= --to-file f":           {2, "--types is empty"},
		"playback start --to-file no/file":              {4, "no directory no"},
		"playback start --to-stream a//b":               {5, "no stream's name"},
		"playback resume none":                          {4, "there is no playback none"},
		"playback stop ../x":                            {5, "id of a playback"},
		"playback start --to-file f --store http://h:x": {2, "no address"},
	} {
		t.Run(line, func(t *testing.T) {
			if !strings.Contains(line, "--store") {
				line += " --store store"
			}
			got := typed(t.Context(), "", strings.Fields(line)...)
			if got.exit != c.exit || !strings.Contains(got.errs, c.want) {
				t.Fatalf("%+v, want exit %d and %q", got, c.exit, c.want)
			}
		})
	}
	p.want(t, "playback list", 0, "no playbacks")
	for _, made := range []string{"f", "file", "no", "made"} {
		if _, err := os.Stat(made); err == nil {
			t.Errorf("%s was made", made)
		}
	}
}

// Ctrl-C stops a playback, says how to go on, and that works.
func TestInterruptedPlayback(t *testing.T) {
	p := &place{store: filepath.Join(t.TempDir(), "store")}
	p.shop(t)
	file := filepath.Join(t.TempDir(), "out")
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		// The file is made by the run; the last event comes a second later.
		for ; ctx.Err() == nil; runtime.Gosched() {
			if _, err := os.Stat(file); err == nil {
				interrupt()
			}
		}
	}()
	var out, errs bytes.Buffer
	exit := Run(ctx, []string{"playback", "start", "--id", "a", "--to-file", file, "--rate", "2", "--store", p.store}, strings.NewReader(""), &out, &errs)
	if exit != 6 || !strings.Contains(errs.String(), "interrupted, with ") || !strings.Contains(errs.String(), "of 4\n  → annals playback resume a goes on") {
		t.Fatalf("exit %d: %s%s", exit, out.String(), errs.String())
	}
	p.want(t, "playback show a", 0, "stopped", "interrupted")
	p.want(t, "playback resume a", 0, "playback a has finished: 4 events sent to file "+file)
	if text, err := os.ReadFile(file); err != nil || strings.Count(string(text), "\n") != 4 {
		t.Fatalf("%s, %v", text, err)
	}
}

// A server goes on by itself; another command stops it there, and lets it go on.
func TestPlaybackOfAServer(t *testing.T) {
	p := served(t)
	p.shop(t)
	p.want(t, "playback start --id a --to-stream again --rate 0.001 --no-wait", 0, "running", "stream again")
	p.want(t, "playback list", 0, "a   running")
	p.want(t, "playback stop a --reason lunch", 0, "stopped", "lunch")
	p.want(t, "playback resume a --no-wait --json", 0, `"state":"running"`)
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	var errs bytes.Buffer
	if exit := Run(ctx, []string{"playback", "resume", "a", "--store", p.store}, strings.NewReader(""), &bytes.Buffer{}, &errs); exit != 6 {
		t.Fatalf("exit %d: %s", exit, errs.String())
	}
	var all struct{ Playbacks []playback.Playback }
	if err := json.Unmarshal([]byte(p.want(t, "playback list --json", 0)), &all); err != nil || len(all.Playbacks) != 1 || all.Playbacks[0].Rate != 0.001 {
		t.Fatalf("%+v, %v", all, err)
	}
}

// A generation is built from the selection only, read by its number, and does not pass
// for the whole view.
func TestPlaybackIntoAProjection(t *testing.T) {
	for name, make := range places() {
		if strings.Contains(name, "over") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			p := make(t)
			p.shop(t)
			if !p.remote {
				p.want(t, "projection rebuild orders", 0)
			}
			p.want(t, "view orders order-8 --wait 4", 0)
			flags := p.flags
			p.flags = nil
			p.want(t, "playback start --projection none", 4, "none")
			p.flags = flags
			p.want(t, "playback start --streams order-7 --id part --to 4 --projection orders", 0, "playback part has finished: 2 events sent to projection orders")
			p.want(t, "view orders --generation 2", 0, "order-7", "1 document of generation 2")
			p.want(t, "view orders", 0, "order-7", "order-8", "of generation 1")
			p.want(t, "projection diff orders --json", 0, `"same":1`)
			p.want(t, "projection switch orders", 3, "generation 2 of projection orders was built from a part of the log", "--force")
			p.want(t, "playback start --to 4 --projection orders", 3, "generation 2 of projection orders is being built")
			p.want(t, "projection show orders --json", 0, `"part":{"playback":"part","selection":{"streams":["order-7"],"to":"4"},"end":"4"}`)
			p.want(t, "projection rebuild orders --switch", 0, "generation 3 of orders is live")
			p.want(t, "view orders", 0, "order-7", "order-8", "of generation 3")
		})
	}
}
