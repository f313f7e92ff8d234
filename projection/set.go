package projection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/view"
)

// Options changes how a Set works; nil means the defaults.
type Options struct {
	// Rebuild begins a new generation, beside the live one, of every projection
	// that has changed. Without it Open refuses them.
	Rebuild bool
	// Changed accepts projections that have changed and goes on with the
	// generations that there are, for those who will rebuild them one by one.
	Changed bool
	// Poll is how often the Set looks whether another process has added,
	// switched or deleted a generation; 2 s by default.
	Poll time.Duration
	// Consumer is how each generation reads the log.
	Consumer consumer.Options
}

const defaultPoll = 2 * time.Second

// A Set is the projections of one event store, and where their views are kept.
// It is safe for concurrent use, and any number of processes may have one.
type Set struct {
	store *annals.Store
	views view.Store
	opts  Options

	mu          sync.Mutex
	projections map[string]*Projection
	running     map[string]*running // by the consumer's name
	shown       map[string]int      // the live generation that SQL views show, by projection
	again       chan struct{}       // asks Run to look which generations there are
}

// running is a generation that this process keeps up to date.
type running struct {
	projection *Projection // of the generation's own revision
	number     int
	runner     *consumer.Runner
	stop       context.CancelFunc
	done       chan struct{}
	err        error     // why it ended, once done is closed
	ended      time.Time // when
}

// over reports whether the work ended by itself, long enough ago to try again.
func (r *running) over(now time.Time) bool {
	const rest = 30 * time.Second
	select {
	case <-r.done:
		return now.Sub(r.ended) >= rest
	default:
		return false
	}
}

// Open makes a Set. A projection that is new gets its first generation, which is
// live at once. One whose revision is not that of its newest generation is
// refused, unless opts say what to do about it.
func Open(ctx context.Context, store *annals.Store, views view.Store, projections []*Projection, opts *Options) (*Set, error) {
	s := &Set{store: store, views: views, projections: map[string]*Projection{}, running: map[string]*running{}, shown: map[string]int{}, again: make(chan struct{}, 1)}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.Poll <= 0 {
		s.opts.Poll = defaultPoll
	}
	if s.opts.Consumer.Clock == nil {
		s.opts.Consumer.Clock = time.Now
	}
	if s.opts.Consumer.Logger == nil {
		s.opts.Consumer.Logger = slog.Default()
	}
	var bad []error
	for _, p := range projections {
		if err := s.admit(ctx, p); err != nil {
			bad = append(bad, err)
		}
	}
	if len(bad) == 1 {
		return nil, bad[0]
	}
	if err := errors.Join(bad...); err != nil {
		return nil, err
	}
	return s, nil
}

// Define adds a projection, or puts another revision of it in the place of the
// one that the Set knows, for Rebuild. It does not touch any view.
func (s *Set) Define(p *Projection) error {
	if err := p.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.projections[p.name] = p
	return nil
}

func (s *Set) admit(ctx context.Context, p *Projection) error {
	s.mu.Lock()
	other := s.projections[p.name]
	s.mu.Unlock()
	if other != nil {
		return annals.Invalid("name", "%s is that of two projections: %s and %s", p.name, other.where(), p.where())
	}
	if err := s.Define(p); err != nil {
		return err
	}
	g, err := readGenerations(ctx, s.views, p.name)
	if err != nil {
		return err
	}
	switch {
	case len(g.List) == 0:
		_, err = s.begin(ctx, p)
	case g.List[len(g.List)-1].Revision == p.revision || s.opts.Changed:
		err = s.expose(ctx, p.name, g.Live)
	case s.opts.Rebuild:
		_, err = s.Rebuild(ctx, p.name)
	default:
		last := g.List[len(g.List)-1]
		err = &annals.Error{
			Code: annals.CodeInvalid, Message: fmt.Sprintf("%s: projection %s has changed since its generation %d was built (revision %s, now %s)", p.where(), p.name, last.Number, last.Revision, p.revision),
			Hint: "build it anew beside the live view: annals projection rebuild " + p.name + ", or annals serve --rebuild",
		}
	}
	return err
}

// where is the place of the definition, for messages.
func (p *Projection) where() string {
	if p.file == "" {
		return "in the program"
	}
	return p.file + ":1"
}

