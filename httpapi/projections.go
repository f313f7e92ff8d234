package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/projection"
)

// Projections is the answer to what projections there are.
type Projections struct {
	Projections []projection.Info `json:"projections"`
}

// A Side is a generation that was compared, and how far it had come.
type Side struct {
	Generation int   `json:"generation"`
	Position   int64 `json:"position,string"`
}

// A Difference is a document that the two sides don't agree about: null where
// there is none.
type Difference struct {
	Key string          `json:"key"`
	A   json.RawMessage `json:"a"`
	B   json.RawMessage `json:"b"`
}

// Diff is two generations set against one another.
type Diff struct {
	A           Side         `json:"a"`
	B           Side         `json:"b"`
	Same        int          `json:"same"`
	Different   int          `json:"different"`
	Newer       int          `json:"newer"`       // left out: one side has folded events into them that the other has not reached
	Differences []Difference `json:"differences"` // the first of them
}

func (s *server) listProjections(set *projection.Set, w http.ResponseWriter, r *request) error {
	all, err := set.List(r.Context())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, mediaJSON, Projections{append([]projection.Info{}, all...)})
	return nil
}

func (s *server) showProjection(set *projection.Set, w http.ResponseWriter, r *request) error {
	return writeInfo(set, w, r, nil)
}

// writeInfo answers with the projection as it is, unless what was done to it
// failed.
func writeInfo(set *projection.Set, w http.ResponseWriter, r *request, err error) error {
	if err != nil {
		return err
	}
	info, err := set.Show(r.Context(), r.vars[0])
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, mediaJSON, info)
	return nil
}

// Redefine makes the definition current that reload, which may be nil, finds for the
// projection called name, if it finds one; see Options.Reload.
func Redefine(set *projection.Set, reload func(name string) (*projection.Projection, error), name string) error {
	if reload == nil {
		return nil
	}
	p, err := reload(name)
	if err != nil || p == nil {
		return err
	}
	return set.Define(p)
}

// rebuild begins a generation by the definition as its file has it now.
func (s *server) rebuild(set *projection.Set, w http.ResponseWriter, r *request) error {
	a := args{r: r}
	repair := effect.RepairOptions{From: a.number("repairFrom"), To: a.number("repairTo"), Reason: a.text("reason")}
	if err := a.err(); err != nil {
		return err
	}
	err := Redefine(set, s.opts.Reload, r.vars[0])
	if err != nil {
		return err
	}
	if a.text("repairFrom") == "" {
		_, err = set.Rebuild(r.Context(), r.vars[0])
	} else {
		_, err = set.Repair(r.Context(), r.vars[0], repair)
	}
	return writeInfo(set, w, r, err)
}

func (s *server) pauseProjection(set *projection.Set, w http.ResponseWriter, r *request) error {
	return writeInfo(set, w, r, set.Pause(r.Context(), r.vars[0]))
}

func (s *server) resumeProjection(set *projection.Set, w http.ResponseWriter, r *request) error {
	return writeInfo(set, w, r, set.Resume(r.Context(), r.vars[0]))
}

func (s *server) switchOver(set *projection.Set, w http.ResponseWriter, r *request) error {
	a := args{r: r}
	generation, force := a.small("generation", math.MaxInt32), a.flag("force")
	return planned(&a, w, r, func(ctx context.Context) (projection.Plan, error) {
		return set.PlanSwitch(ctx, r.vars[0], generation, force)
	}, func(ctx context.Context) error {
		_, err := set.Switch(ctx, r.vars[0], generation, force)
		return writeInfo(set, w, r, err)
	})
}

func (s *server) rollBack(set *projection.Set, w http.ResponseWriter, r *request) error {
	a := args{r: r}
	force := a.flag("force")
	return planned(&a, w, r, func(ctx context.Context) (projection.Plan, error) {
		return set.PlanRollback(ctx, r.vars[0], force)
	}, func(ctx context.Context) error {
		_, err := set.Rollback(ctx, r.vars[0], force)
		return writeInfo(set, w, r, err)
	})
}

func (s *server) deleteGeneration(set *projection.Set, w http.ResponseWriter, r *request) error {
	a := args{r: r}
	generation := int(a.parse("generation", r.vars[1], math.MaxInt32))
	return planned(&a, w, r, func(ctx context.Context) (projection.Plan, error) {
		return set.PlanDelete(ctx, r.vars[0], generation)
	}, func(ctx context.Context) error {
		return writeInfo(set, w, r, set.Delete(ctx, r.vars[0], generation))
	})
}

func (s *server) deleteProjection(set *projection.Set, w http.ResponseWriter, r *request) error {
	name := r.vars[0]
	return planned(&args{r: r}, w, r, func(ctx context.Context) (projection.Plan, error) {
		return set.PlanDeleteAll(ctx, name)
	}, func(ctx context.Context) error {
		err := set.DeleteAll(ctx, name)
		if err != nil {
			return err
		}
		if err = writeInfo(set, w, r, nil); errors.Is(err, annals.ErrNotFound) {
			writeJSON(w, http.StatusOK, mediaJSON, projection.Info{Name: name, Generations: []projection.Generation{}})
			return nil
		}
		return err
	})
}

// planned answers with the plan of an operation if dryRun is asked for, and does
// it otherwise.
func planned(a *args, w http.ResponseWriter, r *request, plan func(context.Context) (projection.Plan, error), do func(context.Context) error) error {
	dry := a.flag("dryRun")
	if err := a.err(); err != nil {
		return err
	}
	if !dry {
		return do(r.Context())
	}
	p, err := plan(r.Context())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, mediaJSON, p)
	return nil
}

func (s *server) diff(set *projection.Set, w http.ResponseWriter, r *request) error {
	a := args{r: r}
	x, y, limit := a.small("a", math.MaxInt32), a.small("b", math.MaxInt32), a.limit()
	if err := a.err(); err != nil {
		return err
	}
	info, err := set.Show(r.Context(), r.vars[0])
	if err != nil {
		return err
	}
	if x == 0 {
		x = info.Live
	}
	if y == 0 {
		if y, err = info.Counterpart(); err != nil {
			return err
		}
	}
	differences, compared, err := set.Diff(r.Context(), r.vars[0], x, y)
	if err != nil {
		return err
	}
	out := Diff{Differences: []Difference{}}
	size := 0
	for d, err := range differences {
		if err != nil {
			return err
		}
		if size += len(d.A) + len(d.B); len(out.Differences) < limit && size <= pageBytes {
			out.Differences = append(out.Differences, Difference{d.Key, d.A, d.B})
		}
	}
	out.A, out.B = Side(compared.A), Side(compared.B)
	out.Same, out.Different, out.Newer = compared.Same, compared.Different, compared.Newer
	writeJSON(w, http.StatusOK, mediaJSON, out)
	return nil
}
