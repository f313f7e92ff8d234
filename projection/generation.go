package projection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// metaSpace holds, for each projection, which generations it has.
const metaSpace = "annals.projections"

// generations are those of one projection, as JSON under its name. Every change
// replaces the very text that was read.
type generations struct {
	Live     int          `json:"live"`               // what reads are answered from
	Previous int          `json:"previous,omitempty"` // what a rollback goes back to
	Last     int          `json:"last"`               // the newest number given out
	List     []generation `json:"list"`

	text []byte
}

// A generation is one build of a projection's view.
type generation struct {
	Number   int       `json:"number"`
	Revision string    `json:"revision"`
	File     string    `json:"file,omitempty"`
	Text     []byte    `json:"text,omitempty"` // of a file, so that it goes on although the file has changed
	Created  time.Time `json:"created"`
	End      int64     `json:"end,omitempty"`     // of the log when it began; of one that was live at once
	Deleted  bool      `json:"deleted,omitempty"` // its documents are being removed
}

// generationName is the space of a generation's documents, and the name of its
// consumer.
func generationName(projection string, n int) string { return projection + "@" + strconv.Itoa(n) }

func (g *generations) find(n int) *generation {
	i := slices.IndexFunc(g.List, func(of generation) bool { return of.Number == n && !of.Deleted })
	if i < 0 {
		return nil
	}
	return &g.List[i]
}

// next is the generation that is built beside the live one, if there is any.
func (g *generations) next() *generation {
	if len(g.List) == 0 {
		return nil
	}
	if last := &g.List[len(g.List)-1]; last.Number > g.Live && last.Number != g.Previous && !last.Deleted {
		return last
	}
	return nil
}

// kept reports whether a generation follows the log.
func (g *generations) kept(of *generation) bool {
	next := g.next()
	return !of.Deleted && (of.Number == g.Live || of.Number == g.Previous || next != nil && of.Number == next.Number)
}

func (g *generations) add(p *Projection, now time.Time) *generation {
	g.Last++
	g.List = append(g.List, generation{Number: g.Last, Revision: p.revision, File: p.file, Text: p.text, Created: now.UTC()})
	return &g.List[len(g.List)-1]
}

func readGenerations(ctx context.Context, views view.Store, name string) (*generations, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	found, err := views.Get(ctx, metaSpace, name)
	doc, ok := found[name]
	if err != nil || !ok {
		return &generations{}, err
	}
	return parseGenerations(doc)
}

func parseGenerations(doc view.Document) (*generations, error) {
	g := &generations{text: doc.Data}
	if err := json.Unmarshal(doc.Data, g); err != nil {
		return nil, &annals.Error{
			Code: annals.CodeDamaged, Message: fmt.Sprintf("document %q of %s does not list generations", doc.Key, metaSpace), Err: err,
			Hint: "something else has written into this view store",
		}
	}
	return g, nil
}

func (g *generations) change(name string) (view.Change, error) {
	key := view.Key{Space: metaSpace, Key: name}
	c := view.Change{Expect: []view.Expectation{{Key: key, Data: g.text}}, Durable: true}
	if len(g.List) == 0 {
		c.Delete = []view.Key{key}
		return c, nil
	}
	text, err := json.Marshal(g)
	c.Put = []view.Put{{Space: metaSpace, Document: view.Document{Key: name, Data: text}}}
	return c, err
}

// edit changes the generations of a projection, again if another process comes in
// between. f returns errUnchanged to leave them as they are.
func (s *Set) edit(ctx context.Context, name string, f func(*generations) error) (*generations, error) {
	const tries = 100
	for try := 1; ; try++ {
		g, err := readGenerations(ctx, s.views, name)
		if err != nil {
			return nil, err
		}
		if err := f(g); errors.Is(err, errUnchanged) {
			return g, nil
		} else if err != nil {
			return nil, err
		}
		c, err := g.change(name)
		if err != nil {
			return nil, err
		}
		err = s.views.Commit(ctx, c)
		switch {
		case err == nil:
			s.look()
			return g, nil
		case !errors.Is(err, annals.ErrConflict) || try == tries || ctx.Err() != nil:
			return nil, err
		}
	}
}

var errUnchanged = errors.New("nothing to change")
