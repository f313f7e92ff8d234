package pebbleview

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
)

const (
	formatFile = "FORMAT"
	lockFile   = "LOCK"
)

// format is what the file FORMAT holds.
type format struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
}

var currentFormat = format{Format: "annals-views", Version: 1}

// take makes dir if it may, locks it under the one name that all its spellings
// share, which it returns, and checks its format.
func take(fs vfs.FS, dir string) (string, *pebble.Lock, error) {
	// Nothing is made in a directory that is another's.
	if _, err := isNew(fs, dir); err != nil {
		return "", nil, err
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return "", nil, err
	}
	name, err := realName(fs, dir)
	if err != nil {
		return "", nil, err
	}
	lock, err := pebble.LockDirectory(name, fs)
	var unopened *iofs.PathError
	if err != nil && !errors.As(err, &unopened) {
		err = &annals.Error{
			Code: annals.CodeInUse, Err: err,
			Message: "the views in " + dir + " are open already, in another process or in this one",
			Hint:    "stop it; or, if it is annals serve, talk to it with --store http://…",
		}
	}
	if err != nil {
		return "", nil, err
	}
	fresh, err := isNew(fs, dir)
	if err == nil && fresh {
		err = writeFormat(fs, dir)
	}
	if err != nil {
		return "", nil, errors.Join(err, lock.Close())
	}
	return name, lock, nil
}

// realName matters as the operating system's lock does not keep a process out of
// what it has open itself.
func realName(fs vfs.FS, dir string) (string, error) {
	if fs != vfs.Default {
		return filepath.Clean(dir), nil
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(dir)
}

// isNew reports whether dir has no store yet, and refuses what is none of ours.
func isNew(fs vfs.FS, dir string) (bool, error) {
	name := fs.PathJoin(dir, formatFile)
	file, err := fs.Open(name)
	if errors.Is(err, iofs.ErrNotExist) {
		return true, checkEmpty(fs, dir)
	}
	if err != nil {
		return false, err
	}
	const enough = 4 << 10
	text, err := io.ReadAll(io.LimitReader(file, enough))
	if err = errors.Join(err, file.Close()); err != nil {
		return false, err
	}
	var f format
	switch {
	case json.Unmarshal(text, &f) != nil:
		return false, damaged(dir, name+" can't be read", nil)
	case f.Format != currentFormat.Format:
		return false, &annals.Error{
			Code: annals.CodeInvalid, Message: fmt.Sprintf("%s holds no views but %q", dir, f.Format), Hint: "choose an empty or a new directory",
		}
	case f.Version != currentFormat.Version:
		return false, &annals.Error{
			Code:    annals.CodeInvalid,
			Message: fmt.Sprintf("the views in %s have format version %d, this program knows %d", dir, f.Version, currentFormat.Version),
			Hint:    "use the version of annals that made them; or " + rebuild,
		}
	}
	return false, nil
}

// checkEmpty keeps a store out of a directory that holds something else.
func checkEmpty(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		if name != lockFile && !strings.HasPrefix(name, formatFile) {
			return &annals.Error{
				Code: annals.CodeInvalid, Message: fmt.Sprintf("%s holds other files (%s) and no views", dir, name),
				Hint: "choose an empty or a new directory",
			}
		}
	}
	return nil
}

func writeFormat(fs vfs.FS, dir string) error {
	text, err := json.Marshal(currentFormat)
	if err != nil {
		return err
	}
	return errors.Join(writeFile(fs, dir, formatFile, text), syncDir(fs, fs.PathDir(dir)))
}

// writeFile writes a file whole or not at all.
func writeFile(fs vfs.FS, dir, name string, text []byte) error {
	path := fs.PathJoin(dir, name)
	file, err := fs.Create(path+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = file.Write(append(text, '\n'))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return errors.Join(fs.Rename(path+".new", path), syncDir(fs, dir))
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
