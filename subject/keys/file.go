package keys

import (
	"errors"
	"io"
	iofs "io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
)

// unfinished ends the names of files that are being written.
const unfinished = ".new"

func readFile(fs vfs.FS, path string) ([]byte, error) {
	file, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	const enough = 64 << 10
	text, err := io.ReadAll(io.LimitReader(file, enough))
	return text, errors.Join(err, file.Close())
}

// writeFile replaces the file at path by text, durably, or leaves it as it is. Who
// calls it keeps others from writing the same. Where there was none, a crash leaves the
// file that others have seen under one of its two names: see finishFile.
func writeFile(fs vfs.FS, path string, text []byte) error {
	file, err := fs.Create(path+unfinished, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return renamed(fs, path)
}

// finishFile makes the whole of what writeFile has left unfinished.
func finishFile(fs vfs.FS, path string) error {
	file, err := fs.OpenReadWrite(path+unfinished, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	return renamed(fs, path)
}

func renamed(fs vfs.FS, path string) error {
	// Others use the file as soon as it has its name, which may not be durable then.
	if err := syncDir(fs, fs.PathDir(path)); err != nil {
		return err
	}
	if err := fs.Rename(path+unfinished, path); err != nil {
		return err
	}
	return syncDir(fs, fs.PathDir(path))
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func fileErr(dir string, err error) error {
	if err == nil {
		return nil
	}
	code, hint := annals.CodeUnavailable, "see to the disk and try again"
	if errors.Is(err, iofs.ErrPermission) {
		hint = "keys belong to the account that the store's process runs as"
	}
	return &annals.Error{Code: code, Err: err, Message: "the keys in " + dir + " can't be used", Hint: hint}
}
