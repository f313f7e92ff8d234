package main

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

// maxZip is what a zip may take: a small one starts sooner.
const maxZip = 15 << 20

// left are directories of the module that no bootstrap is made of.
var left = []string{".git", ".tools", ".build", "dist", "deploy", "docs", "testdata"}

// sources copies what a build needs, so that it is built in another place.
func sources(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		part, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains(left, d.Name()) {
			return filepath.SkipDir
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, part), 0o755)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, part), text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestZipsAreReproducibleAndSmall(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	// Both are copies, so that nobody changes one between the builds.
	here, elsewhere := filepath.Join(t.TempDir(), "here"), filepath.Join(t.TempDir(), "another", "place")
	sources(t, root, here)
	sources(t, here, elsewhere)
	var zips [2][]byte
	arch := runtime.GOARCH
	for i, dir := range []string{here, elsewhere} {
		if dir == elsewhere { // whatever the environment says
			t.Setenv("GOFLAGS", "-ldflags=-X=main.x=y -race")
			t.Setenv("GOWORK", filepath.Join(here, "no", "go.work"))
		}
		out := t.TempDir()
		if err := pack(t.Context(), dir, "./cmd/bootstrap", out, "test", arch); err != nil {
			t.Fatal(err)
		}
		if zips[i], err = os.ReadFile(filepath.Join(out, "test-"+architectures[arch]+".zip")); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(zips[0], zips[1]) {
		t.Errorf("two builds differ: %d and %d bytes", len(zips[0]), len(zips[1]))
	}
	t.Logf("the zip has %.1f MiB", float64(len(zips[0]))/(1<<20))
	if len(zips[0]) > maxZip {
		t.Errorf("the zip has %d bytes, more than %d", len(zips[0]), maxZip)
	}
	z, err := zip.NewReader(bytes.NewReader(zips[0]), int64(len(zips[0])))
	if err != nil {
		t.Fatal(err)
	}
	if len(z.File) != 1 || z.File[0].Name != "bootstrap" || z.File[0].Mode() != 0o755 {
		t.Errorf("the zip holds %v", z.File[0].FileHeader)
	}
}

func TestAnUnknownArchitectureIsRefused(t *testing.T) {
	if err := pack(t.Context(), ".", ".", t.TempDir(), "test", "riscv64"); err == nil {
		t.Error("nothing was said")
	}
}
