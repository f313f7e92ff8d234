package proof

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/eb901187/annals"
)

// Check reports whether p shows what it says, for somebody who trusts the roots that are
// given: each must be that of the proof or, in an extension, either of the two. Then an
// extension of a root that is trusted makes its other root trusted too, as far as the
// log behind the older one goes on from it.
//
// The empty log is the beginning of every other, so that an extension of its root shows
// nothing of the other one, and is as one that is checked without a trusted root.
//
// Without a trusted root, no error means only that the proof agrees with the root that
// it names itself, which whoever made it could choose.
//
// Errors: annals.ErrDamaged where the proof does not hold, or a root of the size of one
// that is trusted is another one; annals.ErrInvalid where it is about logs of other
// sizes, so that it says nothing of the roots that are trusted.
func (p *Proof) Check(trusted ...Root) error {
	if p.Root.Size > maxSize || p.From.Size > maxSize {
		return refused("the proof does not hold: no log has %d events", max(p.Root.Size, p.From.Size))
	}
	for _, r := range trusted {
		if err := p.about(r); err != nil {
			return err
		}
	}
	switch p.Kind {
	case Inclusion:
		return p.checkInclusion()
	case Extension:
		return p.checkExtension()
	}
	return annals.Invalid("kind", "must be inclusion or extension, not %.40q", p.Kind)
}

// about refuses a proof that is not about the log of r.
func (p *Proof) about(r Root) error {
	own := []Root{p.Root}
	if p.Kind == Extension {
		own = append(own, p.From)
	}
	sameSize := false
	for _, o := range own {
		if o == r {
			return nil
		}
		sameSize = sameSize || o.Size == r.Size
	}
	if sameSize {
		return refused("the root that the proof names for %d events is not the one that you trust, %v: it is of another log", r.Size, r)
	}
	return &annals.Error{
		Code: annals.CodeInvalid, Message: fmt.Sprintf("the proof is about a log of %d events, and the root that you trust is of %d", p.Root.Size, r.Size),
		Hint: fmt.Sprintf("ask for a proof with annals prove --at %d, or for one with --extends that ties the two roots", r.Size),
	}
}

func refused(format string, args ...any) error {
	return &annals.Error{Code: annals.CodeDamaged, Message: fmt.Sprintf(format, args...), Hint: "don't rely on it; ask for the proof again, and find out who made or changed this one"}
}

func (p *Proof) checkInclusion() error {
	e := &p.Event
	if e.Position < 1 || e.Position > p.Root.Size || p.Index < 0 || e.Version <= int64(p.Index) {
		return refused("the proof does not hold: no log of %d events has %s@%d at position %d as number %d of its commit", p.Root.Size, e.Stream, e.Version, e.Position, p.Index)
	}
	leaf := leafHash(e, p.Index, p.Commit, annals.Digest(e.Stream, []annals.Event{*e}))
	if tlog.CheckRecord(p.path(), p.Root.Size, tlog.Hash(p.Root.Hash), e.Position-1, leaf) != nil {
		return refused("the proof does not hold: the log of root %v does not have this event, %s@%d, at position %d", p.Root, e.Stream, e.Version, e.Position)
	}
	return nil
}

func (p *Proof) checkExtension() error {
	holds := false
	switch {
	case p.From.Size < 0 || p.From.Size > p.Root.Size:
	case p.From.Size == 0:
		holds = p.From == Empty() && len(p.Hashes) == 0 && (p.Root.Size > 0 || p.Root == p.From)
	default:
		holds = tlog.CheckTree(p.path(), p.Root.Size, tlog.Hash(p.Root.Hash), p.From.Size, tlog.Hash(p.From.Hash)) == nil
	}
	if !holds {
		return refused("the proof does not hold: the log of root %v does not begin with that of %v", p.Root, p.From)
	}
	return nil
}

func (p *Proof) path() []tlog.Hash {
	all := make([]tlog.Hash, len(p.Hashes))
	for i, h := range p.Hashes {
		all[i] = tlog.Hash(h)
	}
	return all
}
