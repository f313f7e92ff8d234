package embedded

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
)

// Backup copies the store in dir to the directory to, which must be empty or not
// exist, and returns the position of the last event that the copy holds. Another
// process may have the store open and append: every event acknowledged before
// the call is in the copy, and the copy ends with a whole commit. It checks all
// that it copies. The copy has no index; opening it builds one.
//
// Restoring is opening the copy, or copying it to where it shall be.
func Backup(ctx context.Context, dir, to string, options *Options) (int64, error) {
	opts := options.orDefaults()
	dir, to = filepath.Clean(dir), filepath.Clean(to)
	position, err := backup(ctx, dir, to, opts)
	return position, storeErr(to, "copying the store", err)
}

func backup(ctx context.Context, dir, to string, opts Options) (position int64, err error) {
	fs := opts.FS
	if _, err := fs.Stat(fs.PathJoin(dir, formatFile)); err != nil {
		if errors.Is(err, iofs.ErrNotExist) {
			return 0, noStore(dir)
		}
		return 0, err
	}
	if _, err := readFormat(fs, dir); err != nil {
		return 0, err
	}
	if err := checkOutside(fs, dir, to); err != nil {
		return 0, err
	}
	names, err := fs.List(to)
	if ignoreMissing(err) != nil {
		return 0, err
	}
	if len(names) > 0 {
		return 0, &annals.Error{
			Code: annals.CodeInvalid, Message: fmt.Sprintf("%s is not empty: it holds %s", to, names[0]),
			Hint: "name a new directory for the backup",
		}
	}
	// An unfinished copy must not pass for a store.
	partial := to + ".partial"
	if err := fs.RemoveAll(partial); err != nil {
		return 0, err
	}
	if err := fs.MkdirAll(fs.PathJoin(partial, logDir), 0o755); err != nil {
		return 0, err
	}
	if position, err = copyLog(ctx, fs, fs.PathJoin(dir, logDir), fs.PathJoin(partial, logDir), opts.Progress); err != nil {
		return 0, errors.Join(err, fs.RemoveAll(partial))
	}
	// FORMAT is raised before there are records of that format: what it says after the
	// copying allows for all that was copied, and the program that can open the store
	// can open its backup.
	version, err := readFormat(fs, dir)
	if err != nil {
		return 0, err
	}
	if err := writeFormat(fs, partial, version); err != nil {
		return 0, err
	}
	if err := ignoreMissing(fs.Remove(to)); err != nil {
		return 0, err
	}
	if err := fs.Rename(partial, to); err != nil {
		return 0, err
	}
	return position, syncDir(fs, fs.PathDir(to))
}

// checkOutside refuses a copy inside the store, where it would be lost with it.
func checkOutside(fs vfs.FS, dir, to string) error {
	store, err := realName(fs, dir)
	if err != nil {
		return err
	}
	target, err := realName(fs, to)
	if err != nil {
		return err
	}
	way, err := filepath.Rel(store, target)
	if err != nil || way == ".." || strings.HasPrefix(way, ".."+string(filepath.Separator)) {
		return err
	}
	return &annals.Error{
		Code: annals.CodeInvalid, Message: to + " lies inside the store " + dir,
		Hint: "name a directory outside of it, best on another disk",
	}
}

func copyLog(ctx context.Context, fs vfs.FS, from, to string, progress func(int64)) (int64, error) {
	position := int64(0)
	for base := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return position, err
		}
		c, err := copySegmentBesideWriter(ctx, fs, from, to, base, position)
		if err != nil {
			if errors.Is(err, iofs.ErrNotExist) && base > 0 {
				err = damaged(fs.PathJoin(from, segmentName(base)), 0, "the segment is missing")
			}
			return position, err
		}
		position = c.position
		progress(position)
		if !c.sealed {
			return position, syncDir(fs, to)
		}
		base += c.size
	}
}

type copied struct {
	sealed   bool
	size     int64
	position int64
}

// copySegmentBesideWriter tries again where what looks like damage may be a
// batch that is just being written.
func copySegmentBesideWriter(ctx context.Context, fs vfs.FS, from, to string, base, position int64) (copied, error) {
	const attempts, wait = 20, 20 * time.Millisecond
	for attempt := 1; ; attempt++ {
		c, err := copySegment(fs, from, to, base, position)
		if err == nil || attempt == attempts || !errors.Is(err, annals.ErrDamaged) {
			return c, err
		}
		select {
		case <-ctx.Done():
			return c, ctx.Err()
		case <-time.After(wait):
		}
	}
}

func copySegment(fs vfs.FS, from, to string, base, position int64) (c copied, err error) {
	s, err := openSegment(fs, from, base)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, s.file.Close()) }()
	end := segmentEnd{}
	if s.footer != nil {
		if err := s.checkHash(); err != nil {
			return c, err
		}
		end = segmentEnd{s.footer.end, s.footer.position}
	} else if end, err = s.findEnd(position); err != nil {
		return c, err
	}
	if err := writeSegmentCopy(fs, to, s, end.end); err != nil {
		return c, err
	}
	return copied{s.footer != nil, s.size, end.position}, nil
}

// writeSegmentCopy writes the segment up to end, and zeros and the footer behind.
func writeSegmentCopy(fs vfs.FS, to string, s *segment, end int64) error {
	file, err := fs.Create(fs.PathJoin(to, segmentName(s.base)), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	const chunk = 1 << 20
	zeros := make([]byte, chunk)
	for at := int64(0); at < s.size && err == nil; {
		var b []byte
		switch {
		case at < end:
			b, err = s.read(at, min(chunk, end-at))
		case s.footer != nil && at >= s.room():
			b, err = s.read(at, s.size-at)
		case s.footer != nil:
			b = zeros[:min(chunk, s.room()-at)]
		default:
			b = zeros[:min(chunk, s.size-at)]
		}
		if err == nil {
			_, err = file.Write(b)
			clear(zeros) // vfs.File.Write may change what it is given
		}
		at += int64(len(b))
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}
