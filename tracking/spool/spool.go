package spool

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"slices"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
)

// MaxRecordBytes bounds one record.
const MaxRecordBytes = 4 << 20

const lockFile = "LOCK"

// ErrFull: the records would not fit into the spool's bytes. Nothing was
// appended; there is room again once records at the front are done with.
var ErrFull error = &annals.Error{Code: annals.CodeNoSpace, Message: "the spool is full", Hint: "give it more bytes, or see why nothing is taken from it"}

// Options changes how a Spool works; nil and zero fields mean the defaults.
type Options struct {
	// FS is the file system; that of the machine by default.
	FS vfs.FS
	// SegmentBytes is how large a file grows before the next begins: the step in
	// which room becomes free. By default an eighth of the spool, at most 8 MiB.
	SegmentBytes int64
	// Logger hears of damage; slog.Default by default.
	Logger *slog.Logger
}

// A Spool is a queue of records in a directory. It is safe for concurrent use.
type Spool struct {
	dir      string
	maxBytes int64
	opts     Options
	lock     interface{ Close() error }

	mu       sync.Mutex
	closed   bool
	place    *place
	front    int64      // number of the record at the front
	end      int64      // number of the next record
	segments []*segment // in order; the last is written to while active is open
	active   vfs.File
	records  int64 // that wait, as far as is known
	bytes    int64 // of all segments
	lost     int64
}

// A segment is one file.
type segment struct {
	name    string
	synced  int64  // number behind the last record that was synced here
	size    int64  // of the file
	valid   int64  // offset up to which it is read
	waiting int64  // records that are not done with
	read    int64  // offset behind those that are
	base    int64  // offset of text
	text    []byte // a part of the file, as far as it was read
}

// Open opens the spool in dir, made if it is missing, of at most maxBytes of
// segments. Errors: annals.ErrInUse if it is open already, in any process.
func Open(dir string, maxBytes int64, opts *Options) (*Spool, error) {
	s := &Spool{dir: dir, maxBytes: maxBytes, end: 1, front: 1}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.FS == nil {
		s.opts.FS = vfs.Default
	}
	if s.opts.Logger == nil {
		s.opts.Logger = slog.Default()
	}
	if s.opts.SegmentBytes <= 0 {
		s.opts.SegmentBytes = min(maxBytes/8, 8<<20)
	}
	if maxBytes < 4096 {
		return nil, annals.Invalid("maxBytes", "is %d: a spool needs 4096 at least", maxBytes)
	}
	if err := makeDir(s.opts.FS, dir); err != nil {
		return nil, s.failed("making the directory", err)
	}
	lock, err := s.opts.FS.Lock(s.path(lockFile))
	if err != nil {
		if path := new(*iofs.PathError); errors.As(err, path) {
			return nil, s.failed("locking", err)
		}
		return nil, &annals.Error{
			Code: annals.CodeInUse, Message: "the spool in " + dir + " is open already, in another process or in this one", Err: err,
			Hint: "stop it, or give each process a directory of its own",
		}
	}
	s.lock = lock
	if err := s.load(); err != nil {
		return nil, errors.Join(s.failed("opening", err), s.closeFiles())
	}
	return s, nil
}

// load reads all segments: how many records wait, and where the numbers end.
func (s *Spool) load() error {
	var err error
	if s.place, s.front, err = openPlace(s.opts.FS, s.path(placeFile)); err != nil {
		return err
	}
	names, err := s.opts.FS.List(s.dir)
	if err != nil {
		return err
	}
	slices.Sort(names)
	s.front = max(s.front, 1)
	t := tally{Spool: s}
	for _, name := range names {
		first, is := parseName(name)
		if !is {
			continue
		}
		if len(s.segments) == 0 {
			s.front = max(s.front, first)
			t.expected = s.front
		}
		if err := t.add(s.path(name), first); err != nil {
			return err
		}
	}
	s.end = max(t.expected, s.front)
	if err := s.syncDir(); err != nil { // for the file of the place
		return err
	}
	for len(s.segments) > 0 && s.segments[0].waiting == 0 {
		if err := s.drop(); err != nil {
			return err
		}
	}
	return nil
}

