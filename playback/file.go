package playback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/eb901187/annals"
)

// ToFile is a Target that writes events to a new file, one CloudEvent in JSON a line, in
// the exact form that annals ingest --ordered reads. What is recorded as done was synced
// before. A run that goes on cuts the file off at that length.
//
// Check refuses a file that exists; a run that goes on refuses one that does not begin
// with an event of the playback, or is shorter than it has been.
func ToFile(path string) Target { return &file{path: path} }

type file struct {
	path   string
	f      *os.File
	offset int64 // where buf goes
	buf    []byte
}

const fileBuffer = 256 << 10

// Destination implements Target.
func (t *file) Destination() Destination {
	path, err := filepath.Abs(t.path)
	if err != nil { // there is no working directory: Check will tell
		path = t.path
	}
	return Destination{Kind: KindFile, Name: path}
}

// Check implements Target.
func (t *file) Check(context.Context, *annals.Store) error {
	dir := filepath.Dir(t.path)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return &annals.Error{Code: annals.CodeNotFound, Message: "there is no directory " + dir + " for the file", Hint: "make it, or name another file"}
	}
	_, err := os.Lstat(t.path)
	switch {
	case err == nil:
		return &annals.Error{
			Code: annals.CodeConflict, Message: "the file " + t.path + " exists already, and is left as it is",
			Hint: "name another file; annals playback resume goes on with a playback",
		}
	case !errors.Is(err, fs.ErrNotExist):
		return t.err("can't be made", err)
	}
	return nil
}

// Open implements Target. Nothing but the file's bytes at their places is written, and
// these follow from the selection: another run of the same playback that has not
// noticed yet that it lost it writes the same.
func (t *file) Open(_ context.Context, _ *annals.Store, p *Playback, resumed bool) error {
	flags := os.O_RDWR
	if p.Bytes == 0 {
		flags |= os.O_CREATE
	}
	if !resumed {
		flags |= os.O_EXCL
	}
	f, err := os.OpenFile(t.path, flags, 0o600)
	if err != nil {
		return t.err("can't be opened", err)
	}
	t.f, t.offset, t.buf = f, p.Bytes, t.buf[:0]
	if err := t.recognize(p); err != nil {
		return err
	}
	if err := f.Truncate(p.Bytes); err != nil {
		return t.err("can't be cut to its recorded length", err)
	}
	return t.syncDir()
}

// recognize refuses a file of another origin, before anything of it is lost.
func (t *file) recognize(p *Playback) error {
	info, err := t.f.Stat()
	if err != nil {
		return t.err("can't be read", err)
	}
	refuse := func(why string) error {
		return &annals.Error{
			Code: annals.CodeConflict, Message: fmt.Sprintf("the file %s %s, and is left as it is", t.path, why),
			Hint: "put the right file back, or start another playback",
		}
	}
	if info.Size() < p.Bytes {
		return refuse(fmt.Sprintf("has %d bytes, and playback %s has written %d", info.Size(), p.ID, p.Bytes))
	}
	if info.Size() == 0 {
		return nil
	}
	// The mark is in the envelope, which stands before the data.
	head := make([]byte, min(info.Size(), 64<<10))
	if _, err := io.ReadFull(io.NewSectionReader(t.f, 0, info.Size()), head); err != nil {
		return t.err("can't be read", err)
	}
	line, _, _ := bytes.Cut(head, []byte("\n"))
	if p.Bytes == 0 && bytes.Count(line, []byte{0}) == len(line) {
		return nil // a crash before the first sync can leave zeros
	}
	if !bytes.Contains(line, fmt.Appendf(nil, `,"%s":"%s"`, AttributeID, p.ID)) {
		return refuse("does not begin with an event of playback " + p.ID)
	}
	return nil
}

// Write implements Target.
func (t *file) Write(_ context.Context, events []annals.Event) error {
	for i := range events {
		t.buf = append(events[i].AppendJSON(t.buf, true), '\n')
		if len(t.buf) >= fileBuffer {
			if err := t.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *file) flush() error {
	if _, err := t.f.WriteAt(t.buf, t.offset); err != nil {
		return t.err("can't be written", err)
	}
	t.offset, t.buf = t.offset+int64(len(t.buf)), t.buf[:0]
	return nil
}

// Flush implements Target.
func (t *file) Flush(context.Context) (int64, error) {
	if err := t.flush(); err != nil {
		return 0, err
	}
	if err := t.f.Sync(); err != nil {
		return 0, t.err("can't be synced", err)
	}
	return t.offset, nil
}

// Close implements Target.
func (t *file) Close() error {
	if t.f == nil {
		return nil
	}
	err := t.f.Close()
	t.f = nil
	return err
}

// syncDir makes the file's name durable.
func (t *file) syncDir() error {
	dir, err := os.Open(filepath.Dir(t.path))
	if err != nil {
		return t.err("can't be made durable", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return t.err("can't be made durable", err)
	}
	return nil
}

func (t *file) err(what string, err error) error {
	code, hint := annals.CodeInvalid, "check its path and permissions"
	if errors.Is(err, syscall.ENOSPC) {
		code, hint = annals.CodeNoSpace, "free some space, then annals playback resume"
	}
	return &annals.Error{Code: code, Message: "the file " + t.path + " " + what, Err: err, Hint: hint}
}
