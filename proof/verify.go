package proof

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/eb901187/annals"
)

// maxFindings bounds a report on a log that nothing is right with.
const maxFindings = 1000

// VerifyOptions changes how Verify works; nil means the defaults.
type VerifyOptions struct {
	// Witness names the block that differs from the root, which it must have.
	Witness *Witness
	// Progress is told how many events have been read.
	Progress func(events int64)
}

// A Report is what Verify found.
type Report struct {
	// Events, Commits and Streams are those that were read.
	Events, Commits, Streams int64
	// Unchained is how many commits an earlier format stored, which carry no hash of
	// the one before them; the last is at position LastUnchained. Only a root, or the
	// commit behind it in its stream, shows that such a commit is as it was.
	Unchained, LastUnchained int64
	// Root is that of the events that were read, as many as the given root has, or all
	// where they are fewer.
	Root Root
	// Findings are what is wrong, in the order of the log, but for what differs from
	// the root alone, which stands at the end.
	Findings []Finding
	// Unlisted is how many more there are.
	Unlisted int64
}

// OK reports whether nothing is wrong.
func (r *Report) OK() bool { return len(r.Findings) == 0 }

// Verify reads the whole log of store once, and compares it with itself and with root,
// a root of it that was kept; the log may have grown since.
//
// It checks that positions and versions have no gaps, that each commit names the hash of
// the one before it in its stream, and that the first root.Size events have root. What
// fits a chain and not the root, such as a stream's last commit that was written anew
// with the right hash, only a Witness can narrow down. It keeps a hash for each stream,
// about 150 bytes.
//
// Damage is in the report; an error means that Verify could not do its work. Errors:
// annals.ErrInvalid for a Witness that was changed or is not of root; one of CodeUsage
// where the store has no hashes; those of reading.
func Verify(ctx context.Context, store *annals.Store, root Root, opts *VerifyOptions) (Report, error) {
	v := newVerifier(root)
	var progress func(int64)
	if opts != nil {
		progress, v.witness = opts.Progress, opts.Witness
	}
	if w := v.witness; w != nil {
		if err := w.check(); err != nil {
			return Report{}, err
		}
		if w.Root != root {
			return Report{}, annals.Invalid("witness", "is of the root %v, not of %v", w.Root, root)
		}
		v.tree.width = w.Block
	}
	end, err := store.End(ctx)
	if err != nil {
		return Report{}, err
	}
	v.end = end
	for c, err := range store.Chain(ctx, 0, end) {
		switch {
		case errors.Is(err, annals.ErrDamaged):
			v.find(Finding{What: Unreadable, Positions: Span{v.next, max(v.next, end)}, Detail: err.Error()})
			v.unread = true
		case err != nil:
			return Report{}, err
		default:
			v.commit(&c)
			if progress != nil && v.report.Commits%256 == 0 {
				progress(v.report.Events)
			}
		}
	}
	return v.finish(), nil
}

// verifier is what Verify knows of the log so far.
type verifier struct {
	root    Root
	witness *Witness
	end     int64 // of the log at the start
	report  Report

	next    int64 // the position that is to come
	streams map[string]head
	holes   map[string][]hole // in the versions of a stream; in positions by an empty name
	unread  bool              // the log could not be read to its end

	tree   blocks
	last   *annals.Event // that was added to the tree
	differ []Finding     // blocks that differ from the witness
	at     annals.Hash   // the tree's root at root.Size
}

func newVerifier(root Root) *verifier {
	v := &verifier{root: root, next: 1, streams: map[string]head{}, holes: map[string][]hole{}, tree: blocks{width: DefaultWitnessBlock}}
	if root.Size == 0 {
		v.at = v.tree.root()
	}
	return v
}

// head is the last commit of a stream.
type head struct {
	hash            annals.Hash
	version, events int64
	position        int64
}

// hole is numbers that were passed over, and the finding that says so.
type hole struct {
	numbers Span
	finding int
}

