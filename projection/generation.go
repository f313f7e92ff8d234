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
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/view"
)

// metaSpace holds, for each projection, which generations it has.
const metaSpace = "annals.projections"

// generations are those of one projection, as JSON under its name. Every change
// replaces the very text that was read. It outlives its generations, so that no
// number is given out twice: what is left of a generation never passes for a part
// of another.
type generations struct {
	Live     int          `json:"live,omitempty"`     // what reads are answered from
	Previous int          `json:"previous,omitempty"` // what a rollback goes back to
	Building int          `json:"building,omitempty"` // what a switch makes live
	Last     int          `json:"last"`               // the newest number given out
	List     []generation `json:"list,omitempty"`

	text []byte
}

// A generation is one build of a projection's view.
type generation struct {
	Number   int       `json:"number"`
	Revision string    `json:"revision"`
	File     string    `json:"file,omitempty"`
	Text     []byte    `json:"text,omitempty"`   // of a file, so that it goes on although the file has changed
	Tables   []string  `json:"tables,omitempty"` // of SQL, so that anybody can drop them
	Created  time.Time `json:"created"`
	End      int64     `json:"end,omitempty"`     // of the log when it began; of one that was live at once
	Deleted  bool      `json:"deleted,omitempty"` // its documents are being removed
	// Since is the position behind which it makes outside calls while it is live:
	// what the generation that was live before had reached.
	Since  int64      `json:"since,omitempty"`
	Repair *repairing `json:"repair,omitempty"`
	// Part says which events it folds, where that is not all; see Options.Part.
	Part json.RawMessage `json:"part,omitempty"`
}

// generationName is the space of a generation's documents, and the name of its
// consumer.
func generationName(projection string, n int) string { return projection + "@" + strconv.Itoa(n) }

// find returns a generation that is not being removed.
func (g *generations) find(n int) *generation {
	i := slices.IndexFunc(g.List, func(of generation) bool { return of.Number == n && !of.Deleted })
	if i < 0 {
		return nil
	}
	return &g.List[i]
}

// any reports whether there is a generation that is not being removed.
func (g *generations) any() bool {
	return slices.ContainsFunc(g.List, func(of generation) bool { return !of.Deleted })
}

// next is the generation that is built beside the live one, or nil.
func (g *generations) next() *generation { return g.find(g.Building) }

// kept reports whether a generation follows the log.
func (g *generations) kept(of *generation) bool {
	return !of.Deleted && (of.Number == g.Live || of.Number == g.Previous || of.Number == g.Building)
}

// keeps reports whether a generation of this revision follows the log.
func (g *generations) keeps(revision string) bool {
	return slices.ContainsFunc(g.List, func(of generation) bool { return of.Revision == revision && of.Part == nil && g.kept(&of) })
}

// newest is the last generation that is not being removed, or nil.
func (g *generations) newest() *generation {
	for i := len(g.List) - 1; i >= 0; i-- {
		if !g.List[i].Deleted {
			return &g.List[i]
		}
	}
	return nil
}

// add lists a generation of p; number is 0 unless it was reserved.
func (g *generations) add(p *Projection, number int, now time.Time) *generation {
	if number == 0 {
		g.Last++
		number = g.Last
	}
	of := generation{Number: number, Revision: p.revision, File: p.file, Text: p.text, Created: now.UTC()}
	if p.sql != nil {
		of.Tables = p.sql.Tables
	}
	g.List = append(g.List, of)
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

// An edit changes the generations of a projection, and may add to the Change that
// writes them. It returns errUnchanged to leave them as they are.
type edit func(g *generations, c *view.Change) error

var errUnchanged = errors.New("nothing to change")

// edit makes f, again if another process comes in between. Where another
// generation becomes live, SQL views move with it.
func (s *Set) edit(ctx context.Context, name string, f edit) (*generations, error) {
	const tries = 100
	for try := 1; ; try++ {
		g, err := readGenerations(ctx, s.views, name)
		if err != nil {
			return nil, err
		}
		key := view.Key{Space: metaSpace, Key: name}
		c := view.Change{Expect: []view.Expectation{{Key: key, Data: g.text}}, Durable: true}
		live := g.Live
		if err := f(g, &c); errors.Is(err, errUnchanged) {
			return g, nil
		} else if err != nil {
			return nil, err
		}
		if g.Live != live {
			if err := s.moveViews(g, &c); err != nil {
				return nil, err
			}
		}
		text, err := json.Marshal(g)
		if err != nil {
			return nil, err
		}
		c.Put = append(c.Put, view.Put{Space: metaSpace, Document: view.Document{Key: name, Data: text}})
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

// generate begins a generation of p, if fits still finds that it should once
// nobody else can come in between; place gives it its role. added says whether it
// was begun.
func (s *Set) generate(ctx context.Context, p *Projection, fits func(*generations) error, place func(*generations, *generation)) (g *generations, added bool, err error) {
	reserved := 0
	if p.sql != nil {
		if reserved, err = s.makeTables(ctx, p); err != nil {
			return nil, false, err
		}
	}
	g, err = s.edit(ctx, p.name, func(g *generations, c *view.Change) error {
		added = false
		if err := fits(g); err != nil {
			return err
		}
		of := g.add(p, reserved, s.opts.Consumer.Clock())
		place(g, of)
		added = true
		return consumer.Create(c, generationName(p.name, of.Number))
	})
	if p.sql != nil && (err != nil && !errors.Is(err, annals.ErrUnknownOutcome) || err == nil && !added) {
		err = errors.Join(err, s.dropTables(ctx, p.sql.Tables, reserved))
	}
	return g, added && err == nil, err
}
