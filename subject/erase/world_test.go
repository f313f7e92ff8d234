package erase_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/aggregate"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/subject"
	"github.com/eb901187/annals/subject/erase"
	"github.com/eb901187/annals/subject/keys"
	"github.com/eb901187/annals/view"
)

// The texts that are planted in the data of two subjects. Neither shares a part with the
// other that compression could name instead.
const (
	secretOfP1 = "5yQpZ8rLwK2v"
	secretOfP2 = "hT9cXm4JbNe7"
)

// quickly waits for no other process.
func quickly(ctx context.Context, _ time.Duration) error { return ctx.Err() }

// A place is where a world is.
type place struct {
	dir       string // of all files
	keys      keys.Address
	keysOpts  keys.Options
	openStore func(t *testing.T, k *subject.Keyring) *annals.Store
	openViews func(t *testing.T) view.Store
	stateless bool // without the view of every stream's state
	changed   bool // definitions are others than those that the views were built by
}

// inDirectory is a place in files, with views as openViews opens them.
func inDirectory(t *testing.T, openViews func(t *testing.T, dir string) view.Store) *place {
	t.Helper()
	p := &place{dir: t.TempDir(), keysOpts: keys.Options{Keyring: &subject.Options{Wait: quickly}}}
	p.keys = keys.Address{Dir: filepath.Join(p.dir, "keys")}
	if err := keys.Create(t.Context(), p.keys, nil); err != nil {
		t.Fatal(err)
	}
	p.openStore = func(t *testing.T, k *subject.Keyring) *annals.Store {
		s, err := embedded.Open(filepath.Join(p.dir, "store"), &embedded.Options{Logger: quiet, Store: &annals.Options{Sealer: k}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	p.openViews = func(t *testing.T) view.Store { return openViews(t, filepath.Join(p.dir, "views")) }
	return p
}

var quiet = slog.New(slog.DiscardHandler)

// A world is a program at work.
type world struct {
	*place
	keyring *subject.Keyring
	store   *annals.Store
	views   view.Store
	set     *projection.Set
	end     func()
}

var files = map[string]string{
	// Their keys are personal data too.
	"people": "query: {types: [person-named]}\nkey: .data.name\nfold:\n  person-named: '{name: $event.data.name}'\n",
	"counts": "query: {types: [person-named, deposited]}\nfold:\n  \"*\": '{n: ((.n // 0) + 1), last: $event.data.name, erased: $event.erased}'\n",
	"others": "query: {types: [weather-seen]}\nfold:\n  weather-seen: '{n: ((.n // 0) + 1)}'\n",
	"picky":  "query: {types: [person-named]}\nfold:\n  person-named: 'if $event.data.name then error($event.data.name) else empty end'\n",
}

// open opens what is in p, and keeps its views up to date until end is called.
func (p *place) open(t *testing.T) *world {
	t.Helper()
	w := &world{place: p}
	var err error
	if w.keyring, err = keys.Open(t.Context(), p.keys, &p.keysOpts); err != nil {
		t.Fatal(err)
	}
	w.store, w.views = p.openStore(t, w.keyring), p.openViews(t)
	var definitions []*projection.Projection
	if !p.stateless {
		definitions = append(definitions, projection.State())
	}
	for name, text := range files {
		d, err := projection.Parse(name+".yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		definitions = append(definitions, d)
	}
	opts := projection.Options{Changed: p.changed, Poll: 5 * time.Millisecond, Consumer: consumer.Options{Attempts: 1, Poll: 5 * time.Millisecond, Logger: quiet}}
	if w.set, err = projection.Open(t.Context(), w.store, w.views, definitions, &opts); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = w.set.Run(ctx) }) // it ends by stop alone
	var once sync.Once
	w.end = func() {
		once.Do(func() {
			stop()
			running.Wait()
			for _, close := range []func() error{w.views.Close, w.store.Close, w.keyring.Close} {
				if err := close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	t.Cleanup(w.end)
	return w
}

func about(name, id, typ, text string) annals.Event {
	data, err := json.Marshal(map[string]string{"name": text})
	if err != nil {
		panic(err)
	}
	return annals.Event{ID: id, Type: typ, Data: data, Attributes: map[string]string{annals.SubjectAttribute: name}}
}

func (w *world) append(t *testing.T, stream string, e annals.Event) annals.Commit {
	t.Helper()
	c, err := w.store.Append(t.Context(), stream, annals.Any, e)
	if err == nil {
		c, err = w.store.Wait(t.Context(), c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type deposited struct {
	Name string `json:"name"`
}

type account struct {
	Names []string `json:"names"`
}

func accounts(t *testing.T, store *annals.Store) *aggregate.Repository[account, deposited] {
	t.Helper()
	typ, err := aggregate.New("account", aggregate.Schema[deposited]{Events: []aggregate.Variant[deposited]{aggregate.Event[deposited, deposited]("deposited", 1)}},
		func(a account, e deposited) account {
			return account{append(a.Names[:len(a.Names):len(a.Names)], e.Name)}
		},
		&aggregate.Options[account]{SnapshotVersion: 1, Snapshot: aggregate.Every(1)})
	if err != nil {
		t.Fatal(err)
	}
	return aggregate.NewRepository(store, typ, &aggregate.RepositoryOptions{SnapshotFailed: func(_ context.Context, stream string, err error) {
		t.Errorf("the snapshot of %s: %v", stream, err)
	}})
}

// live appends events of two subjects and of none, and leaves copies of their data in
// each place where Annals itself keeps some.
func (w *world) live(t *testing.T) {
	t.Helper()
	w.append(t, "weather", annals.Event{ID: "w", Type: "weather-seen", Data: []byte(`{"sun":true}`)})
	gateway, err := effect.New(w.store, &effect.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"p1": secretOfP1, "p2": secretOfP2} {
		c := w.append(t, "person-"+name, about(name, "named", "person-named", text))
		attributes := &aggregate.CommandOptions{Attributes: map[string]string{annals.SubjectAttribute: name}}
		_, err := accounts(t, w.store).Execute(t.Context(), name, func(account) ([]deposited, error) { return []deposited{{text}}, nil }, attributes)
		if err != nil {
			t.Fatal(err)
		}
		e := about(name, "named", "person-named", text)
		e.Stream, e.Version, e.Position = c.Stream, c.Version, c.Position
		err = gateway.Handle(t.Context(), effect.Handling{Handler: "mail", Event: &e}, func(ctx context.Context) error {
			_, err := effect.Do(ctx, "greet", "to "+text, func(context.Context, string) (string, error) { return "sent to " + text, nil })
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		w.park(t, c.Position, text)
	}
	w.settle(t)
}

// park waits until the event at position is parked, with text in its error, and edits it.
func (w *world) park(t *testing.T, position int64, text string) {
	t.Helper()
	w.settle(t)
	control := w.set.Control("picky@1")
	p, err := control.ParkedAt(t.Context(), position)
	if err != nil || !strings.Contains(p.Error, text) {
		t.Fatalf("parked as %+v, %v", p, err)
	}
	if err := control.Edit(t.Context(), position, []byte(`{"name":"edited `+text+`"}`), "about "+text); err != nil {
		t.Fatal(err)
	}
}

// settle waits until the views have handled what the log holds.
func (w *world) settle(t *testing.T) {
	t.Helper()
	end, err := w.store.End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name := range files {
		if err := w.set.WaitFor(t.Context(), name, end); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) erase(t *testing.T, name string, at func(erase.Step) error) (subject.Receipt, error) {
	t.Helper()
	do, err := erase.New(erase.Options{Store: w.store, Keys: w.keyring, Views: w.set, At: at, Pause: func(ctx context.Context) { w.settle(t) }})
	if err != nil {
		t.Fatal(err)
	}
	return do(t.Context(), subject.Request{Subject: name, Reason: "request 12"})
}

// found lists the files below dir whose names or bytes hold text.
func found(t *testing.T, dir, text string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(text)) || strings.Contains(path, text) {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// wantNowhere wants text in no file of the place, which nobody has open.
func (p *place) wantNowhere(t *testing.T, text string) {
	t.Helper()
	if left := found(t, p.dir, text); len(left) > 0 {
		t.Errorf("the secret is in %v", left)
	}
}
