package aggregatetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/aggregate"
)

// UpdateVariable is the environment variable that lets Golden write files, if it
// is not empty.
const UpdateVariable = "ANNALS_UPDATE"

// Golden checks that all that was ever stored is still read, and read the same.
// dir holds one file for each event and schema version, to be kept under version
// control: the data of an example as it is stored, and what it is decoded to.
//
// It fails when
//   - a file's data is not decoded any more, or decoded to something else. If
//     that is meant, as after a new version was added, UpdateVariable rewrites
//     what it is decoded to; the data is never rewritten;
//   - an event of today is encoded differently and has no new version;
//   - a file is missing. That of a current version is written under
//     UpdateVariable, with the example among samples, or one that has a value in
//     every field. That of an older version can only come from version
//     control, or be written by hand.
func Golden[S, E any](t testing.TB, typ *aggregate.Type[S, E], dir string, samples []E) {
	t.Helper()
	g := golden[S, E]{typ: typ, dir: dir, update: os.Getenv(UpdateVariable) != "", test: t.Name()}
	failed := map[string]bool{} // by path
	for _, info := range typ.Events() {
		e, err := g.sample(info, samples)
		if err == nil {
			err = g.today(info, e)
		}
		if err != nil {
			failed[g.path(info.Name, info.Version)] = true
			t.Errorf("%v", err)
		}
		for version := 1; version < info.Version; version++ {
			if !g.hasOld(info, version) {
				t.Errorf("%v", g.missingOld(info, version))
			}
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%v", err)
	}
	for _, file := range files {
		if path := filepath.Join(dir, file.Name()); !failed[path] {
			if err := g.check(path); err != nil {
				t.Errorf("%v", err)
			}
		}
	}
}

// An example is the content of a golden file.
type example struct {
	Type        string          `json:"type"`
	Version     int             `json:"version"`
	ContentType string          `json:"contentType,omitempty"` // of data that is not JSON
	Data        json.RawMessage `json:"data"`                  // a base64 string if it is not JSON
	Decoded     []string        `json:"decoded"`               // as lines show them
}

type golden[S, E any] struct {
	typ    *aggregate.Type[S, E]
	dir    string
	update bool
	test   string
}

// path leaves characters out that file systems don't take.
func (g *golden[S, E]) path(name string, version int) string {
	var b strings.Builder
	for _, r := range name {
		if strings.ContainsRune(":/@+", r) {
			fmt.Fprintf(&b, "%%%02X", r)
		} else {
			b.WriteRune(r)
		}
	}
	return filepath.Join(g.dir, b.String()+".v"+strconv.Itoa(version)+".json")
}

func (g *golden[S, E]) command() string {
	test, _, _ := strings.Cut(g.test, "/")
	return UpdateVariable + "=1 go test -run '^" + test + "$'"
}

// sample makes the example of an event of today.
func (g *golden[S, E]) sample(info aggregate.EventInfo, samples []E) (example, error) {
	var stored annals.Event
	found := false
	for _, s := range samples {
		e, err := g.typ.Encode(s)
		if err != nil {
			return example{}, err
		}
		if e.Type == info.Name && !found {
			stored, found = e, true
		}
	}
	if !found {
		e, err := g.typ.Wrap(info.Name, sample(info.Go))
		if err == nil {
			stored, err = g.typ.Encode(e)
		}
		if err != nil {
			return example{}, fmt.Errorf("no example of %s could be made, pass one to Golden: %w", info.Name, err)
		}
	}
	e := example{Type: info.Name, Version: info.Version, Data: stored.Data}
	if !stored.IsJSON() {
		e.ContentType = stored.ContentType
		text, err := json.Marshal(stored.Data)
		if err != nil {
			return e, err
		}
		e.Data = text
	}
	return e, nil
}

// today compares an event's encoding with that of its file.
func (g *golden[S, E]) today(info aggregate.EventInfo, e example) error {
	path := g.path(info.Name, info.Version)
	kept, err := readExample(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && g.update:
		if e.Decoded, err = g.decode(&e); err != nil {
			return err
		}
		return g.write(path, e)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is missing: nothing shows yet how version %d of %s is stored; write it with\n\t%s", path, info.Version, info.Name, g.command())
	case err != nil:
		return err
	}
	if diff := diffLines(pretty(kept.Data), pretty(e.Data)); diff != "" || kept.ContentType != e.ContentType {
		return fmt.Errorf("%s is encoded otherwise than version %d of it was (- %s, + today):\n%sgive it version %d and an upcaster from %d; only if none of version %d was ever stored, remove %s and run\n\t%s",
			info.Name, info.Version, path, diff, info.Version+1, info.Version, info.Version, path, g.command())
	}
	return nil
}

// check decodes the data of a file.
func (g *golden[S, E]) check(path string) error {
	kept, err := readExample(path)
	if err != nil {
		return err
	}
	if path != g.path(kept.Type, kept.Version) {
		return fmt.Errorf("%s holds version %d of %s, which belongs into %s", path, kept.Version, kept.Type, g.path(kept.Type, kept.Version))
	}
	decoded, err := g.decode(&kept)
	switch {
	case err != nil:
		return fmt.Errorf("what %s holds is stored somewhere and can't be read any more: %w", path, err)
	case slices.Equal(decoded, kept.Decoded):
		return nil
	case g.update:
		kept.Decoded = decoded
		return g.write(path, kept)
	}
	return fmt.Errorf("%s is decoded otherwise than before (- before, + today):\n%sif that is meant, run\n\t%s",
		path, diffLines(kept.Decoded, decoded), g.command())
}

// decode returns lines that show what an example is decoded to.
func (g *golden[S, E]) decode(e *example) ([]string, error) {
	stored := annals.Event{
		Type: e.Type, ContentType: annals.JSONContentType, Data: e.Data, Stream: "example", Version: 1,
		Attributes: map[string]string{aggregate.VersionAttribute: strconv.Itoa(e.Version)},
	}
	if e.ContentType != "" {
		stored.ContentType, stored.Data = e.ContentType, nil
		if err := json.Unmarshal(e.Data, &stored.Data); err != nil {
			return nil, err
		}
	}
	events, err := g.typ.Decode(&stored)
	if err != nil {
		return nil, err
	}
	lines := []string{}
	for _, event := range events {
		again, err := g.typ.Encode(event)
		if err != nil {
			return nil, err
		}
		lines = append(lines, line(&again))
	}
	return lines, nil
}

// hasOld reports whether there is an example of an older version, under a name
// that the event had then.
func (g *golden[S, E]) hasOld(info aggregate.EventInfo, version int) bool {
	return slices.ContainsFunc(append(info.Formerly, info.Name), func(name string) bool {
		_, err := os.Stat(g.path(name, version))
		return err == nil
	})
}

func (g *golden[S, E]) missingOld(info aggregate.EventInfo, version int) error {
	path := g.path(info.Name, version)
	return fmt.Errorf(`%s is missing: bring it back from version control, or write {"type":%q,"version":%d,"data":…} into it with data as it was stored, and run
	%s`, path, info.Name, version, g.command())
}

func readExample(path string) (e example, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return e, err
	}
	err = json.Unmarshal(text, &e)
	if err == nil && (e.Type == "" || e.Version < 1 || len(e.Data) == 0) {
		err = errors.New("it needs type, version and data")
	}
	if err != nil {
		return e, fmt.Errorf("%s is no example of an event: %w", path, err)
	}
	return e, nil
}

func (g *golden[S, E]) write(path string, e example) error {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(e); err != nil {
		return err
	}
	if err := os.MkdirAll(g.dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// pretty breaks JSON into lines that can be compared.
func pretty(text []byte) []string {
	var b bytes.Buffer
	if json.Indent(&b, text, "", "  ") != nil {
		return []string{string(text)}
	}
	return strings.Split(b.String(), "\n")
}
