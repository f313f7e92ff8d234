package pebbleview

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// Options changes how a Store is opened; nil means the defaults.
type Options struct {
	// FS is the file system; the machine's by default. Tests use one that can
	// crash.
	FS vfs.FS
	// Logger gets what goes wrong behind the scenes; slog.Default by default.
	Logger *slog.Logger

	memTable uint64 // bytes; memTableBytes by default
}

const (
	// Both are taken as they are needed: an idle store has neither.
	cacheBytes    = 32 << 20
	memTableBytes = 8 << 20

	manifestBytes    = 1 << 20 // read whole when the store is opened and closed
	filterBitsPerKey = 10
	// What Drop has marked is removed from the disk after this.
	dropDelay = 10 * time.Second
)

// A Store is a view.Store in a directory. It is safe for concurrent use by the
// one process that has it open.
type Store struct {
	dir  string // as Open was told
	name string // the one that it has among its spellings
	disk *haltingFS
	lock *pebble.Lock
	opts Options
	db   *pebble.DB

	// committing is held from the look at a change's expectations until the change
	// shows.
	committing sync.Mutex
	room       int64 // bytes that may be written before the disk is asked again

	using  sync.RWMutex // held for reading while db is used
	ended  bool         // db is closed and the directory free
	closed bool         // by Close
}

var _ view.Store = (*Store)(nil)

// Open opens the store in dir, and makes both where they are missing. Errors:
// annals.ErrInUse where dir is open already, in another process or this one;
// annals.ErrInvalid where it holds something else, or a store of another
// version; annals.ErrDamaged; annals.ErrNoSpace; annals.ErrUnavailable.
func Open(dir string, opts *Options) (*Store, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.memTable == 0 {
		o.memTable = memTableBytes
	}
	name, lock, err := take(o.FS, dir)
	if err != nil {
		return nil, storeErr(dir, "opening the views", err)
	}
	if err := openSeal(o.FS, name); err != nil {
		return nil, errors.Join(storeErr(dir, "opening the views", err), lock.Close())
	}
	s := &Store{dir: dir, name: name, lock: lock, opts: o}
	s.disk = &haltingFS{FS: o.FS, halted: func() { go s.end() }}
	if err := s.open(); err != nil {
		return nil, errors.Join(storeErr(dir, "opening the views", err), s.end())
	}
	return s, nil
}

// open opens Pebble. A disk that halts meanwhile waits for it.
func (s *Store) open() error {
	s.using.Lock()
	defer s.using.Unlock()
	return s.openLocked()
}

// openLocked is open while s.using is held.
func (s *Store) openLocked() (err error) {
	o := &s.opts
	cache := pebble.NewCache(cacheBytes)
	defer cache.Unref()
	opts := &pebble.Options{
		FS: s.disk, Lock: s.lock, Cache: cache, Logger: logger{o.Logger, s.dir},
		MemTableSize: o.memTable, MaxManifestFileSize: manifestBytes, FlushDelayDeleteRange: dropDelay,
		// The first format whose log tells a damaged record from a torn end, and whose
		// tables have a checksum to the end.
		FormatMajorVersion: pebble.FormatTableFormatV6,
	}
	// Pebble's own answer to a damaged block is to end the process; here the read
	// fails and says so.
	opts.EventListener = &pebble.EventListener{DataCorruption: func(info pebble.DataCorruptionInfo) {
		o.Logger.Error("views are damaged; "+rebuild, "dir", s.dir, "error", info.Details)
	}}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(filterBitsPerKey)
	}
	s.db, err = pebble.Open(s.name, opts)
	if failed := s.disk.failure(); failed != nil {
		return failed
	}
	return err
}

// Memory returns a Store that is gone when it is closed, for tests and examples.
func Memory() *Store {
	s, err := Open("views", &Options{FS: vfs.NewMem()})
	if err != nil {
		panic(fmt.Sprintf("pebbleview: a file system in memory failed: %v", err))
	}
	return s
}

// logger passes on what asks for a person. Pebble calls Fatalf where it finds
// itself wrong; failing disks are kept from it.
type logger struct {
	log *slog.Logger
	dir string
}

func (logger) Infof(string, ...any) {}
func (l logger) Errorf(format string, args ...any) {
	l.log.Error("views: "+fmt.Sprintf(format, args...), "dir", l.dir)
}
func (l logger) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf("annals: views in %s: %s (%s)", l.dir, fmt.Sprintf(format, args...), rebuild))
}

// use calls f while the database stays open.
func (s *Store) use(f func() error) error {
	s.using.RLock()
	defer s.using.RUnlock()
	if s.closed {
		return annals.ErrClosed
	}
	if err := s.halt(); err != nil {
		return err
	}
	err := f()
	// What Pebble can't find any more was lost with the disk.
	if code := annals.CodeOf(err); code == annals.CodeDamaged || code == annals.CodeUnavailable {
		return cmp.Or(s.halt(), err)
	}
	return err
}

// halt is the error of every call after the disk has failed; nil before.
func (s *Store) halt() error {
	err := s.disk.failure()
	if err == nil {
		return nil
	}
	return storeErr(s.dir, "writing; changes that were not durable may be lost, and the views must be opened again; it failed", err)
}

// Close implements view.Store. An error says that changes which were not Durable
// may be lost.
func (s *Store) Close() error {
	s.using.Lock()
	was := s.closed
	s.closed = true
	s.using.Unlock()
	err := s.end()
	if was {
		return nil
	}
	if failed := s.halt(); failed != nil {
		return failed
	}
	return storeErr(s.dir, "closing the views", err)
}

// end closes the database once nobody uses it. Behind a disk that has failed it
// writes nothing more.
func (s *Store) end() error {
	s.using.Lock()
	defer s.using.Unlock()
	if s.ended {
		return nil
	}
	s.ended = true
	var err error
	if s.db != nil {
		if err = s.db.Close(); err == nil && s.disk.failure() == nil {
			err = closeSeal(s.disk, s.name)
		}
	}
	return errors.Join(err, s.lock.Close())
}