func (v *verifier) find(f Finding) int {
	if len(v.report.Findings) == maxFindings {
		v.report.Unlisted++
		return -1
	}
	v.report.Findings = append(v.report.Findings, f)
	return len(v.report.Findings) - 1
}

func (v *verifier) commit(c *annals.ChainedCommit) {
	first, last := &c.Events[0], &c.Events[len(c.Events)-1]
	v.report.Commits++
	v.report.Events += int64(len(c.Events))
	if c.Unchained {
		v.report.Unchained++
		v.report.LastUnchained = last.Position
	}
	v.positions(c)
	hash := annals.Hash{}
	for l := range leaves(c) {
		hash = l.commit
		v.leaf(l)
	}
	v.next = max(v.next, last.Position+1)
	h := v.streams[first.Stream]
	if v.versions(h, c) {
		v.chain(h, c)
	}
	if last.Version > h.version {
		name := first.Stream
		if h.version == 0 {
			name = strings.Clone(name) // it is a part of what its event keeps in memory
		}
		v.streams[name] = head{hash: hash, version: last.Version, events: int64(len(c.Events)), position: last.Position}
	}
}

func spans(c *annals.ChainedCommit) (versions, positions Span) {
	first, last := &c.Events[0], &c.Events[len(c.Events)-1]
	return Span{first.Version, last.Version}, Span{first.Position, last.Position}
}

// positions checks that c stands right behind what was read before.
func (v *verifier) positions(c *annals.ChainedCommit) {
	first := &c.Events[0]
	versions, positions := spans(c)
	switch {
	case first.Position > v.next:
		passed := Span{v.next, first.Position - 1}
		v.pass("", passed, Finding{What: Missing, Positions: passed, Detail: fmt.Sprintf("the log goes on with %s@%v at position %d", first.Stream, versions, first.Position)})
	case first.Position < v.next:
		v.late("", positions, Finding{What: OutOfOrder, Stream: first.Stream, Versions: versions, Positions: positions, Detail: fmt.Sprintf("it stands where position %d is to be", v.next)})
	}
	for i := range c.Events {
		e := &c.Events[i]
		if n := int64(i); e.Stream != first.Stream || e.Version != first.Version+n || e.Position != first.Position+n {
			v.find(Finding{What: OutOfOrder, Stream: e.Stream, Versions: Span{e.Version, e.Version}, Positions: Span{e.Position, e.Position},
				Detail: fmt.Sprintf("it is event %d of the commit that begins with %s@%d", i+1, first.Stream, first.Version)})
			return
		}
	}
}

// versions checks that c is what its stream, at h, goes on with.
func (v *verifier) versions(h head, c *annals.ChainedCommit) bool {
	first := &c.Events[0]
	versions, positions := spans(c)
	switch {
	case first.Version == h.version+1:
		return true
	case first.Version > h.version:
		passed := Span{h.version + 1, first.Version - 1}
		v.pass(first.Stream, passed, Finding{What: Missing, Stream: first.Stream, Versions: passed, Detail: fmt.Sprintf("the stream goes on with version %d at position %d", first.Version, first.Position)})
		return false
	}
	v.late(first.Stream, versions, Finding{What: OutOfOrder, Stream: first.Stream, Versions: versions, Positions: positions,
		Detail: fmt.Sprintf("it stands behind version %d of its stream, which is at position %d", h.version, h.position)})
	return false
}

// pass notes that numbers were passed over, which f says.
func (v *verifier) pass(stream string, numbers Span, f Finding) {
	if n := v.find(f); n >= 0 {
		v.holes[stream] = append(v.holes[stream], hole{numbers, n})
	}
}

// late notes that numbers come now, which f says. What was passed over before and comes
// late is not missing.
func (v *verifier) late(stream string, numbers Span, f Finding) {
	holes := v.holes[stream]
	i := slices.IndexFunc(holes, func(h hole) bool { return h.numbers.First <= numbers.First && numbers.Last <= h.numbers.Last })
	if i < 0 {
		v.find(f)
		return
	}
	was := holes[i]
	v.holes[stream] = slices.Delete(holes, i, i+1)
	missing := v.report.Findings[was.finding]
	v.report.Findings[was.finding] = f
	for _, rest := range []Span{{was.numbers.First, numbers.First - 1}, {numbers.Last + 1, was.numbers.Last}} {
		if rest.First > rest.Last {
			continue
		}
		if stream == "" {
			missing.Positions = rest
		} else {
			missing.Versions = rest
		}
		v.pass(stream, rest, missing)
	}
}

