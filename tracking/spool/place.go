package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	placeFile = "place"
	slotSize  = 12 // a record's number and its CRC
)

// A place is the number of the record at the front, in two slots of a file that
// are written in turn: a write that is cut off leaves the other.
type place struct {
	file vfs.File
	slot int64
}

func openPlace(files vfs.FS, name string) (*place, int64, error) {
	file, err := files.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if errors.Is(err, fs.ErrNotExist) {
		file, err = files.Create(name, vfs.WriteCategoryUnspecified)
	}
	if err != nil {
		return nil, 0, err
	}
	b := make([]byte, 2*slotSize)
	n, err := file.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return nil, 0, errors.Join(err, file.Close())
	}
	p, front := &place{file: file}, int64(0)
	for slot := range int64(2) {
		end := (slot + 1) * slotSize
		if int64(n) < end || binary.LittleEndian.Uint32(b[end-4:]) != crc32.Checksum(b[end-slotSize:end-4], castagnoli) {
			continue
		}
		if number := int64(binary.LittleEndian.Uint64(b[end-slotSize:])); number > front {
			front, p.slot = number, 1-slot
		}
	}
	return p, front, nil
}

// write stores the front's number, without a sync: an older place only makes
// records come again.
func (p *place) write(front int64) error {
	b := binary.LittleEndian.AppendUint64(nil, uint64(front))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	_, err := p.file.WriteAt(b, p.slot*slotSize)
	p.slot = 1 - p.slot
	return err
}
