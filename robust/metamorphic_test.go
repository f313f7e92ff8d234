package robust

import (
	"errors"
	"flag"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/dynamo"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/subject"
	"github.com/eb901187/annals/subject/subjecttest"
)

var (
	rounds    = flag.Int("runs", 4, "how many rounds of operations TestMetamorphic does")
	roundSeed = flag.Uint64("round", 0, "the seed of TestMetamorphic's first round, the next one has the next seed; 0 takes the clock")
)

const operations = 150 // of a round

// A world is a place where the same operations must give the same answers.
type world struct {
	name  string
	store *annals.Store
	at    *moment
	// late says that the log is numbered after the append, so that a position may be
	// 0 where the log is not asked, and that there is no list of streams.
	late bool
	// number gives positions to all that is appended, up to a position; nil where
	// appends do.
	number func(t *testing.T, end int64)
	// keys are those of data subjects, the same ones for all worlds; nil without.
	keys *subject.Keyring
}

// moment is the clock and the ids of a world: they follow from the operation.
type moment struct {
	operation, ids int
	sealer         annals.Sealer
}

func (m *moment) next() { m.operation, m.ids = m.operation+1, 0 }

func (m *moment) options() *annals.Options {
	return &annals.Options{
		Clock: func() time.Time {
			return time.Date(2026, 3, 1, 0, 0, m.operation, 123456789, time.FixedZone("", 3600))
		},
		NewID:  func() string { m.ids++; return fmt.Sprintf("own-%d-%d", m.operation, m.ids) },
		Source: "metamorphic", Sealer: m.sealer,
	}
}

// The same operations, drawn at random, are done on an embedded store, on one in
// DynamoDB, and through a client of a server of each. All must answer the same: the
// events and commits to the byte, and errors with their codes and facts. In every other
// round the stores have keys of data subjects, of whom some are erased.
func TestMetamorphic(t *testing.T) {
	seed := *roundSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test ./robust -run 'TestMetamorphic$' -runs %d -round %d", *rounds, seed)
	endpoint, s3 := awstest.DynamoDB(t), awstest.S3(t, "metamorphic")
	done := map[string]int{}
	for i := range uint64(*rounds) {
		t.Run(fmt.Sprint("seed ", seed+i), func(t *testing.T) {
			address := dynamo.Address{Region: "us-east-1", Endpoint: endpoint, S3Endpoint: s3, Bucket: "metamorphic"}
			direct, served := address, address
			direct.Name, served.Name = fmt.Sprint("direct", i), fmt.Sprint("served", i)
			var keys *subject.Keyring
			if i%2 == 1 {
				keys = subjecttest.Keyring(t)
			}
			worlds := []*world{newEmbedded(t, "embedded", keys), newDynamo(t, direct, keys), overHTTP(t, newEmbedded(t, "server", keys)), overHTTP(t, newDynamo(t, served, keys))}
			if err := play(t, seed+i, worlds, done); err != nil {
				t.Fatalf("%v\nrepeat with -run 'TestMetamorphic$' -runs 1 -round %d", err, seed+i)
			}
			if err := sameChains(t, worlds[0], worlds[1]); err != nil {
				t.Fatalf("seed %d: %v", seed+i, err)
			}
		})
	}
	t.Logf("operations by kind: %v", done)
}

// play does a round and returns the first difference.
func play(t *testing.T, seed uint64, worlds []*world, done map[string]int) error {
	g := newGenerator(seed)
	g.subjects = worlds[0].keys != nil
	for n := range operations {
		op := g.next()
		done[op.name]++
		var want answer
		for i, w := range worlds {
			w.at.next()
			got := op.do(t, w)
			if i == 0 {
				want = got
				g.learn(op, got)
				continue
			}
			if err := same(op, w, want, got); err != nil {
				return fmt.Errorf("operation %d, %s, on %s and on %s: %w", n, op, worlds[0].name, w.name, err)
			}
		}
		if !op.writes {
			continue
		}
		end, err := worlds[0].store.End(t.Context())
		if err != nil {
			return err
		}
		for _, w := range worlds {
			if w.number != nil {
				w.number(t, end)
			}
		}
	}
	return nil
}

// sameChains wants two stores to have the same hashes of the same commits.
func sameChains(t *testing.T, a, b *world) error {
	next, stop := iter.Pull2(b.store.Chain(t.Context(), 0, 0))
	defer stop()
	n := 0
	for one, err := range a.store.Chain(t.Context(), 0, 0) {
		if err != nil {
			return err
		}
		other, err, more := next()
		switch {
		case err != nil:
			return err
		case !more || one.Unchained != other.Unchained || one.Hash() != other.Hash():
			return fmt.Errorf("commit %d of the chain is %+v on %s and %+v on %s", n, one, a.name, other, b.name)
		}
		n++
	}
	if other, err, more := next(); more {
		return fmt.Errorf("%s has %d commits, and %s also %+v, %w", a.name, n, b.name, other, err)
	}
	return nil
}