// Run keeps the views up to date until ctx ends. A generation that can't go on
// is reported in its Info and to the logger; the others do.
func (s *Set) Run(ctx context.Context) error {
	defer s.stopAll()
	for {
		if err := s.reconcile(ctx); err != nil && ctx.Err() == nil {
			s.opts.Consumer.Logger.Warn("can't tell which generations there are", "error", err)
		}
		timer := time.NewTimer(s.opts.Poll)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-s.again:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// look asks Run to look at once which generations there are.
func (s *Set) look() {
	select {
	case s.again <- struct{}{}:
	default:
	}
}

// reconcile starts and stops work so that it is what the stored generations ask
// for, and finishes deletions.
func (s *Set) reconcile(ctx context.Context) error {
	wanted := map[string]*running{}
	for doc, err := range s.views.Scan(ctx, metaSpace, view.Range{}) {
		if err != nil {
			return err
		}
		g, err := parseGenerations(doc)
		if err != nil {
			return err
		}
		if err := s.expose(ctx, doc.Key, g.Live); err != nil {
			return err
		}
		for i := range g.List {
			of := &g.List[i]
			if of.Deleted {
				if err := s.remove(ctx, doc.Key, of.Number); err != nil {
					return err
				}
				continue
			}
			if p := s.runnable(doc.Key, of); p != nil && g.kept(of) {
				wanted[generationName(doc.Key, of.Number)] = &running{projection: p, number: of.Number}
			}
		}
	}
	s.mu.Lock()
	var surplus []*running
	for name, r := range s.running {
		if wanted[name] == nil || r.over(s.opts.Consumer.Clock()) {
			surplus = append(surplus, r)
			delete(s.running, name)
		}
	}
	var err error
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if s.running[name] == nil {
			err = errors.Join(err, s.start(ctx, name, wanted[name]))
		}
	}
	s.mu.Unlock()
	for _, r := range surplus {
		r.stop()
		<-r.done
	}
	return err
}

// runnable is the projection by which a stored generation goes on, or nil if this
// process can't: nobody defines it any more, or it is Go code of another revision.
func (s *Set) runnable(name string, of *generation) *Projection {
	s.mu.Lock()
	p := s.projections[name]
	s.mu.Unlock()
	if p == nil || p.revision == of.Revision {
		return p
	}
	if of.Text == nil {
		return nil
	}
	old, err := Parse(of.File, of.Text)
	if err != nil || old.revision != of.Revision {
		s.opts.Consumer.Logger.Error("a stored definition can't be used any more", "projection", name, "generation", of.Number, "error", err)
		return nil
	}
	return old
}

// handler works on one generation of a projection.
func (s *Set) handler(p *Projection, n int) (consumer.Handler, error) {
	if p.sql == nil {
		return p.documents(s.views, generationName(p.name, n)), nil
	}
	db, err := s.database(p)
	if err != nil {
		return nil, err
	}
	return &sqlHandler{view: p.sql, tables: &Tables{db.Dialect(), n}}, nil
}

// start begins the work on a generation; s.mu is held.
func (s *Set) start(ctx context.Context, name string, r *running) error {
	opts := s.opts.Consumer
	handler, err := s.handler(r.projection, r.number)
	if err != nil {
		return err
	}
	runner, err := consumer.New(s.store, s.views, name, r.projection.query, handler, &opts)
	if err != nil {
		return err
	}
	ctx, r.stop = context.WithCancel(ctx)
	r.runner, r.done = runner, make(chan struct{})
	s.running[name] = r
	go func() {
		defer close(r.done)
		defer r.stop()
		r.err = runner.Run(ctx)
		if r.ended = s.opts.Consumer.Clock(); ctx.Err() == nil {
			s.opts.Consumer.Logger.Error("a projection can't go on", "projection", name, "error", r.err)
		}
	}()
	return nil
}

func (s *Set) stopAll() {
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.running))
	clear(s.running)
	s.mu.Unlock()
	for _, r := range all {
		r.stop()
	}
	for _, r := range all {
		<-r.done
	}
}

// runnerOf is this process's work on a generation, or nil.
func (s *Set) runnerOf(name string, n int) *running {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running[generationName(name, n)]
}

func (s *Set) control(name string, n int) *consumer.Control {
	return consumer.NewControl(s.store, s.views, generationName(name, n), &s.opts.Consumer)
}
