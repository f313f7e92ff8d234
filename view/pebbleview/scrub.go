package pebbleview

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

var _ view.Scrubber = (*Store)(nil)

// Scrub implements view.Scrubber: it writes all tables anew, has Pebble closed and
// opened, which removes logs that are kept to be written over, and removes the manifest
// of before. Calls wait meanwhile.
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
		return storeErr(s.dir, "opening the views again; they are closed now, as it failed,", err)
	}
	return storeErr(s.dir, "removing manifests", s.removeOldManifests())
}

// removeOldManifests removes all but the newest. Pebble keeps one more, which names the
// first and the last key of tables that are gone.
func (s *Store) removeOldManifests() error {
	names, err := s.disk.List(s.dir)
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, "MANIFEST-") })
	// Numbers have leading zeros, up to where they get longer.
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	for _, name := range names[:max(0, len(names)-1)] {
		if err := s.disk.Remove(s.disk.PathJoin(s.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return syncDir(s.disk, s.dir)
}
