package embedded

import (
	"errors"
	"fmt"
	"slices"

	"github.com/eb901187/annals"
)

// A Report is what Verify found.
type Report struct {
	Events   int64    // in the log
	Streams  int64    // with at least one event
	Problems []string // each names its file and place; empty means that all is well
}

// maxProblems bounds a report on a store that is damaged throughout.
const maxProblems = 1000

// Verify reads every byte of the store in dir, which no process may have open,
// and lists all that is wrong with it: checksums, hashes, positions, versions,
// commits and ids of the log, and whether each commit names the hash of the one
// before it in its stream; and then, if the log is whole, every entry of the
// index against the log and the log against the index. It needs 8 bytes of
// memory an event and some 150 a stream. It changes nothing but what Open would.
//
// Damage is in the report; an error means that Verify could not do its work.
func Verify(dir string, options *Options) (Report, error) {
	opts := options.orDefaults()
	opts.MustExist = true
	lock, err := lockDir(dir, opts)
	if err != nil {
		if errors.Is(err, annals.ErrDamaged) {
			return Report{Problems: []string{err.Error()}}, nil
		}
		return Report{}, storeErr(dir, "verifying the store", err)
	}
	v := &verifier{opts: opts, versions: map[string]int64{}, chain: chainCheck{heads: map[string]head{}}}
	if v.format, err = readFormat(opts.FS, dir); err == nil {
		err = v.log(opts.FS.PathJoin(dir, logDir))
	}
	err = errors.Join(err, lock.Close())
	if err == nil && len(v.report.Problems) == 0 {
		err = v.index(dir)
	}
	v.report.Streams = int64(len(v.versions))
	return v.report, storeErr(dir, "verifying the store", err)
}

type verifier struct {
	opts     Options
	report   Report
	format   int              // what FORMAT says
	position int64            // of the last event seen
	versions map[string]int64 // of each stream's last event seen
	ids      []uint64         // idHash of every event
	open     header           // the last event, while its commit goes on
	chain    chainCheck
}

func (v *verifier) problem(format string, args ...any) {
	if len(v.report.Problems) == maxProblems {
		v.report.Problems = append(v.report.Problems, "and more; the list ends here")
	}
	if len(v.report.Problems) < maxProblems {
		v.report.Problems = append(v.report.Problems, fmt.Sprintf(format, args...))
	}
}

// damage reports err as a problem if it is damage and returns it otherwise.
func (v *verifier) damage(err error) error {
	var known *annals.Error
	if errors.As(err, &known) && known.Code == annals.CodeDamaged {
		v.problem("%s", known.Message)
		return nil
	}
	return err
}

func (v *verifier) log(dir string) error {
	names, err := v.opts.FS.List(dir)
	if err != nil {
		return err
	}
	slices.Sort(names)
	next, unsealed := int64(0), ""
	for _, name := range names {
		base, ok := segmentBase(name)
		if !ok {
			continue
		}
		if base != next {
			v.problem("%s: the segment before %s is missing: %s", dir, name, segmentName(next))
		}
		s, err := openSegment(v.opts.FS, dir, base)
		if err != nil {
			if err := v.damage(err); err != nil {
				return err
			}
			next = base
			continue
		}
		next = base + s.size
		if unsealed != "" && (s.footer != nil || !s.zeroHeader(prologueSize)) {
			v.problem("%s: the segment has no footer, but %s holds records", unsealed, name)
		}
		if s.footer == nil && unsealed == "" {
			unsealed = name
		}
		if err := errors.Join(v.segment(s), s.file.Close()); err != nil {
			return err
		}
	}
	if unsealed == "" && (next > 0 || v.format >= firstSegmentFirst) {
		v.problem("%s: the newest segment of the log is missing: %s", dir, segmentName(next))
	}
	return v.repeatedIDs(dir, names)
}

// segment checks the records of one segment; behind a damaged record it goes on
// with the next one that can be read.
func (v *verifier) segment(s *segment) error {
	stop := s.room()
	if s.footer != nil {
		stop = s.footer.end
	}
	for offset := int64(prologueSize); offset+headerSize <= stop; {
		h, b, err := s.record(offset)
		if err == nil {
			v.record(s, offset, &h, &b)
			offset += h.size()
			continue
		}
		if s.footer == nil {
			if err = s.damageAt(offset, err); err == nil {
				break
			}
		}
		if err := v.damage(err); err != nil {
			return err
		}
		if offset, err = s.nextRecord(offset+recordAlign, stop); err != nil {
			return err
		}
		v.resume(s, offset)
	}
	if v.open.count > 0 && !v.open.lastOfItsCommit && s.footer != nil {
		v.problem("%s: the commit of position %d lacks its last events", s.name, v.position)
		v.open = header{}
	}
	if s.footer == nil {
		return nil
	}
	if s.footer.position != v.position {
		v.problem("%s: the footer says that position %d is the last, the records end at %d", s.name, s.footer.position, v.position)
	}
	digest, err := s.hashTo(s.footer.end)
	if err != nil {
		return err
	}
	if digest.Sum64() != s.footer.hash {
		v.problem("%s: the segment's bytes don't match the hash in its footer", s.name)
	}
	return v.damage(s.checkGap())
}

