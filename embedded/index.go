package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
)

// The index on disk is a Pebble store that only ever ingests sorted tables, two
// for each sealed tail. Names hold no zero byte, which ends them in keys:
//
//	'm'                              sealed address and position
//	'h' stream                       the stream's version, and the hash of its last
//	                                 commit if it was at hand
//	's' stream 0 first version       chunk of addresses
//	'p' first position               chunk of addresses
//	't' type 0 first address         chunk of addresses
//	'o' source 0 first address       chunk of addresses
//	'c' correlation 0 first address  chunk of addresses
//	'z' …                            ids: see ids.go
type indexKind byte

const (
	byStream      indexKind = 's'
	byPosition    indexKind = 'p'
	byType        indexKind = 't'
	bySource      indexKind = 'o'
	byCorrelation indexKind = 'c'
	streamHead    indexKind = 'h'
	sealedMark    indexKind = 'm'
)

const (
	indexCacheBytes  = 64 << 20
	filterBitsPerKey = 10
)

type index struct {
	fs  vfs.FS
	dir string
	db  *pebble.DB
	// table is how sealed tails are written.
	table sstable.WriterOptions
	ids   *idFilter
	runs  atomic.Pointer[[]int64] // starts of the sealed tails, ascending

	using     sync.RWMutex // held for reading while the index is used
	closed    bool
	readersMu sync.Mutex
	readers   map[*chunkReader]struct{} // open ones
}

func openIndex(fs vfs.FS, dir string, logger *slog.Logger) (*index, error) {
	cache := pebble.NewCache(indexCacheBytes)
	defer cache.Unref()
	opts := &pebble.Options{
		FS: indexFS{fs}, Cache: cache, DisableWAL: true, Logger: pebbleLogger{logger, dir},
		FormatMajorVersion: pebble.FormatMinSupported,
	}
	// Pebble's own answer to a damaged block is to end the process; here the read
	// fails and says so.
	opts.EventListener = &pebble.EventListener{DataCorruption: func(info pebble.DataCorruptionInfo) {
		logger.Error("the index is damaged; run annals reindex", "dir", dir, "error", info.Details)
	}}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(filterBitsPerKey)
		// Chunks are packed and hashes random: compressing them gains little.
		opts.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	}
	opts.EnsureDefaults()
	db, err := openPebble(dir, opts)
	if err != nil {
		return nil, err
	}
	x := &index{
		fs: fs, dir: dir, db: db, ids: newIDFilter(), readers: map[*chunkReader]struct{}{},
		table: opts.MakeWriterOptions(0, db.TableFormat()),
	}
	if err := x.findRuns(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return x, nil
}

// openPebble returns an error also for what Pebble would end the process for, as
// nothing depends on the index yet.
func openPebble(dir string, opts *pebble.Options) (db *pebble.DB, err error) {
	defer func() {
		switch failure := recover().(type) {
		case nil:
		case runtime.Error:
			panic(failure)
		case error:
			err = failure
		default:
			panic(failure)
		}
	}()
	return pebble.Open(dir, opts)
}

// pebbleLogger passes on what asks for a person. Pebble calls Fatalf where it
// can't go on, for example when it can't write its manifest; the log, which is
// the truth, is not concerned, and the index is complete again after a restart.
type pebbleLogger struct {
	log *slog.Logger
	dir string
}

func (pebbleLogger) Infof(string, ...any) {}
func (l pebbleLogger) Errorf(format string, args ...any) {
	l.log.Error("index: "+fmt.Sprintf(format, args...), "dir", l.dir)
}
func (l pebbleLogger) Fatalf(format string, args ...any) {
	panic(fmt.Errorf("annals: index in %s: %s: no event is lost; mend the cause and start again", l.dir, fmt.Errorf(format, args...)))
}

func nameKey(kind indexKind, name string) []byte {
	b := make([]byte, 0, 1+len(name)+9)
	return append(append(b, byte(kind)), name...)
}

func chunkKey(kind indexKind, name string, ordinal int64) []byte {
	b := nameKey(kind, name)
	if kind != byPosition {
		b = append(b, 0)
	}
	return binary.BigEndian.AppendUint64(b, uint64(ordinal))
}

func keyOrdinal(key []byte) int64 {
	return int64(binary.BigEndian.Uint64(key[len(key)-8:]))
}

// sealed returns the end of the log that the index covers.
func (x *index) sealed() (logEnd, error) {
	value, err := x.get([]byte{byte(sealedMark)})
	if err != nil || value == nil {
		return logEnd{}, err
	}
	if len(value) != 16 {
		return logEnd{}, damagedIndex(x.dir, "its mark is damaged", nil)
	}
	return logEnd{int64(binary.BigEndian.Uint64(value)), int64(binary.BigEndian.Uint64(value[8:]))}, nil
}

