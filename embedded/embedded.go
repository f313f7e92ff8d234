package embedded

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
)

// Options changes how a store is opened; nil means the defaults.
type Options struct {
	// FS is the file system; the machine's by default. Tests use one that can
	// crash.
	FS vfs.FS
	// Logger gets what goes wrong behind the scenes; slog.Default by default.
	Logger *slog.Logger
	// Store is passed to annals.New.
	Store *annals.Options
	// Progress, if set, is told how far building the index has come, in events.
	Progress func(events int64)
	// MustExist refuses to make a store where there is none.
	MustExist bool

	reindex    bool  // drop the index and build it from the log
	sealEvery  int   // events in a tail; defaultSealEvery by default
	maxSegment int64 // bytes; maxSegmentSize by default
	hashBudget int64 // bytes of sealed segments that Open checks; defaultHashBudget by default
}

const (
	defaultSealEvery  = 128 << 10
	defaultHashBudget = 1 << 30
)

const (
	formatFile = "FORMAT"
	lockFile   = "LOCK"
	logDir     = "log"
	indexDir   = "index"
)

// Open opens the store in dir, making it if there is none. One process has it
// open at a time: another gets ErrInUse. After a crash it finds the end of the
// log, drops what was never acknowledged, and reads the newest events into the
// index again; a missing index is built from the log.
//
// Damage refuses to open with ErrDamaged and its place, and changes nothing: in the
// newest segments up to 1 GiB at once, in older ones when they are read. Verify looks
// at all.
func Open(dir string, opts *Options) (*annals.Store, error) {
	d, err := OpenDriver(dir, opts)
	if err != nil {
		return nil, err
	}
	var store *annals.Options
	if opts != nil {
		store = opts.Store
	}
	return annals.New(d, store), nil
}

// OpenDriver is Open without the Store in front, for what wraps a driver.
func OpenDriver(dir string, opts *Options) (annals.Driver, error) {
	d, err := open(dir, opts)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (o *Options) orDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.FS == nil {
		out.FS = vfs.Default
	}
	if out.Logger == nil {
		out.Logger = slog.Default()
	}
	if out.Progress == nil {
		out.Progress = func(int64) {}
	}
	if out.sealEvery == 0 {
		out.sealEvery = defaultSealEvery
	}
	if out.maxSegment == 0 {
		out.maxSegment = maxSegmentSize
	}
	if out.hashBudget == 0 {
		out.hashBudget = defaultHashBudget
	}
	return out
}

func open(dir string, options *Options) (*driver, error) {
	opts := options.orDefaults()
	lock, err := lockDir(dir, opts)
	if err != nil {
		return nil, storeErr(dir, "opening the store", err)
	}
	d := &driver{
		fs: opts.FS, dir: dir, logger: opts.Logger, lock: lock, sealEvery: opts.sealEvery,
		arrived: make(chan struct{}), closing: make(chan struct{}),
	}
	if err := d.load(opts); err != nil {
		err = errors.Join(err, lock.Close())
		if d.index != nil {
			err = errors.Join(err, d.index.close())
		}
		if d.log != nil {
			err = errors.Join(err, d.log.close())
		}
		return nil, storeErr(dir, "opening the store", err)
	}
	d.background.Go(func() {
		if err := d.index.fillFilter(d.closing); err != nil {
			d.logger.Error("the filter over ids could not be filled; appends look up every id", "dir", dir, "error", err)
		}
	})
	return d, nil
}

