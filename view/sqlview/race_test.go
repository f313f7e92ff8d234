package sqlview_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/sqlview"
	"github.com/eb901187/annals/view/sqlview/connect"
)

const (
	processes  = 8
	increments = 25
)

// A process that finds this in its environment is one of those that count.
const counterOf = "SQLVIEW_COUNTER_OF"

func TestMain(m *testing.M) {
	if address := os.Getenv(counterOf); address != "" {
		if err := count(context.Background(), address); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// count opens a store and adds to the number in one of its documents.
func count(ctx context.Context, address string) error {
	s, err := connect.Open(ctx, address)
	if err != nil {
		return err
	}
	for i := 0; i < increments; {
		switch err := increment(ctx, s); {
		case err == nil:
			i++
		case !errors.Is(err, annals.ErrConflict) && !errors.Is(err, annals.ErrUnavailable):
			return err
		}
	}
	return s.Close()
}

func increment(ctx context.Context, s *sqlview.Store) error {
	got, err := s.Get(ctx, "counters", "n")
	if err != nil {
		return err
	}
	before := got["n"].Data // nil where there is none
	n := 0
	if before != nil {
		if n, err = strconv.Atoi(string(before)); err != nil {
			return err
		}
	}
	return s.Commit(ctx, view.Change{Expect: expect("counters", "n", before), Put: puts("counters", "n", strconv.Itoa(n+1))})
}

func expect(space, key string, data []byte) []view.Expectation {
	return []view.Expectation{{Key: view.Key{Space: space, Key: key}, Data: data}}
}

// puts makes puts of a space from keys and data, by turns.
func puts(space string, keysAndData ...string) (list []view.Put) {
	for i := 0; i < len(keysAndData); i += 2 {
		list = append(list, view.Put{Space: space, Document: view.Document{Key: keysAndData[i], Data: []byte(keysAndData[i+1])}})
	}
	return list
}

func data(t *testing.T, s *sqlview.Store, space, key string) string {
	t.Helper()
	got, err := s.Get(t.Context(), space, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(got[key].Data)
}

// All of them also find the tables missing at once.
func TestProcessesThatCountLoseNothing(t *testing.T) {
	onEach(t, func(t *testing.T, address string) {
		var running sync.WaitGroup
		for range processes {
			running.Go(func() {
				c := exec.Command(os.Args[0])
				c.Env = append(os.Environ(), counterOf+"="+address)
				if out, err := c.CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			})
		}
		running.Wait()
		if got, want := data(t, open(t, address), "counters", "n"), strconv.Itoa(processes*increments); got != want {
			t.Errorf("counted to %s, want %s", got, want)
		}
	})
}

// The checkpoint is a fence: the Work of a runner that has lost it never runs.
func TestWorkBehindALostCheckpointNeverRuns(t *testing.T) {
	onEach(t, func(t *testing.T, address string) {
		for round, before := range [][]byte{nil, []byte(`1`)} {
			first, second := open(t, address), open(t, address)
			if round == 0 {
				execute(t, first.DB(), "CREATE TABLE work (n integer)")
			}
			begun, lost := make(chan struct{}), make(chan error)
			var works atomic.Int32
			c := view.Change{Expect: expect("consumer", "at", before), Put: puts("consumer", "at", strconv.Itoa(round+1))}
			go func() {
				<-begun
				c := c
				c.Work = func(context.Context, *sql.Tx) error { works.Add(1); return nil }
				lost <- second.Commit(t.Context(), c)
			}()
			c.Work = func(ctx context.Context, tx *sql.Tx) error {
				close(begun)
				_, err := tx.ExecContext(ctx, "INSERT INTO work VALUES (1)")
				return err
			}
			if err := first.Commit(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if err := <-lost; !errors.Is(err, annals.ErrConflict) || works.Load() != 0 {
				t.Fatalf("the second ended in %v, its work ran %d times", err, works.Load())
			}
			var rows int
			if err := first.DB().QueryRow("SELECT COUNT(*) FROM work").Scan(&rows); err != nil || rows != round+1 {
				t.Fatalf("%d rows, %v", rows, err)
			}
		}
	})
}

// Each of two changes expects that what the other puts is not there: an order in
// which both are made does not exist.
func TestChangesThatExcludeEachOtherAreNotBothMade(t *testing.T) {
	onEach(t, func(t *testing.T, address string) {
		stores := []*sqlview.Store{open(t, address), open(t, address)}
		for round := range 30 {
			keys := []string{fmt.Sprintf("%d-a", round), fmt.Sprintf("%d-b", round)}
			var made atomic.Int32
			var both sync.WaitGroup
			for i, s := range stores {
				both.Go(func() {
					c := view.Change{Expect: expect("s", keys[1-i], nil), Put: puts("s", keys[i], `1`)}
					err := s.Commit(t.Context(), c)
					for errors.Is(err, annals.ErrUnavailable) {
						err = s.Commit(t.Context(), c)
					}
					if err == nil {
						made.Add(1)
					} else if !errors.Is(err, annals.ErrConflict) {
						t.Error(err)
					}
				})
			}
			both.Wait()
			if made.Load() != 1 {
				t.Fatalf("round %d: %d changes were made", round, made.Load())
			}
		}
	})
}

// A transaction of SQLite that began by reading is refused when another has
// written meanwhile, however long it would wait.
func TestWritersOfSQLiteWaitForEachOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "own.db")
	var running sync.WaitGroup
	for range processes {
		s, err := sqlview.New(t.Context(), openSQL(t, "sqlite", "file:"+path+"?_busy_timeout=60000&_journal_mode=WAL"), sqlview.SQLite)
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			for i := 0; i < increments; {
				switch err := increment(t.Context(), s); {
				case err == nil:
					i++
				case !errors.Is(err, annals.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
}
