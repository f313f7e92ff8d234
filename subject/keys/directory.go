package keys

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"iter"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/subject"
)

const (
	formatFile  = "FORMAT"
	formatText  = "annals-keys 1\n"
	lockFile    = "LOCK"
	subjectsDir = "subjects"
)

// directory is a subject.Shelf of files.
type directory struct {
	fs   vfs.FS
	dir  string
	lock func(ctx context.Context) (io.Closer, error)
}

// Directory makes a Shelf of the files in dir, which Create has made, on fs. Error:
// annals.ErrNotFound where it is none.
func Directory(fs vfs.FS, dir string) (subject.Shelf, error) {
	text, err := readFile(fs, fs.PathJoin(dir, formatFile))
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return nil, &annals.Error{Code: annals.CodeNotFound, Message: dir + " holds no keys of data subjects", Hint: "annals keys new " + dir + " makes some; name the directory that the store was used with"}
	case err != nil:
		return nil, fileErr(dir, err)
	case string(text) != formatText:
		return nil, &annals.Error{Code: annals.CodeInvalid, Message: fmt.Sprintf("%s holds keys of another format: %.40q", dir, text), Hint: "use the version of annals that made them"}
	}
	return &directory{fs, dir, func(ctx context.Context) (io.Closer, error) { return lock(ctx, fs, fs.PathJoin(dir, lockFile)) }}, nil
}

// createDirectory makes what Directory opens. What there is it leaves.
func createDirectory(fs vfs.FS, dir string) error {
	if err := fs.MkdirAll(fs.PathJoin(dir, subjectsDir), 0o700); err != nil {
		return fileErr(dir, err)
	}
	if _, err := fs.Stat(fs.PathJoin(dir, formatFile)); err == nil {
		return nil
	}
	return fileErr(dir, errors.Join(writeFile(fs, fs.PathJoin(dir, formatFile), []byte(formatText)), syncDir(fs, fs.PathDir(dir))))
}

func (d *directory) Place() string { return d.dir }

// Close has nothing to release.
func (d *directory) Close() error { return nil }

// path is where the record of name is. Names may be longer than those of files, and
// tell what is no business of whoever lists a directory.
func (d *directory) path(name string) string {
	sum := sha256.Sum256([]byte(name))
	return d.fs.PathJoin(d.dir, subjectsDir, hex.EncodeToString(sum[:]))
}

func (d *directory) Get(ctx context.Context, name string) (subject.Record, error) {
	if err := ctx.Err(); err != nil {
		return subject.Record{}, err
	}
	r, err := d.read(d.path(name), name)
	unclear := errors.Is(err, annals.ErrDamaged) // it may have been replaced and wiped while it was read
	if err == nil && r.State == subject.None {
		_, missing := d.fs.Stat(d.path(name) + unfinished)
		unclear = missing == nil
	}
	if !unclear {
		return r, err
	}
	held, err := d.lock(ctx)
	if err != nil {
		return subject.Record{}, err
	}
	r, err = d.stored(name)
	return r, errors.Join(err, held.Close())
}

// read reads the record of name at path; one in state None if there is none.
func (d *directory) read(path, name string) (subject.Record, error) {
	text, err := readFile(d.fs, path)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return subject.Record{}, nil
	case err != nil:
		return subject.Record{}, fileErr(d.dir, err)
	}
	return subject.DecodeRecord(path, name, text)
}

// stored is the record of name, under the lock. One whose first writing was broken off
// may have been seen by others: it counts if it is whole.
func (d *directory) stored(name string) (subject.Record, error) {
	path := d.path(name)
	r, err := d.read(path, name)
	if err != nil || r.State != subject.None {
		return r, err
	}
	r, err = d.read(path+unfinished, name)
	switch {
	case errors.Is(err, annals.ErrDamaged):
		return subject.Record{}, nil // nobody has seen it
	case err != nil || r.State == subject.None:
		return subject.Record{}, err
	}
	return r, fileErr(d.dir, finishFile(d.fs, path))
}

func (d *directory) Put(ctx context.Context, r subject.Record) error {
	held, err := d.lock(ctx)
	if err != nil {
		return err
	}
	return errors.Join(d.put(ctx, r), held.Close())
}

func (d *directory) put(ctx context.Context, r subject.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	stored, err := d.stored(r.Subject)
	if err != nil {
		return err
	}
	if stored.Edition != r.Edition-1 {
		return subject.Overtaken(d.dir, r)
	}
	text, err := r.Encode()
	if err != nil {
		return err
	}
	path := d.path(r.Subject)
	if err := d.replace(path, text, len(stored.Wrapped) > 0); err != nil {
		// The rename may have happened and not be durable, or be so.
		return &annals.Error{Code: annals.CodeUnknownOutcome, Err: err, Message: "can't tell whether the record of a subject's key was written in " + d.dir, Hint: "see to the disk and try again"}
	}
	return nil
}

// replace writes text to path. With wipe it overwrites the bytes of the file that had
// that name, which hold a key, once the other has taken it for good; a file system or a
// disk that writes elsewhere keeps them all the same.
func (d *directory) replace(path string, text []byte, wipe bool) error {
	if !wipe {
		return writeFile(d.fs, path, text)
	}
	// It may have been seen and not be durable under its name.
	if err := syncDir(d.fs, d.fs.PathDir(path)); err != nil {
		return err
	}
	old, err := d.fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	info, err := old.Stat()
	if err == nil {
		err = writeFile(d.fs, path, text)
	}
	if err == nil {
		_, err = old.WriteAt(make([]byte, info.Size()), 0)
		err = errors.Join(err, old.Sync())
	}
	return errors.Join(err, old.Close())
}

func (d *directory) List(ctx context.Context) iter.Seq2[subject.Record, error] {
	return func(yield func(subject.Record, error) bool) {
		names, err := d.fs.List(d.fs.PathJoin(d.dir, subjectsDir))
		if err != nil {
			yield(subject.Record{}, fileErr(d.dir, err))
			return
		}
		for _, name := range names {
			if strings.HasSuffix(name, unfinished) {
				continue
			}
			path := d.fs.PathJoin(d.dir, subjectsDir, name)
			text, err := readFile(d.fs, path)
			var r subject.Record
			if err == nil {
				r, err = subject.DecodeRecord(path, "", text)
			} else {
				err = fileErr(d.dir, err)
			}
			if err == nil {
				err = ctx.Err()
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// ours keeps the goroutines of this process in turn, whom the system's lock lets pass.
var ours sync.Mutex

// lock waits until it has the lock of path, which others hold for a few writes.
func lock(ctx context.Context, fs vfs.FS, path string) (io.Closer, error) {
	const look, patience = 5 * time.Millisecond, 10 * time.Second
	ours.Lock()
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		held, err := fs.Lock(path)
		if err == nil {
			return &unlocking{held}, nil
		}
		if !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EACCES) {
			ours.Unlock()
			return nil, fileErr(fs.PathDir(path), err)
		}
		timer := time.NewTimer(look)
		select {
		case <-timer.C:
			continue
		case <-waiting.Done():
			timer.Stop()
		}
		ours.Unlock()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &annals.Error{Code: annals.CodeInUse, Err: err, Message: "another process has held " + path + " for long", Hint: "see what it does there; keys are locked for a moment only"}
	}
}

type unlocking struct{ held io.Closer }

func (u *unlocking) Close() error {
	defer ours.Unlock()
	return u.held.Close()
}
