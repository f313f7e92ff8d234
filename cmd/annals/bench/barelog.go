package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"runtime"
	"sync"
	"time"
)

// A bareLog appends checksummed records to files with group commit and keeps no
// index: it can't find a stream, check a version or tell a repeated event. Its
// files are filled with zeros ahead of their use, so that a sync writes no
// metadata, and are kept, as a log is.
type bareLog struct {
	name  string
	files int // made so far
	spare chan bareFile

	mu      sync.Mutex
	queue   []*bareWrite
	leading bool

	// What follows belongs to the leader.
	file *os.File
	at   int64
	buf  []byte
}

type bareFile struct {
	*os.File
	err error
}

type bareWrite struct {
	record []byte
	turn   chan bool // true: lead; false: done
	err    error
}

const bareFileSize = 64 << 20

func openBareLog(name string) (*bareLog, error) {
	l := &bareLog{name: name, spare: make(chan bareFile, 1)}
	first := l.makeFile(0)
	l.file, l.files = first.File, 1
	return l, first.err
}

func (l *bareLog) makeFile(n int) bareFile {
	file, err := os.Create(fmt.Sprintf("%s.%d", l.name, n))
	zeros := make([]byte, 1<<20)
	for written := int64(0); err == nil && written < bareFileSize; written += int64(len(zeros)) {
		if _, err = file.Write(zeros); err == nil {
			err = syncData(file)
		}
	}
	return bareFile{file, err}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// append stores what an event consists of: the same facts as in the other
// engines, in as few bytes as they take.
func (l *bareLog) append(w *bareWrite, stream string, version int64, id string, data []byte) error {
	w.record = append(w.record[:0], make([]byte, 8)...)
	w.record = binary.LittleEndian.AppendUint64(w.record, uint64(version))
	w.record = binary.LittleEndian.AppendUint64(w.record, uint64(time.Now().UnixNano()))
	for _, s := range [...]string{stream, id, eventType, eventSource} {
		w.record = append(binary.AppendUvarint(w.record, uint64(len(s))), s...)
	}
	w.record = append(w.record, data...)
	binary.LittleEndian.PutUint32(w.record, uint32(len(w.record)))
	binary.LittleEndian.PutUint32(w.record[4:], crc32.Checksum(w.record[8:], castagnoli))
	l.mu.Lock()
	l.queue = append(l.queue, w)
	if l.leading {
		l.mu.Unlock()
		if lead := <-w.turn; !lead {
			return w.err
		}
	} else {
		l.leading = true
		l.mu.Unlock()
	}
	l.lead()
	return w.err
}

func (l *bareLog) lead() {
	runtime.Gosched() // lets the writers that the last batch woke join this one
	l.mu.Lock()
	batch := l.queue
	l.queue = nil
	l.mu.Unlock()
	l.buf = l.buf[:0]
	for _, w := range batch {
		l.buf = append(l.buf, w.record...)
	}
	err := l.write()
	for i, w := range batch {
		if w.err = err; i > 0 {
			w.turn <- false
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) > 0 {
		l.queue[0].turn <- true
	} else {
		l.leading = false
	}
}

func (l *bareLog) write() error {
	if l.at+int64(len(l.buf)) > bareFileSize {
		next := <-l.spare
		if next.err != nil {
			return next.err
		}
		if err := l.file.Close(); err != nil {
			return err
		}
		l.file, l.at = next.File, 0
	}
	before := l.at
	l.at += int64(len(l.buf))
	if before == 0 {
		n := l.files
		l.files++
		go func() { l.spare <- l.makeFile(n) }()
	}
	if _, err := l.file.WriteAt(l.buf, before); err != nil {
		return err
	}
	return syncData(l.file)
}

func (l *bareLog) close() error {
	if l.files > 1 {
		spare := <-l.spare
		if err := errors.Join(spare.err, spare.Close()); err != nil {
			return err
		}
	}
	return l.file.Close()
}
