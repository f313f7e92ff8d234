package pebbleview

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/eb901187/annals/view"
)

// What a Scrub leaves names no key of a table that is gone: Pebble keeps the manifest of
// before.
func TestScrubLeavesNoKeyInAManifest(t *testing.T) {
	const secret = "name-of-somebody"
	dir := t.TempDir()
	s := mustOpen(t, dir, nil)
	put := view.Put{Space: "v@1", Document: view.Document{Key: secret, Data: []byte(`{}`)}}
	if err := s.Commit(t.Context(), view.Change{Put: []view.Put{put}, Durable: true}); err != nil {
		t.Fatal(err)
	}
	// This one puts the key into a table, whose bounds are in the manifest.
	if err := s.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(holding(t, dir, secret)) == 0 {
		t.Fatal("the key is in no file")
	}
	if err := s.Drop(t.Context(), "v@1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	if files := holding(t, dir, secret); len(files) > 0 {
		t.Errorf("the key is in %v", files)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if files := holding(t, dir, secret); len(files) > 0 {
		t.Errorf("closed, the key is in %v", files)
	}
}

func holding(t *testing.T, dir, text string) (files []string) {
	t.Helper()
	all, err := filepath.Glob(dir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		if info, err := os.Stat(name); err != nil || info.IsDir() {
			continue // a table that is removed behind the scenes
		}
		content, err := os.ReadFile(name)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte(text)) {
			files = append(files, filepath.Base(name))
		}
	}
	return files
}