// get returns a copy of a value, nil if there is none.
func (x *index) get(key []byte) ([]byte, error) {
	var value []byte
	return value, x.use(func() error {
		view, closer, err := x.db.Get(key)
		if errors.Is(err, pebble.ErrNotFound) {
			return nil
		}
		if err != nil {
			return x.err(err)
		}
		value = slices.Clone(view)
		return closer.Close()
	})
}

// A head is where a stream ends.
type head struct {
	version int64
	hash    annals.Hash // of the last commit; zero where it was not computed
}

func appendHead(b []byte, h head) []byte {
	b = binary.AppendUvarint(b, uint64(h.version))
	if h.hash != (annals.Hash{}) {
		b = append(b, h.hash[:]...)
	}
	return b
}

// head returns where a stream ends as it was sealed; version 0 if it has no events.
func (x *index) head(stream string) (h head, err error) {
	value, err := x.get(nameKey(streamHead, stream))
	if err != nil || value == nil {
		return h, err
	}
	version, n := binary.Uvarint(value)
	if n <= 0 || len(value) != n && len(value) != n+len(h.hash) {
		return h, damagedIndex(x.dir, "the version of stream "+stream+" is damaged", nil)
	}
	h.version = int64(version)
	copy(h.hash[:], value[n:])
	return h, nil
}

func (x *index) err(err error) error {
	switch {
	case err == nil:
		return nil
	case pebble.IsCorruptionError(err):
		return damagedIndex(x.dir, "the index is damaged", err)
	}
	return storeErr(x.dir, "reading the index", err)
}

// seal writes a tail as sorted tables and takes them in, together with the
// mark, in one step.
func (x *index) seal(t *tail, end logEnd) error {
	lists, err := x.writeTable(fmt.Sprintf("sealing-%016x.sst", t.start), func(w *tableWriter) { w.tail(t, end) })
	if err != nil {
		return err
	}
	run, err := x.writeTable(fmt.Sprintf("sealing-%016x-ids.sst", t.start), func(w *tableWriter) { w.run(t) })
	if err == nil {
		err = x.db.Ingest(context.Background(), []string{lists, run})
	}
	if err != nil {
		return errors.Join(err, ignoreMissing(x.fs.Remove(lists)), ignoreMissing(x.fs.Remove(run)))
	}
	x.addRun(t)
	return nil
}

// writeTable makes a synced table and returns its path.
func (x *index) writeTable(name string, write func(*tableWriter)) (string, error) {
	path := x.fs.PathJoin(x.dir, name)
	file, err := x.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return path, err
	}
	w := &tableWriter{w: sstable.NewWriter(objstorageprovider.NewFileWritable(file), x.table)}
	write(w)
	if err := errors.Join(w.err, w.w.Close()); err != nil {
		return path, errors.Join(err, ignoreMissing(x.fs.Remove(path)))
	}
	return path, nil
}

// tableWriter writes a tail's keys in order and keeps the first error.
type tableWriter struct {
	w   *sstable.Writer
	buf []byte
	err error
}

func (w *tableWriter) tail(t *tail, end logEnd) {
	w.lists(byCorrelation, t.requests)
	streams := slices.Sorted(maps.Keys(t.streams))
	for _, name := range streams {
		s := t.streams[name]
		w.set(nameKey(streamHead, name), appendHead(nil, head{s.version(), s.hash}))
	}
	mark := binary.BigEndian.AppendUint64(nil, uint64(end.address))
	w.set([]byte{byte(sealedMark)}, binary.BigEndian.AppendUint64(mark, uint64(end.position)))
	w.lists(bySource, t.sources)
	w.numbered(byPosition, "", t.first, t.addresses)
	for _, name := range streams {
		w.numbered(byStream, name, t.streams[name].first, t.streams[name].addresses)
	}
	w.lists(byType, t.types)
}

func (w *tableWriter) set(key, value []byte) {
	runtime.Gosched() // appends come first
	if w.err == nil {
		w.err = w.w.Set(key, value)
	}
}

func (w *tableWriter) lists(kind indexKind, lists map[string][]int64) {
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		for chunk := range slices.Chunk(lists[name], chunkLength) {
			w.buf = appendChunk(w.buf[:0], chunk)
			w.set(chunkKey(kind, name, chunk[0]), w.buf)
		}
	}
}

func (w *tableWriter) numbered(kind indexKind, name string, first int64, addresses []int64) {
	for chunk := range slices.Chunk(addresses, chunkLength) {
		w.buf = appendChunk(w.buf[:0], chunk)
		w.set(chunkKey(kind, name, first), w.buf)
		first += int64(len(chunk))
	}
}
