package pebbleview

import (
	"context"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

var _ view.Scrubber = (*Store)(nil)

// Scrub implements view.Scrubber: it writes all tables anew, and then has Pebble closed
// and opened, which removes logs that are kept to be written over, and manifests. Calls
// wait meanwhile.
func (s *Store) Scrub(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.use(func() error {
		return storeErr(s.dir, "compacting", s.db.Compact(ctx, []byte{0}, []byte{0xff}, false))
	})
	if err != nil {
		return err
	}
	s.using.Lock()
	defer s.using.Unlock()
	if s.ended || s.closed {
		return annals.ErrClosed
	}
	if err := s.halt(); err != nil {
		return err
	}
	err = s.db.Close()
	if err == nil {
		err = s.openLocked()
	}
	if err != nil {
		s.db, s.closed = nil, true // end releases the directory
		go s.end()
	}
	return storeErr(s.dir, "opening the views again; they are closed now, as it failed,", err)
}
