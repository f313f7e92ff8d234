package projection

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
)

// An Info is what there is of one projection.
type Info struct {
	Name        string       `json:"name"`
	File        string       `json:"file,omitempty"`     // where it is defined; empty for Go code
	Revision    string       `json:"revision,omitempty"` // of the definition; empty if this process has none
	Live        int          `json:"live"`               // the generation that answers reads
	Previous    int          `json:"previous,omitempty"` // the one that Rollback goes back to
	Generations []Generation `json:"generations"`
}

// A Generation is one build of a view and where its consumer stands.
type Generation struct {
	Number   int             `json:"number"`
	Role     Role            `json:"role"`
	Revision string          `json:"revision"`
	Created  time.Time       `json:"created"`
	Status   consumer.Status `json:"status"`
	// Repair says that outside calls are compared with what the journal has.
	Repair *Repair `json:"repair,omitempty"`
	// Part says which events it folds, where that is not all; see Set.BuildPart.
	Part json.RawMessage `json:"part,omitempty"`
}

// A Repair is the part of the log that a generation repairs; see Set.Repair.
type Repair struct {
	ID   string `json:"id"` // of the request; empty where approved calls are made
	From int64  `json:"from,string"`
	To   int64  `json:"to,string"`
}

// A Role is what a generation is for.
type Role string

// The roles. Only a Stale generation and one that is being Deleted don't follow
// the log.
const (
	Live     Role = "live"     // answers reads
	Previous Role = "previous" // was live, and is kept up to date for Rollback
	Building Role = "building" // is built beside the live one, for Switch
	Stale    Role = "stale"    // is left over
	Deleted  Role = "deleted"  // is being removed
)

// Building is the generation beside the live one, or nil.
func (i *Info) Building() *Generation {
	for n := range i.Generations {
		if i.Generations[n].Role == Building {
			return &i.Generations[n]
		}
	}
	return nil
}

// Generation is the one with this number, or nil.
func (i *Info) Generation(number int) *Generation {
	for n := range i.Generations {
		if i.Generations[n].Number == number {
			return &i.Generations[n]
		}
	}
	return nil
}

// Counterpart is the generation that the live one is compared with where nobody says
// which: the one that is built, else the previous one.
// Errors: annals.ErrNotFound where there is neither.
func (i *Info) Counterpart() (int, error) {
	if b := i.Building(); b != nil {
		return b.Number, nil
	}
	if i.Previous > 0 {
		return i.Previous, nil
	}
	return 0, &annals.Error{
		Code: annals.CodeNotFound, Message: "projection " + i.Name + " has no second generation to compare with",
		Hint: "annals projection rebuild " + i.Name + " builds one",
	}
}

// A Definition is what a generation was made by.
type Definition struct {
	Revision string
	File     string   // where the text was; empty for Go code
	Text     []byte   // of the file as it was then; nil for Go code
	Tables   []string // of a projection into tables, without the marks of the generation
}

// Definition is that of a generation, which the current one may differ from.
func (s *Set) Definition(ctx context.Context, name string, number int) (Definition, error) {
	g, err := readGenerations(ctx, s.views, name)
	if err != nil {
		return Definition{}, err
	}
	of := g.find(number)
	if of == nil {
		return Definition{}, noGeneration(name, number)
	}
	return Definition{of.Revision, of.File, of.Text, of.Tables}, nil
}

func noGeneration(name string, number int) error {
	return &annals.Error{Code: annals.CodeNotFound, Message: fmt.Sprintf("projection %s has no generation %d", name, number), Hint: "annals projection show " + name}
}

// List describes every projection that is defined here or has a view, by name.
func (s *Set) List(ctx context.Context) ([]Info, error) {
	names := map[string]bool{}
	s.mu.Lock()
	for name := range s.current {
		names[name] = true
	}
	s.mu.Unlock()
	stored, err := s.stored(ctx)
	if err != nil {
		return nil, err
	}
	for name, g := range stored {
		names[name] = names[name] || len(g.List) > 0
	}
	var all []Info
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !names[name] {
			continue // all of it was deleted
		}
		g := stored[name]
		if g == nil {
			g = &generations{}
		}
		info, err := s.info(ctx, name, g)
		if err != nil {
			return nil, err
		}
		all = append(all, info)
	}
	return all, nil
}

// Show describes one projection.
func (s *Set) Show(ctx context.Context, name string) (Info, error) {
	g, err := readGenerations(ctx, s.views, name)
	if err != nil {
		return Info{}, err
	}
	return s.info(ctx, name, g)
}

func (s *Set) info(ctx context.Context, name string, g *generations) (Info, error) {
	s.mu.Lock()
	p := s.current[name]
	s.mu.Unlock()
	if p == nil && len(g.List) == 0 {
		return Info{}, notFound(name)
	}
	info := Info{Name: name, Live: g.Live, Previous: g.Previous, Generations: []Generation{}}
	if p != nil {
		info.File, info.Revision = p.file, p.revision
	}
	for i := range g.List {
		of := &g.List[i]
		status, err := s.status(ctx, name, of.Number)
		if err != nil {
			return info, err
		}
		described := Generation{Number: of.Number, Role: g.role(of), Revision: of.Revision, Created: of.Created, Status: status, Part: of.Part}
		if r := of.Repair; r != nil {
			described.Repair = &Repair{r.ID, r.From, r.To}
		}
		info.Generations = append(info.Generations, described)
	}
	return info, nil
}

func (g *generations) role(of *generation) Role {
	switch {
	case of.Deleted:
		return Deleted
	case of.Number == g.Live:
		return Live
	case of.Number == g.Previous:
		return Previous
	case g.kept(of):
		return Building
	}
	return Stale
}

// status is where a generation stands, as this process sees it if it works on it.
func (s *Set) status(ctx context.Context, name string, n int) (consumer.Status, error) {
	return s.Status(ctx, generationName(name, n))
}