// Append puts records at the end, all or none, and returns once they are
// synced. Errors: ErrFull; annals.ErrNoSpace, also of the disk; annals.ErrClosed.
// After an error the records may be in the queue none the less: appending them
// again can repeat them.
func (s *Spool) Append(records [][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.closedError()
	}
	var b []byte
	for i, body := range records {
		if len(body) > MaxRecordBytes {
			return &annals.Error{Code: annals.CodeTooLarge, Message: fmt.Sprintf("a record is %d bytes long, the limit is %d", len(body), MaxRecordBytes)}
		}
		b = appendRecord(b, s.end+int64(i), s.end, body)
	}
	if s.bytes+segmentHeader+int64(len(b)) > s.maxBytes {
		return ErrFull
	}
	if err := s.roll(int64(len(b))); err != nil {
		return s.failed("beginning a file", err)
	}
	g := s.segments[len(s.segments)-1]
	_, err := s.active.WriteAt(b, g.size)
	if err == nil {
		err = s.active.SyncData()
	}
	s.end += int64(len(records))
	if err != nil {
		// What is on disk is unknown, and a later sync would not tell: the next
		// records go to another file, and these numbers are not used again.
		g.size += int64(len(b))
		s.bytes += int64(len(b))
		err = errors.Join(err, s.active.Close())
		s.active = nil
		return s.failed("writing", err)
	}
	g.size += int64(len(b))
	g.valid, g.synced = g.size, s.end
	g.waiting += int64(len(records))
	s.bytes += int64(len(b))
	s.records += int64(len(records))
	return nil
}

// roll makes a file active that has room for n more bytes.
func (s *Spool) roll(n int64) error {
	if s.active != nil {
		if g := s.segments[len(s.segments)-1]; g.size == segmentHeader || g.size+n <= s.opts.SegmentBytes {
			return nil
		}
		err := s.active.Close()
		if s.active = nil; err != nil {
			return err
		}
	}
	before := s.end
	if k := len(s.segments); k > 0 {
		before = s.segments[k-1].synced
	}
	g := &segment{name: s.path(segmentName(s.end)), synced: s.end, size: segmentHeader, valid: segmentHeader, read: segmentHeader}
	file, err := s.opts.FS.Create(g.name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if _, err = file.Write(appendSegmentHeader(nil, s.end, before)); err == nil {
		err = s.syncDir()
	}
	if err != nil {
		return errors.Join(err, file.Close(), s.opts.FS.Remove(g.name))
	}
	s.active = file
	s.bytes += g.size
	s.segments = append(s.segments, g)
	return nil
}

func (s *Spool) syncDir() error { return syncDir(s.opts.FS, s.dir) }

// makeDir makes dir and what is missing above it, to stay after a crash.
func makeDir(files vfs.FS, dir string) error {
	if _, err := files.Stat(dir); err == nil || !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	parent := files.PathDir(dir)
	if parent != dir {
		if err := makeDir(files, parent); err != nil {
			return err
		}
	}
	if err := files.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(files, parent)
}

func syncDir(files vfs.FS, name string) error {
	dir, err := files.OpenDir(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Len returns how many records wait, and the bytes of all files.
func (s *Spool) Len() (records, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records, s.bytes
}

// Lost returns how many records damage has taken since Open.
func (s *Spool) Lost() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

// Close releases the directory.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.closeFiles()
}

func (s *Spool) closeFiles() error {
	var errs []error
	if s.active != nil {
		errs = append(errs, s.active.Close())
	}
	if s.place != nil {
		errs = append(errs, s.place.file.Close())
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

func (s *Spool) path(name string) string { return s.opts.FS.PathJoin(s.dir, name) }

func (s *Spool) closedError() error {
	return &annals.Error{Code: annals.CodeClosed, Message: "the spool in " + s.dir + " is closed"}
}

func (s *Spool) failed(doing string, err error) error {
	e := &annals.Error{Code: annals.CodeInternal, Message: doing + " in the spool " + s.dir, Err: err, Hint: "see to the directory, its permissions and its disk"}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		e.Code = annals.CodeNoSpace
	}
	return e
}