// lockDir makes dir if it may, checks its format and locks it.
func lockDir(dir string, opts Options) (io.Closer, error) {
	fs := opts.FS
	_, err := fs.Stat(fs.PathJoin(dir, formatFile))
	isNew := errors.Is(err, iofs.ErrNotExist)
	switch {
	case err != nil && !isNew:
		return nil, err
	case isNew && opts.MustExist:
		return nil, noStore(dir)
	case isNew:
		if err := checkEmpty(fs, dir); err != nil {
			return nil, err
		}
		if err := fs.MkdirAll(fs.PathJoin(dir, logDir), 0o755); err != nil {
			return nil, err
		}
	}
	lock, err := lockStore(fs, dir)
	if err != nil {
		return nil, err
	}
	if isNew {
		err = makeStore(fs, dir, opts.maxSegment)
	} else {
		_, err = readFormat(fs, dir)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// makeStore makes the first segment and then FORMAT: where FORMAT is there, the log is.
// What the log holds already, of an attempt that a crash ended, stays.
func makeStore(fs vfs.FS, dir string, largest int64) error {
	path := fs.PathJoin(dir, logDir)
	l, err := openLog(fs, path, largest)
	if err == nil && len(l.segments()) == 0 {
		var s *segment
		if s, err = createSegment(fs, path, 0, nextSegmentSize(l, 0)); err == nil {
			l.add(s)
		}
	}
	if err == nil {
		err = errors.Join(l.close(), syncDir(fs, dir))
	}
	if err != nil {
		return err
	}
	return writeFormat(fs, dir, currentFormat.Version)
}

// lockStore locks a store under the one name that all its spellings share, as the
// operating system's lock does not keep a process out of what it has open itself.
func lockStore(fs vfs.FS, dir string) (io.Closer, error) {
	name, err := realName(fs, dir)
	if err != nil {
		return nil, err
	}
	lock, err := fs.Lock(fs.PathJoin(name, lockFile))
	var unopened *iofs.PathError
	if err == nil || errors.As(err, &unopened) {
		return lock, err
	}
	return nil, &annals.Error{
		Code: annals.CodeInUse, Err: err,
		Message: "the store in " + dir + " is open already, in another process or in this one",
		Hint:    "stop it; or, if it is annals serve, give --store the address that it serves on",
	}
}

// realName is the one name of a directory that all its spellings share, also of
// one that does not exist yet.
func realName(fs vfs.FS, dir string) (string, error) {
	if fs != vfs.Default {
		return filepath.Clean(dir), nil
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(dir)
	if !errors.Is(err, iofs.ErrNotExist) || dir == filepath.Dir(dir) {
		return real, err
	}
	parent, err := realName(fs, filepath.Dir(dir))
	return filepath.Join(parent, filepath.Base(dir)), err
}

func noStore(dir string) error {
	return &annals.Error{
		Code: annals.CodeNotFound, Message: "there is no store in " + dir,
		Hint: "name one with --store; annals append, ingest and serve make a new one",
	}
}

// checkEmpty keeps a store out of a directory that holds something else.
func checkEmpty(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return ignoreMissing(err)
	}
	for _, name := range names {
		if name != lockFile && name != logDir && !strings.HasPrefix(name, formatFile) {
			return &annals.Error{
				Code:    annals.CodeInvalid,
				Message: fmt.Sprintf("%s holds other files (%s) and no store", dir, name),
				Hint:    "choose an empty or a new directory",
			}
		}
	}
	return nil
}

// load opens log and index and brings the index up to the log's end.
func (d *driver) load(opts Options) (err error) {
	if d.commit.format, err = readFormat(d.fs, d.dir); err != nil {
		return err
	}
	path := d.fs.PathJoin(d.dir, logDir)
	if err := removeUnfinished(d.fs, path); err != nil {
		return err
	}
	if d.log, err = openLog(d.fs, path, opts.maxSegment); err != nil {
		return err
	}
	r, err := recoverLog(d.log, d.commit.format, opts.hashBudget)
	if err != nil {
		return err
	}
	d.end = r.logEnd
	d.commit.active, d.commit.digest, d.commit.end = r.active, r.digest, r.logEnd
	d.commit.heads, d.commit.ids = map[string]head{}, map[idKey]int64{}
	d.commit.idle.L = &d.commit.mu

	path = d.fs.PathJoin(d.dir, indexDir)
	if opts.reindex {
		if err := d.fs.RemoveAll(path); err != nil {
			return err
		}
	}
	if err := d.fs.MkdirAll(path, 0o755); err != nil {
		return err
	}
	if err := removeUnfinished(d.fs, path); err != nil {
		return err
	}
	if d.index, err = openIndex(d.fs, path, d.logger); err != nil {
		return damagedIndex(path, "the index can't be opened", err)
	}
	return d.catchUp(opts.Progress)
}

// catchUp reads the events behind the index's end into memory, and seals them
// where they are many.
func (d *driver) catchUp(progress func(int64)) error {
	sealed, err := d.index.sealed()
	if err != nil {
		return err
	}
	if sealed.position > d.end.position {
		return damagedIndex(d.index.dir, fmt.Sprintf("the index knows %d events, the log holds %d", sealed.position, d.end.position), nil)
	}
	if sealed.address == 0 {
		sealed.address = prologueSize
	}
	d.active = newTail(sealed)
	var intern = interner{}
	for p, err := range d.log.scan(sealed.address, d.end.address, sealed.position+1) {
		if err != nil {
			return err
		}
		d.active.add(intern.entry(&p))
		if len(d.active.addresses) < d.sealEvery {
			continue
		}
		end := logEnd{p.address + p.size(), p.position}
		if err := d.index.seal(d.active, end); err != nil {
			return err
		}
		d.active = newTail(end)
		progress(end.position)
	}
	progress(d.end.position)
	return nil
}

// An interner keeps one string of equal names.
type interner map[string]string

func (in interner) get(b []byte) string {
	if s, ok := in[string(b)]; ok {
		return s
	}
	const enough = 1 << 16
	if len(in) > enough {
		clear(in)
	}
	s := string(b)
	in[s] = s
	return s
}

func (in interner) entry(p *placed) entry {
	stream := in.get(p.bytes(p.stream))
	return entry{
		stream: stream, typ: in.get(p.bytes(p.typ)), source: in.get(p.bytes(p.source)),
		correlation: in.get(p.bytes(p.correlation)),
		id:          idHash(stream, string(p.bytes(p.id))), version: p.version, address: p.address,
	}
}

// removeUnfinished removes files that a crash left half made.
func removeUnfinished(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".new") || strings.HasPrefix(name, "sealing-") {
			if err := fs.Remove(fs.PathJoin(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}