// newMoment is one of a store that seals with keys; nil for none.
func newMoment(keys *subject.Keyring) *moment {
	m := &moment{}
	if keys != nil {
		m.sealer = keys
	}
	return m
}

func newEmbedded(t *testing.T, name string, keys *subject.Keyring) *world {
	at := newMoment(keys)
	store, err := embedded.Open("store", &embedded.Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler), Store: at.options()})
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, store)
	return &world{name: name, store: store, at: at, keys: keys}
}

func newDynamo(t *testing.T, address dynamo.Address, keys *subject.Keyring) *world {
	if err := dynamo.Init(t.Context(), address, nil, nil); err != nil {
		t.Fatal(err)
	}
	driver, err := dynamo.OpenDriver(t.Context(), address, &dynamo.Options{Poll: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	at := newMoment(keys)
	store := annals.New(driver, at.options())
	closeAtEnd(t, store)
	// Not a worker that runs: what is in the log is the same then in every run.
	worker := dynamo.NewWorker(driver)
	number := func(t *testing.T, end int64) {
		for range 1000 {
			got, err := store.End(t.Context())
			if err == nil && got != end {
				_, err = worker.Step(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			if got == end {
				return
			}
		}
		t.Fatalf("the log of %s does not come to end at position %d", address.Name, end)
	}
	return &world{name: "DynamoDB", store: store, at: at, late: true, number: number, keys: keys}
}

// overHTTP is a client of a server of a world's store.
func overHTTP(t *testing.T, under *world) *world {
	server := httptest.NewServer(httpapi.New(under.store, &httpapi.Options{Logger: slog.New(slog.DiscardHandler)}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	at := &moment{}
	store, err := client.Open(server.URL, &client.Options{Store: at.options()})
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, store)
	return &world{name: "HTTP over " + under.name, store: store, at: at, late: under.late, number: under.number, keys: under.keys}
}

func closeAtEnd(t *testing.T, store *annals.Store) {
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Each difference that a world's driver is given must be found, and where it is given
// none, none.
func TestMetamorphicFindsDifferences(t *testing.T) {
	for name, change := range map[string]func(*altered){
		"": func(*altered) {},
		"the last event of a backward read is left out": func(a *altered) { a.short = true },
		"a conflict names another version":              func(a *altered) { a.conflict = func(c *annals.ConflictError) { c.Actual++ } },
		"a repeated append is said to be elsewhere":     func(a *altered) { a.duplicate = func(d *annals.DuplicateError) { d.Version++ } },
		"an attribute that is empty is dropped":         func(a *altered) { a.event = dropEmpty },
		"a zone is kept":                                func(a *altered) { a.event = func(e *annals.Event) { e.Time = e.Time.In(time.FixedZone("", 3600)) } },
		"white space around data is dropped":            func(a *altered) { a.event = compact },
		"a log begins one position later":               func(a *altered) { a.after = 1 },
		"positions are one more": func(a *altered) {
			a.event = func(e *annals.Event) { e.Position++ }
		},
	} {
		t.Run(name, func(t *testing.T) {
			found := 0
			for seed := range uint64(4) {
				plain, other := newEmbedded(t, "embedded", nil), newEmbedded(t, "altered", nil)
				driver := &altered{embeddedDriver: newDriver(t)}
				change(driver)
				other.store = annals.New(driver, other.at.options())
				if err := play(t, seed+1, []*world{plain, other}, map[string]int{}); err != nil {
					found++
					t.Log(err)
					break
				}
			}
			if found == 0 && name != "" || found > 0 && name == "" {
				t.Fatalf("%d rounds find a difference", found)
			}
		})
	}
}

// An error that a world must not hide is one of these, by its own facts.
func facts(err error) string {
	var conflict *annals.ConflictError
	var duplicate *annals.DuplicateError
	var invalid *annals.InvalidError
	text := string(annals.CodeOf(err))
	switch {
	case err == nil:
		return "no error"
	case errors.As(err, &conflict):
		return text + fmt.Sprintf(" %+v", *conflict)
	case errors.As(err, &duplicate):
		return text + fmt.Sprintf(" %+v", *duplicate)
	case errors.As(err, &invalid):
		return text + fmt.Sprintf(" %+v", *invalid)
	}
	return text + " " + err.Error()
}

func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 8)) }
