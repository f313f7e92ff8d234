package projection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/effect"
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
	// Effects journals the outside calls that folds in Go make, under the
	// projection's name: a fold of documents with the Message's Context, Apply of
	// tables with its own. The live generation makes them, for events that come
	// after the view; what else is folded answers them from the journal. Run then
	// also carries out repairs and sends the corrections that were approved.
	//
	// A fold that returns effect.ErrSuppressed has handled its event and changed
	// nothing, whatever it did before. Within a batch of tables, calls are made
	// while the database's transaction is open.
	Effects *effect.Gateway
	// Part reads what BuildPart was given: it says which events a generation folds
	// that is made of a part of the log. Without it this Set leaves such generations
	// alone.
	Part func(part json.RawMessage) (selected func(*annals.Event) bool, err error)
}

const defaultPoll = 2 * time.Second

// A Set is the projections of one event store, and where their views are kept.
// It is safe for concurrent use, and any number of processes may have one.
type Set struct {
	store *annals.Store
	views view.Store
	opts  Options

	mu        sync.Mutex
	current   map[string]*Projection            // by name: what Rebuild builds
	revisions map[string]map[string]*Projection // by name and revision: what generations go on by
	running   map[string]*running               // by the consumer's name
	shown     map[string]int                    // the live generation that MySQL's views show, by projection
	orphans   map[string]bool                   // live generations that nobody here can run, which was said
	again     chan struct{}                     // asks Run to look which generations there are
	workers   sync.WaitGroup                    // all that was started, dropped from running or not
	once      bool                              // work ends when nothing is left to do
	erasing   chan struct{}                     // holds the turn of one erasure
}

// running is a generation that this process keeps up to date.
type running struct {
	projection *Projection // of the generation's own revision
	number     int
	part       json.RawMessage // of the events, nil for all
	runner     *consumer.Runner
	stop       context.CancelFunc
	done       chan struct{}
	err        error     // why it ended, once done is closed
	ended      time.Time // when
}

// over reports whether the work ended by itself, long enough ago to try again.
func (r *running) over(now time.Time) bool {
	const rest = 30 * time.Second
	return r.finished() && now.Sub(r.ended) >= rest
}

// finished reports whether the work ended by itself.
func (r *running) finished() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// Open makes a Set. A projection that is new gets its first generation, which is
// live at once. One that has no generation of its revision is refused, unless opts
// say what to do about it; so are views that reflect more than the store holds
// (annals.ErrDamaged).
//
// Go code may be given in several revisions, the current one last: then the live
// view goes on by its own while that of the current one is built. A program that
// knows the current one only leaves the live view standing meanwhile, unless a
// process of the old program still runs. Files need no such care.
func Open(ctx context.Context, store *annals.Store, views view.Store, projections []*Projection, opts *Options) (*Set, error) {
	s := &Set{
		store: store, views: views, current: map[string]*Projection{}, revisions: map[string]map[string]*Projection{},
		running: map[string]*running{}, shown: map[string]int{}, orphans: map[string]bool{}, again: make(chan struct{}, 1),
		erasing: make(chan struct{}, 1),
	}
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
	if s.opts.Consumer.Sleep == nil {
		s.opts.Consumer.Sleep = consumer.Sleep
	}
	s.opts.Consumer.Known = true
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	if bad := s.take(ctx, projections); len(bad) > 1 {
		return nil, errors.Join(bad...)
	} else if len(bad) == 1 {
		return nil, bad[0]
	}
	return s, nil
}

// take defines projections and sees that each has a view, and returns all that is
// wrong with them.
func (s *Set) take(ctx context.Context, projections []*Projection) (bad []error) {
	for _, p := range projections {
		if other := s.current[p.name]; other != nil && (other.file != "" || p.file != "" || s.revisions[p.name][p.revision] != nil) {
			bad = append(bad, annals.Invalid("name", "%s is that of two projections: %s and %s", p.name, other.where(), p.where()))
		} else if err := s.Define(p); err != nil {
			bad = append(bad, err)
		}
	}
	if len(bad) > 0 {
		return bad
	}
	for _, name := range slices.Sorted(maps.Keys(s.current)) {
		if err := s.admit(ctx, s.current[name]); err != nil {
			bad = append(bad, err)
		}
	}
	return bad
}

