package bench

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"sync"
	"time"
)

// A bareLog appends checksummed records to one file with group commit and keeps
// no index: it can't find a stream, check a version or tell a repeated event.
// The file is filled with zeros beforehand, so that a sync writes no metadata.
type bareLog struct {
	file *os.File
	size int64

	mu      sync.Mutex
	queue   []*bareWrite
	leading bool
	at      int64 // belongs to the leader
	buf     []byte
}

type bareWrite struct {
	record []byte
	turn   chan bool // true: lead; false: done
	err    error
}

func openBareLog(name string, size int64) (*bareLog, error) {
	file, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, 1<<20)
	for written := int64(0); written < size; written += int64(len(zeros)) {
		if _, err := file.Write(zeros); err != nil {
			return nil, err
		}
	}
	return &bareLog{file: file, size: size}, file.Sync()
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
	l.mu.Lock()
	batch := l.queue
	l.queue = nil
	l.mu.Unlock()
	l.buf = l.buf[:0]
	for _, w := range batch {
		l.buf = append(l.buf, w.record...)
	}
	if l.at+int64(len(l.buf)) > l.size {
		l.at = 0
	}
	_, err := l.file.WriteAt(l.buf, l.at)
	if err == nil {
		err = syncData(l.file)
	}
	l.at += int64(len(l.buf))
	l.mu.Lock()
	if len(l.queue) > 0 {
		l.queue[0].turn <- true
	} else {
		l.leading = false
	}
	l.mu.Unlock()
	for i, w := range batch {
		if w.err = err; i > 0 {
			w.turn <- false
		}
	}
}