// chain checks that c names the commit before it, which is h.
func (v *verifier) chain(h head, c *annals.ChainedCommit) {
	first := &c.Events[0]
	versions, positions := spans(c)
	switch {
	case c.Unchained || c.Previous == h.hash:
	case h.version == 0:
		v.find(Finding{What: Changed, Stream: first.Stream, Versions: versions, Positions: positions, Detail: fmt.Sprintf("it names a commit before it, %v, and is the first of its stream", c.Previous)})
	default:
		v.find(Finding{What: Changed, Stream: first.Stream, Versions: Span{h.version - h.events + 1, h.version}, Positions: Span{h.position - h.events + 1, h.position},
			Detail: fmt.Sprintf("its hash is %v, and %s@%d, the commit behind it, names %v", h.hash, first.Stream, versions.First, c.Previous)})
	}
}

// leaf adds an event to the tree. Where events are missing before it, others take
// their places, so that it stands in the block that it was in; what comes late has no
// place any more.
func (v *verifier) leaf(l leaf) {
	if l.event.Position <= v.tree.size() {
		return
	}
	for v.tree.size() < min(l.event.Position-1, v.root.Size) {
		v.add(tlog.Hash{})
	}
	v.last = l.event
	v.add(l.hash)
}

func (v *verifier) add(h tlog.Hash) {
	full := v.tree.add(h)
	size := v.tree.size()
	if size == v.root.Size {
		v.at = v.tree.root()
	}
	if v.witness == nil || size > v.root.Size || !full && size < v.root.Size {
		return
	}
	got := v.tree.last
	if !full {
		got = v.tree.open.root()
	}
	n := (size - 1) / v.tree.width
	if got == v.witness.Hashes[n] {
		return
	}
	f := Finding{What: Changed, Positions: Span{n*v.tree.width + 1, size}, Detail: rewritten}
	if last := len(v.differ) - 1; last >= 0 && v.differ[last].Positions.Last == n*v.tree.width {
		f.Positions.First = v.differ[last].Positions.First
		v.differ[last] = f
		return
	}
	if e := v.last; e != nil && f.Positions == (Span{e.Position, e.Position}) {
		f.Stream, f.Versions = e.Stream, Span{e.Version, e.Version}
	}
	v.differ = append(v.differ, f)
}

// finish compares the whole with the root.
func (v *verifier) finish() Report {
	r := &v.report
	r.Streams = int64(len(v.streams))
	if !v.unread && v.next <= v.end {
		v.find(Finding{What: Missing, Positions: Span{v.next, v.end}, Detail: fmt.Sprintf("the log says that it ends at position %d", v.end)})
	}
	r.Root = Root{v.tree.size(), v.tree.root()}
	if v.tree.size() >= v.root.Size {
		r.Root = Root{v.root.Size, v.at}
	} else if !v.unread {
		v.find(Finding{What: Missing, Positions: Span{v.tree.size() + 1, v.root.Size}, Detail: fmt.Sprintf("the root is of %d events, and the log ends here", v.root.Size)})
	}
	v.compare()
	return *r
}

const rewritten = "this is not what the root was made of, and the hashes of the commits tell no more of it"

// compare finds what differs from the root.
func (v *verifier) compare() {
	for _, f := range v.differ {
		v.find(f)
	}
	if len(v.differ) == 0 && v.report.Root.Size == v.root.Size && v.report.Root != v.root {
		v.find(Finding{What: Changed, Positions: Span{1, v.root.Size}, Detail: "this is not what the root was made of: its root is " + v.report.Root.String() + "; a witness would name the part"})
	}
}
