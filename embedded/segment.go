package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
)

// The log is a row of segment files of fixed sizes. An address is a place in
// the row: a segment's base plus the offset in its file. A segment starts with
// a prologue and, once it is full, ends in a footer:
//
//	prologue: "ANNALSEG", u32 format version, u32 0, i64 base, i64 file size, u32 CRC
//	footer:   "ANNALEND", i64 end of the records, u64 xxHash64 of all before it,
//	          i64 last position, u32 CRC
//
// A file is filled with zeros and synced before it is used, so that a sync of
// records writes no file-system metadata.
const (
	segmentSuffix  = ".log"
	prologueSize   = 64
	footerSize     = 64
	prologueMagic  = "ANNALSEG"
	footerMagic    = "ANNALEND"
	segmentVersion = 1
	minSegmentSize = 1 << 20
	maxSegmentSize = 64 << 20
)

type segment struct {
	name   string // the file's path
	base   int64
	size   int64    // of the file
	file   vfs.File // nil once at rest
	mapped []byte   // nil where the file system has no file descriptors
	footer *footer

	using  sync.RWMutex // held by who reads from the file instead of the map
	closed bool
}

type footer struct {
	end      int64 // offset behind the last record
	hash     uint64
	position int64
}

func segmentName(base int64) string { return fmt.Sprintf("%016x%s", base, segmentSuffix) }

func segmentBase(name string) (int64, bool) {
	hex, ok := strings.CutSuffix(name, segmentSuffix)
	base, err := strconv.ParseInt(hex, 16, 64)
	return base, ok && err == nil && len(hex) == 16
}

// createSegment makes a synced segment under a temporary name first, so that a
// segment under its own name is always whole.
func createSegment(fs vfs.FS, dir string, base, size int64) (*segment, error) {
	name := fs.PathJoin(dir, segmentName(base))
	temporary := name + ".new"
	file, err := fs.Create(temporary, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	err = fillSegment(file, base, size)
	err = errors.Join(err, file.Close())
	if err == nil {
		err = fs.Rename(temporary, name)
	}
	if err == nil {
		err = syncDir(fs, dir)
	}
	if err != nil {
		return nil, errors.Join(err, ignoreMissing(fs.Remove(temporary)))
	}
	return openSegment(fs, dir, base)
}

func fillSegment(file vfs.File, base, size int64) error {
	prologue := make([]byte, prologueSize)
	copy(prologue, prologueMagic)
	binary.LittleEndian.PutUint32(prologue[8:], segmentVersion)
	binary.LittleEndian.PutUint64(prologue[16:], uint64(base))
	binary.LittleEndian.PutUint64(prologue[24:], uint64(size))
	binary.LittleEndian.PutUint32(prologue[32:], crc32.Checksum(prologue[:32], castagnoli))
	if _, err := file.Write(prologue); err != nil {
		return err
	}
	const chunk = 1 << 20
	zeros := make([]byte, min(chunk, size))
	for left := size - prologueSize; left > 0; {
		n, err := file.Write(zeros[:min(chunk, left)])
		if err != nil {
			return err
		}
		left -= int64(n)
		clear(zeros) // vfs.File.Write may change what it is given
		// A large flush at the end would hold up the log's own syncs.
		if err := file.SyncData(); err != nil {
			return err
		}
	}
	return file.Sync()
}

func openSegment(fs vfs.FS, dir string, base int64) (*segment, error) {
	s := &segment{name: fs.PathJoin(dir, segmentName(base)), base: base}
	file, err := fs.OpenReadWrite(s.name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	s.file = file
	if err := s.readEnds(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if fd := file.Fd(); fd != vfs.InvalidFd {
		mapped, err := mapFile(fd, s.size)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("mapping %s: %w", s.name, err), file.Close())
		}
		if s.mapped = mapped; mapped != nil {
			// Readers may hold the segment longer than the store is open.
			runtime.AddCleanup(s, unmapFile, mapped)
		}
	}
	return s, nil
}

func (s *segment) readEnds() error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	prologue := make([]byte, prologueSize)
	if _, err := s.file.ReadAt(prologue, 0); err != nil && err != io.EOF {
		return err
	}
	if string(prologue[:8]) != prologueMagic || !allZero(prologue[36:]) ||
		crc32.Checksum(prologue[:32], castagnoli) != binary.LittleEndian.Uint32(prologue[32:]) {
		return damaged(s.name, 0, "the segment's prologue is damaged")
	}
	if v := binary.LittleEndian.Uint32(prologue[8:]); v != segmentVersion {
		return damaged(s.name, 8, fmt.Sprintf("the segment has format version %d, this program knows %d", v, segmentVersion))
	}
	if base := int64(binary.LittleEndian.Uint64(prologue[16:])); base != s.base {
		return damaged(s.name, 16, "the segment says that it is "+segmentName(base))
	}
	s.size = int64(binary.LittleEndian.Uint64(prologue[24:]))
	if info.Size() != s.size {
		return damaged(s.name, min(info.Size(), s.size), fmt.Sprintf("the segment is %d bytes long and should be %d", info.Size(), s.size))
	}
	return s.readFooter()
}

