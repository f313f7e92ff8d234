package pebbleview

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// sealFile says what a store consisted of when it was closed. Pebble takes a
// manifest or a log that ends early for one that a crash has cut, and what it
// names no more for rubbish; of a closed store, that is damage.
const sealFile = "CLOSED"

// seal is what CLOSED holds.
type seal struct {
	Sizes  map[string]int64  `json:"sizes"`  // of tables, which have checksums of their own
	SHA256 map[string]string `json:"sha256"` // of manifests and logs
}

// sealOf describes the files of a directory.
func sealOf(fs vfs.FS, dir string) (seal, error) {
	s := seal{Sizes: map[string]int64{}, SHA256: map[string]string{}}
	names, err := fs.List(dir)
	if err != nil {
		return s, err
	}
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		switch {
		case filepath.Ext(name) == ".sst":
			info, err := fs.Stat(path)
			if err != nil {
				return s, err
			}
			s.Sizes[name] = info.Size()
		case filepath.Ext(name) == ".log", strings.HasPrefix(name, "MANIFEST-"), strings.HasPrefix(name, "marker."):
			if s.SHA256[name], err = hash(fs, path); err != nil {
				return s, err
			}
		}
	}
	return s, nil
}

func hash(fs vfs.FS, path string) (string, error) {
	file, err := fs.Open(path)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(h, file)
	return hex.EncodeToString(h.Sum(nil)), errors.Join(err, file.Close())
}

// differs names a file that is not what it was; empty if there is none. Files
// that came since are not looked at.
func (s seal) differs(now seal) string {
	for name, size := range s.Sizes {
		if got, there := now.Sizes[name]; !there || got != size {
			return name
		}
	}
	for name, sum := range s.SHA256 {
		if now.SHA256[name] != sum {
			return name
		}
	}
	return ""
}

// closeSeal seals a store that was just closed.
func closeSeal(fs vfs.FS, dir string) error {
	s, err := sealOf(fs, dir)
	if err != nil {
		return err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return writeFile(fs, dir, sealFile, text)
}

// openSeal checks a store against its seal, if it has one, and takes that off.
func openSeal(fs vfs.FS, dir string) error {
	path := fs.PathJoin(dir, sealFile)
	file, err := fs.Open(path)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	text, err := io.ReadAll(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	var was seal
	if err := json.Unmarshal(text, &was); err != nil {
		return damaged(dir, path+" can't be read", err)
	}
	now, err := sealOf(fs, dir)
	if err != nil {
		return err
	}
	if name := was.differs(now); name != "" {
		return damaged(dir, fmt.Sprintf("%s is missing or has changed since the views were closed", name), nil)
	}
	return errors.Join(fs.Remove(path), syncDir(fs, dir))
}
