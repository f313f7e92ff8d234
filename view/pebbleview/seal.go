package pebbleview

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"math"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// sealFile says what a store consisted of when it was closed. Pebble takes a
// manifest or a log that ends early for one that a crash has cut, what they name
// no more for rubbish, and the version at the end of a table, which it has no
// checksum of, at its word. Of a closed store, all of that is damage.
const sealFile = "CLOSED"

// seal is what CLOSED holds.
type seal struct {
	Files map[string]string `json:"files"` // manifests and logs whole, tables by their ends
}

// tableEnd covers what a table says of itself; all before has checksums.
const tableEnd = 128

// sealOf describes the files of a directory.
func sealOf(fs vfs.FS, dir string) (seal, error) {
	s := seal{Files: map[string]string{}}
	names, err := fs.List(dir)
	if err != nil {
		return s, err
	}
	for _, name := range names {
		last := int64(math.MaxInt64)
		switch {
		case filepath.Ext(name) == ".sst":
			last = tableEnd
		case filepath.Ext(name) != ".log" && !strings.HasPrefix(name, "MANIFEST-") && !strings.HasPrefix(name, "marker."):
			continue
		}
		if s.Files[name], err = sum(fs, fs.PathJoin(dir, name), last); err != nil {
			return s, err
		}
	}
	return s, nil
}

// sum is a file's size and the hash of its last bytes.
func sum(fs vfs.FS, path string, last int64) (string, error) {
	file, err := fs.Open(path)
	if err != nil {
		return "", err
	}
	info, err := file.Stat()
	if err != nil {
		return "", errors.Join(err, file.Close())
	}
	h, last := sha256.New(), min(last, info.Size())
	_, err = io.Copy(h, io.NewSectionReader(file, info.Size()-last, last))
	return fmt.Sprintf("%d %x", info.Size(), h.Sum(nil)), errors.Join(err, file.Close())
}

// differs names a file that is not what it was; empty if there is none. Files
// that came since are not looked at.
func (s seal) differs(now seal) string {
	for name, sum := range s.Files {
		if now.Files[name] != sum {
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
