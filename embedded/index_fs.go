package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// indexFS is the index's file system, with what Pebble leaves open of it.
type indexFS struct{ vfs.FS }

// Create syncs a directory before a marker is made in it. Pebble's markers name a
// manifest that it has written but whose place in the directory it syncs together with
// the marker's: on a file system that may keep the one and lose the other, a crash
// between would leave an index that can't be opened.
func (f indexFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasPrefix(f.PathBase(name), "marker.") {
		if err := syncDir(f, f.PathDir(name)); err != nil {
			return nil, err
		}
	}
	return f.FS.Create(name, category)
}

// indexTables is the format of all tables of the index.
const indexTables = sstable.TableFormatPebblev2

// Open refuses a table whose footer names another format. In this format the footer is
// all that no checksum covers, and read as of another one, values lose bytes.
func (f indexFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	file, err := f.FS.Open(name, opts...)
	if err != nil || !strings.HasSuffix(name, ".sst") {
		return file, err
	}
	if err := checkFooter(file); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), file.Close())
	}
	return file, nil
}

func checkFooter(table vfs.File) error {
	magic, version := indexTables.AsTuple()
	want := binary.LittleEndian.AppendUint32(nil, version)
	want = append(want, magic...)
	info, err := table.Stat()
	if err != nil {
		return err
	}
	found := make([]byte, len(want))
	if _, err := table.ReadAt(found, max(0, info.Size()-int64(len(want)))); err != nil {
		return err
	}
	if string(found) != string(want) {
		return fmt.Errorf("%w: the table's footer ends with %x and not with %x", pebble.ErrCorruption, found, want)
	}
	return nil
}