// nextRecord finds the next whole header from offset on.
func (s *segment) nextRecord(offset, stop int64) (int64, error) {
	rest, err := s.read(offset, max(stop-offset, 0))
	if err != nil {
		return 0, err
	}
	for at := 0; at+headerSize <= len(rest); at += recordAlign {
		if headerLength(rest[at:]) == 0 {
			continue
		}
		if _, ok := parseHeader(rest[at:]); ok {
			return offset + int64(at), nil
		}
	}
	return stop, nil
}

// resume takes the record behind a gap as the new start of the count.
func (v *verifier) resume(s *segment, offset int64) {
	v.open = header{}
	v.chain.gap()
	if raw, err := s.read(offset, min(firstHeaderSize, s.size-offset)); err == nil {
		if h, ok := parseHeader(raw); ok {
			v.position = h.position - 1
		}
	}
}

func (v *verifier) record(s *segment, offset int64, h *header, b *body) {
	stream := string(b.bytes(b.stream))
	if h.position != v.position+1 {
		v.problem("%s, byte %d: found position %d where %d belongs", s.name, offset, h.position, v.position+1)
	}
	if last, known := v.versions[stream]; h.version != last+1 && (known || len(v.report.Problems) == 0) {
		v.problem("%s, byte %d: stream %s has version %d after %d", s.name, offset, stream, h.version, last)
	}
	if going := v.open.count > 0 && !v.open.lastOfItsCommit; going && (h.index != v.open.index+1 || h.count != v.open.count) || !going && h.index != 0 {
		v.problem("%s, byte %d: event %d of %d of a commit stands alone at position %d", s.name, offset, h.index+1, h.count, h.position)
	}
	if what := v.chain.add(stream, h, b); what != "" {
		v.problem("%s, byte %d: %s", s.name, offset, what)
	}
	v.report.Events++
	v.position, v.versions[stream], v.open = h.position, h.version, *h
	v.ids = append(v.ids, idHash(stream, string(b.bytes(b.id))))
	if v.report.Events%progressEvery == 0 {
		v.opts.Progress(v.report.Events)
	}
}

const progressEvery = 1 << 16 // events

// repeatedIDs looks for two events of one stream with one id. Only where two
// hashes are equal does it read the log a second time.
func (v *verifier) repeatedIDs(dir string, names []string) error {
	slices.Sort(v.ids)
	suspects := map[uint64]bool{}
	for i := 1; i < len(v.ids); i++ {
		if v.ids[i] == v.ids[i-1] {
			suspects[v.ids[i]] = true
		}
	}
	v.ids = nil
	if len(suspects) == 0 {
		return nil
	}
	seen := map[idKey]int64{}
	for _, name := range names {
		base, ok := segmentBase(name)
		if !ok {
			continue
		}
		s, err := openSegment(v.opts.FS, dir, base)
		if err != nil {
			continue // reported before
		}
		for offset := int64(prologueSize); offset+headerSize <= s.room(); {
			h, b, err := s.record(offset)
			if err != nil {
				break
			}
			offset += h.size()
			key := idKey{string(b.bytes(b.stream)), string(b.bytes(b.id))}
			if !suspects[idHash(key.stream, key.id)] {
				continue
			}
			if first, twice := seen[key]; twice {
				v.problem("%s: stream %s holds the id %q twice, at versions %d and %d", s.name, key.stream, key.id, first, h.version)
			}
			seen[key] = h.version
		}
		if err := s.file.Close(); err != nil {
			return err
		}
	}
	return nil
}

// index opens the store and compares its index with the log.
func (v *verifier) index(dir string) error {
	opts := v.opts
	opts.Progress = nil
	d, err := open(dir, &opts)
	if err != nil {
		return v.damage(err)
	}
	c := &indexCheck{v: v, d: d}
	err = c.all()
	return errors.Join(v.damage(err), d.Close())
}