func (s *segment) readFooter() error {
	b := make([]byte, footerSize)
	if _, err := s.file.ReadAt(b, s.size-footerSize); err != nil && err != io.EOF {
		return err
	}
	if allZero(b) {
		return nil
	}
	if string(b[:8]) != footerMagic || !allZero(b[36:]) || crc32.Checksum(b[:32], castagnoli) != binary.LittleEndian.Uint32(b[32:]) {
		return damaged(s.name, s.size-footerSize, "the segment's footer is damaged")
	}
	f := &footer{
		end:      int64(binary.LittleEndian.Uint64(b[8:])),
		hash:     binary.LittleEndian.Uint64(b[16:]),
		position: int64(binary.LittleEndian.Uint64(b[24:])),
	}
	if f.end < prologueSize || f.end > s.room() {
		return damaged(s.name, s.size-footerSize, "the segment's footer names an impossible end")
	}
	s.footer = f
	return nil
}

// writeFooter seals the segment durably.
func (s *segment) writeFooter(f footer) error {
	b := make([]byte, footerSize)
	copy(b, footerMagic)
	binary.LittleEndian.PutUint64(b[8:], uint64(f.end))
	binary.LittleEndian.PutUint64(b[16:], f.hash)
	binary.LittleEndian.PutUint64(b[24:], uint64(f.position))
	binary.LittleEndian.PutUint32(b[32:], crc32.Checksum(b[:32], castagnoli))
	if _, err := s.file.WriteAt(b, s.size-footerSize); err != nil {
		return err
	}
	if err := s.file.SyncData(); err != nil {
		return err
	}
	s.footer = &f
	return nil
}

// room is the offset where records must end.
func (s *segment) room() int64 { return s.size - footerSize }

// read returns n bytes at offset: a view of the map, valid while s is
// reachable, or a copy.
func (s *segment) read(offset, n int64) ([]byte, error) {
	if offset < 0 || n < 0 || offset+n > s.size {
		return nil, damaged(s.name, offset, "a record reaches past the end of its segment")
	}
	if s.mapped != nil {
		return s.mapped[offset : offset+n : offset+n], nil
	}
	s.using.RLock()
	defer s.using.RUnlock()
	if s.closed {
		return nil, annals.ErrClosed
	}
	b := make([]byte, n)
	if _, err := s.file.ReadAt(b, offset); err != nil && err != io.EOF {
		return nil, fmt.Errorf("reading %s at byte %d: %w", s.name, offset, err)
	}
	return b, nil
}

// close closes the file under its readers: they read on from the map, or get
// annals.ErrClosed.
func (s *segment) close() error {
	s.using.Lock()
	defer s.using.Unlock()
	s.closed = true
	return s.giveUpFile()
}

// rest gives up the file of a sealed segment where its map is all that is needed, so
// that a log takes no more handles the longer it gets.
func (s *segment) rest() error {
	s.using.Lock()
	defer s.using.Unlock()
	if s.footer == nil || s.mapped == nil {
		return nil
	}
	return s.giveUpFile()
}

func (s *segment) giveUpFile() error {
	if s.file == nil {
		return nil
	}
	file := s.file
	s.file = nil
	return file.Close()
}

// record reads the record at offset and checks both of its checksums.
func (s *segment) record(offset int64) (header, body, error) {
	// The footer leaves room for the longer header behind any record.
	raw, err := s.read(offset, firstHeaderSize)
	if err != nil {
		return header{}, body{}, err
	}
	h, ok := parseHeader(raw)
	if !ok {
		return h, body{}, damaged(s.name, offset, "a record's header is damaged")
	}
	if raw, err = s.read(offset+h.headerLen, h.size()-h.headerLen); err != nil {
		return h, body{}, err
	}
	raw, padding := raw[:h.bodyLen], raw[h.bodyLen:]
	if crc32.Checksum(raw, castagnoli) != h.bodyCRC {
		return h, body{}, damaged(s.name, offset, fmt.Sprintf("the body of the event at position %d is damaged", h.position))
	}
	if !allZero(padding) {
		return h, body{}, damaged(s.name, offset, fmt.Sprintf("the bytes behind the event at position %d are damaged", h.position))
	}
	b, ok := parseBody(raw)
	if !ok {
		return h, b, damaged(s.name, offset, fmt.Sprintf("the fields of the event at position %d don't fit its record", h.position))
	}
	return h, b, nil
}

// hashTo hashes the file up to end.
func (s *segment) hashTo(end int64) (*xxhash.Digest, error) {
	digest := xxhash.New()
	const chunk = 1 << 20
	for at := int64(0); at < end; at += chunk {
		b, err := s.read(at, min(chunk, end-at))
		if err != nil {
			return nil, err
		}
		_, _ = digest.Write(b) // never fails
	}
	runtime.KeepAlive(s)
	return digest, nil
}

// checkHash compares a sealed segment with its footer.
func (s *segment) checkHash() error {
	digest, err := s.hashTo(s.footer.end)
	if err != nil {
		return err
	}
	if digest.Sum64() == s.footer.hash {
		return s.checkGap()
	}
	for offset := int64(prologueSize); offset < s.footer.end; {
		h, _, err := s.record(offset)
		if err != nil {
			return err
		}
		offset += h.size()
	}
	return damaged(s.name, prologueSize, "the segment's bytes don't match the hash in its footer")
}

// checkGap wants nothing between the records of a sealed segment and its footer.
func (s *segment) checkGap() error {
	gap, err := s.read(s.footer.end, s.room()-s.footer.end)
	if err == nil && !allZero(gap) {
		err = damaged(s.name, s.footer.end, "the bytes between the last record and the footer are damaged")
	}
	return err
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
