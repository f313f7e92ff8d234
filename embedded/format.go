package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
)

// storeFormat is what FORMAT holds: the newest version whose records the log may hold.
// Version 2 has the hash of the commit before it in each commit; see record.go. A
// program refuses a store of a version that it does not know.
//
// A store of an older version becomes one of the current version with the first append,
// so that the program that made it can go on with it as long as it was only read.
type storeFormat struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
}

var currentFormat = storeFormat{Format: "annals-embedded", Version: 2}

// firstSegmentFirst is the format from which on a log has its first segment before
// there is a FORMAT: where it has none, it was removed.
const firstSegmentFirst = 2

// raiseFormat sees to it that FORMAT allows for what appends write. Only the committer
// calls it.
func (d *driver) raiseFormat() error {
	c := &d.commit
	if c.format == currentFormat.Version {
		return nil
	}
	if err := writeFormat(d.fs, d.dir, currentFormat.Version); err != nil {
		return storeErr(d.dir, "raising the format of the store", err)
	}
	c.format = currentFormat.Version
	return nil
}

func writeFormat(fs vfs.FS, dir string, version int) error {
	text, err := json.Marshal(storeFormat{currentFormat.Format, version})
	if err != nil {
		return err
	}
	name := fs.PathJoin(dir, formatFile)
	if err := writeFile(fs, name+".new", append(text, '\n')); err != nil {
		return err
	}
	if err := fs.Rename(name+".new", name); err != nil {
		return err
	}
	if err := syncDir(fs, dir); err != nil {
		return err
	}
	return syncDir(fs, fs.PathDir(dir))
}

func writeFile(fs vfs.FS, name string, text []byte) error {
	file, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Sync(), file.Close())
}

// readFormat returns the version in FORMAT, which is one that this program knows.
func readFormat(fs vfs.FS, dir string) (int, error) {
	name := fs.PathJoin(dir, formatFile)
	file, err := fs.Open(name)
	if err != nil {
		return 0, err
	}
	text, err := io.ReadAll(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return 0, err
	}
	var f storeFormat
	if json.Unmarshal(text, &f) != nil || f.Format != currentFormat.Format {
		return 0, damaged(name, 0, "this is not the format file of a store")
	}
	if f.Version < 1 || f.Version > currentFormat.Version {
		return 0, &annals.Error{
			Code:    annals.CodeInvalid,
			Message: fmt.Sprintf("the store in %s has format version %d, this program knows those up to %d", dir, f.Version, currentFormat.Version),
			Hint:    "use the version of annals that made it, or a newer one",
		}
	}
	return f.Version, nil
}