// Define adds a projection, or makes another revision of it the current one, for
// Rebuild. It does not touch any view.
func (s *Set) Define(p *Projection) error {
	if err := p.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current[p.name] = p
	if s.revisions[p.name] == nil {
		s.revisions[p.name] = map[string]*Projection{}
	}
	s.revisions[p.name][p.revision] = p
	return nil
}

func (s *Set) admit(ctx context.Context, p *Projection) error {
	g, err := readGenerations(ctx, s.views, p.name)
	if err != nil {
		return err
	}
	switch {
	case !g.any():
		_, err = s.begin(ctx, p)
	case g.keeps(p.revision) || s.opts.Changed:
	case s.opts.Rebuild:
		_, err = s.Rebuild(ctx, p.name)
	default:
		last := g.newest()
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
	ctx, cancel := context.WithCancel(ctx)
	defer s.stopAll()
	defer cancel()
	if s.opts.Effects != nil {
		s.workers.Go(func() { s.watchRepairs(ctx) })
	}
	for {
		if err := s.reconcile(ctx); err != nil && ctx.Err() == nil {
			s.opts.Consumer.Logger.Warn("not all is well with the projections", "error", err)
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

// CatchUp works like Run and returns nil once nothing is left to do: every generation
// has handled what the log held when CatchUp last looked, or is paused, or another
// process works on it. One that can't go on is reported to the logger and in the
// error, and keeps no other from its work. Where the view store has lost all that it
// knew of a projection, that begins again. It is for processes that are woken: when
// it returns nothing goes on. It is called by one goroutine at a time, and not
// beside Run.
func (s *Set) CatchUp(ctx context.Context) error {
	s.once = true
	tending := map[string]*tending{}
	for {
		select {
		case <-s.again:
		default:
		}
		problem := s.reconcile(ctx)
		s.workers.Wait()
		problem = errors.Join(problem, s.ended())
		again := false
		if s.opts.Effects != nil && ctx.Err() == nil {
			more, err := s.repairRound(ctx, tending)
			again, problem = more && err == nil, errors.Join(problem, err)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case len(s.again) > 0:
		case again:
			s.opts.Consumer.Sleep(ctx, s.opts.Poll)
		default:
			return problem
		}
	}
}

// ended forgets the work that has ended, and returns what kept it from its end.
func (s *Set) ended() (problem error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.running)) {
		r := s.running[name]
		if r.err != nil && !errors.Is(r.err, annals.ErrNotFound) { // one that was deleted meanwhile
			problem = errors.Join(problem, fmt.Errorf("projection %s: %w", name, r.err))
		}
	}
	clear(s.running)
	return problem
}

// look asks Run to look at once which generations there are.
func (s *Set) look() {
	select {
	case s.again <- struct{}{}:
	default:
	}
}

// reconcile starts and stops work so that it is what the stored generations ask
// for, and finishes what was interrupted. What goes wrong with one projection is
// reported and keeps no other from its work.
func (s *Set) reconcile(ctx context.Context) error {
	all, problem := s.stored(ctx)
	if s.once && problem == nil {
		all, problem = s.restored(ctx, all)
	}
	wanted := map[string]*running{}
	for name, g := range all {
		for i := range g.List {
			of := &g.List[i]
			if p := s.runnable(name, g, of); p != nil && g.kept(of) && (of.Part == nil || s.opts.Part != nil) {
				wanted[generationName(name, of.Number)] = &running{projection: p, number: of.Number, part: of.Part}
			}
		}
	}
	problem = errors.Join(problem, s.run(ctx, wanted))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		problem = errors.Join(problem, s.finish(ctx, name, all[name]))
	}
	return problem
}

// stored reads the generations of every projection that can be read.
func (s *Set) stored(ctx context.Context) (all map[string]*generations, problem error) {
	all = map[string]*generations{}
	for doc, err := range s.views.Scan(ctx, metaSpace, view.Range{}) {
		if err != nil {
			return all, errors.Join(problem, err)
		}
		g, err := parseGenerations(doc)
		if err != nil {
			problem = errors.Join(problem, err)
			continue
		}
		all[doc.Key] = g
	}
	return all, problem
}

// restored begins the projections of which the view store knows nothing, not even
// that they were deleted: its documents are lost. all are the stored generations, and
// so is what it returns.
func (s *Set) restored(ctx context.Context, all map[string]*generations) (map[string]*generations, error) {
	s.mu.Lock()
	current := maps.Clone(s.current)
	s.mu.Unlock()
	var problem error
	begun := false
	for _, name := range slices.Sorted(maps.Keys(current)) {
		if all[name] == nil {
			s.opts.Consumer.Logger.Warn("a projection has lost its view, and begins again", "projection", name)
			_, err := s.begin(ctx, current[name])
			begun, problem = true, errors.Join(problem, err)
		}
	}
	if !begun {
		return all, nil
	}
	all, err := s.stored(ctx)
	return all, errors.Join(problem, err)
}

// finish does what an interrupted process has left to do.
func (s *Set) finish(ctx context.Context, name string, g *generations) error {
	problem := s.expose(ctx, name, g)
	for i := range g.List {
		if of := &g.List[i]; of.Deleted {
			problem = errors.Join(problem, s.remove(ctx, name, of))
		}
	}
	return problem
}

// runnable is the projection by which a stored generation goes on, or nil if this
// process can't: nobody defines it any more, or it is Go code of another revision.
func (s *Set) runnable(name string, g *generations, of *generation) *Projection {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current[name] == nil || of.Deleted {
		return nil
	}
	if p := s.revisions[name][of.Revision]; p != nil {
		return p
	}
	var err error
	if of.Text != nil {
		var old *Projection
		if old, err = Parse(of.File, of.Text); err == nil && old.revision == of.Revision {
			s.revisions[name][of.Revision] = old
			return old
		}
	}
	if consumer := generationName(name, of.Number); of.Number == g.Live && !s.orphans[consumer] {
		s.orphans[consumer] = true
		s.opts.Consumer.Logger.Warn("this program can't keep a live view up to date, as it does not know that revision of the projection; another process may",
			"projection", name, "generation", of.Number, "revision", of.Revision, "error", err)
	}
	return nil
}

// handler works on one generation of a projection.
func (s *Set) handler(p *Projection, n int) (h consumer.Handler, err error) {
	if p.sql == nil {
		h = p.documents(s.views, generationName(p.name, n))
	} else {
		db, err := s.database(p.name)
		if err != nil {
			return nil, err
		}
		h = &sqlHandler{view: p.sql, tables: &Tables{db.Dialect(), n}}
	}
	if c := s.calling(p, n); c != nil {
		h.(caller).makesCalls(c)
	}
	return h, nil
}

// run starts what is wanted and stops what is not. What stops is waited for by
// stopAll only: whatever it still commits is fenced where that matters.
func (s *Set) run(ctx context.Context, wanted map[string]*running) (problem error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.opts.Consumer.Clock()
	for name, r := range s.running {
		if wanted[name] == nil || r.over(now) {
			r.stop()
			delete(s.running, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if s.running[name] == nil {
			problem = errors.Join(problem, s.start(ctx, name, wanted[name]))
		}
	}
	return problem
}

// start begins the work on a generation; s.mu is held.
func (s *Set) start(ctx context.Context, name string, r *running) error {
	opts := s.opts.Consumer
	handler, err := s.handler(r.projection, r.number)
	if err == nil && r.part != nil {
		err = s.restrict(name, handler, r.part)
	}
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
	s.workers.Go(func() {
		defer close(r.done)
		defer r.stop()
		if s.once {
			r.err = runner.CatchUp(ctx)
		} else {
			r.err = runner.Run(ctx)
		}
		// One that was deleted meanwhile is not there any more.
		if r.ended = s.opts.Consumer.Clock(); r.err != nil && ctx.Err() == nil && !errors.Is(r.err, annals.ErrNotFound) {
			s.opts.Consumer.Logger.Error("a projection can't go on", "projection", name, "error", r.err)
		}
	})
	return nil
}

// stopAll returns when nothing that was started uses the store or the views any
// more, so that they can be closed.
func (s *Set) stopAll() {
	s.mu.Lock()
	for _, r := range s.running {
		r.stop()
	}
	clear(s.running)
	s.mu.Unlock()
	s.workers.Wait()
}

// at is this process's work on a consumer, or nil.
func (s *Set) at(consumer string) *running {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running[consumer]
}

func (s *Set) runnerOf(name string, n int) *running { return s.at(generationName(name, n)) }

func (s *Set) control(name string, n int) *consumer.Control {
	return s.Control(generationName(name, n))
}
