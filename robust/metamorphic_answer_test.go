package robust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
)

// An answer is what an operation returned.
type answer struct {
	text string
	// places are the positions of commits and of the events of streams, which a
	// store that numbers its log later leaves 0.
	places  []int64
	commits []annals.Commit
}

func (a *answer) printf(format string, args ...any) { a.text += fmt.Sprintf(format, args...) }

func (a *answer) commit(c annals.Commit) {
	a.places = append(a.places, c.Position)
	a.commits = append(a.commits, c)
	c.Position = 0
	a.printf("%+v\n", c)
}

// event writes every field, the time with its zone.
func (a *answer) event(e *annals.Event) {
	a.printf("%s@%d %d id %q type %q source %q time %s correlation %q causation %q content %q data %q", e.Stream, e.Version, e.Position,
		e.ID, e.Type, e.Source, e.Time.Format(time.RFC3339Nano+" MST"), e.Correlation, e.Causation, e.ContentType, e.Data)
	for _, name := range slices.Sorted(maps.Keys(e.Attributes)) {
		a.printf(" %s %q", name, e.Attributes[name])
	}
	a.text += "\n"
}

func (a *answer) error(err error) { a.printf("%s\n", facts(err)) }

// events reads to the end, or stops after some; where numbered is false, positions
// may be unknown.
func (a *answer) events(seq iter.Seq2[annals.Event, error], stop int, numbered bool) {
	for e, err := range seq {
		if err != nil {
			a.error(err)
			return
		}
		if !numbered {
			a.places = append(a.places, e.Position)
			e.Position = 0
		}
		if a.event(&e); stop == 1 {
			return
		}
		stop--
	}
	a.text += "end\n"
}

// same returns how an answer differs from the first world's.
func same(op operation, w *world, want, got answer) error {
	if op.lists && w.late {
		if !strings.HasPrefix(got.text, string(annals.CodeNotFound)) && !strings.HasPrefix(got.text, string(annals.CodeInvalid)) {
			return fmt.Errorf("it keeps no list of streams, and answers\n%s", got.text)
		}
		return nil
	}
	if got.text != want.text {
		return fmt.Errorf("the answers are\n%sand\n%s", want.text, got.text)
	}
	for i, place := range got.places {
		if place != want.places[i] && !(place == 0 && w.late && !op.waits) {
			return fmt.Errorf("position %d of\n%sis %d and %d", i, want.text, want.places[i], place)
		}
	}
	return nil
}

// altered is a driver with a planted difference.
type altered struct {
	embeddedDriver
	short     bool
	after     int64
	event     func(*annals.Event)
	conflict  func(*annals.ConflictError)
	duplicate func(*annals.DuplicateError)
}

// embeddedDriver is all that a Store uses of one.
type embeddedDriver interface {
	annals.Driver
	annals.StreamLister
	annals.BatchAppender
}

func newDriver(t *testing.T) embeddedDriver {
	driver, err := embedded.OpenDriver("store", &embedded.Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
	})
	return driver.(embeddedDriver)
}

func (a *altered) Append(ctx context.Context, stream string, expected int64, events []annals.Event) (annals.Commit, error) {
	c, err := a.embeddedDriver.Append(ctx, stream, expected, events)
	a.changeError(err)
	return c, err
}

func (a *altered) AppendBatch(ctx context.Context, batch []annals.Append) ([]annals.Commit, error) {
	commits, err := a.embeddedDriver.AppendBatch(ctx, batch)
	a.changeError(err)
	return commits, err
}

func (a *altered) changeError(err error) {
	var conflict *annals.ConflictError
	if errors.As(err, &conflict) && a.conflict != nil {
		a.conflict(conflict)
	}
	var duplicate *annals.DuplicateError
	if errors.As(err, &duplicate) && a.duplicate != nil {
		a.duplicate(duplicate)
	}
}

func (a *altered) Stream(ctx context.Context, stream string, from, to int64, backward bool) iter.Seq2[annals.Event, error] {
	return a.change(a.embeddedDriver.Stream(ctx, stream, from, to, backward), a.short && backward)
}

func (a *altered) Log(ctx context.Context, q annals.Query) iter.Seq2[annals.Event, error] {
	q.After += a.after
	return a.change(a.embeddedDriver.Log(ctx, q), a.short && q.Backward)
}

// change passes events on as they are altered, all but the last where short.
func (a *altered) change(seq iter.Seq2[annals.Event, error], short bool) iter.Seq2[annals.Event, error] {
	return func(yield func(annals.Event, error) bool) {
		var held *annals.Event
		for e, err := range seq {
			if err == nil && a.event != nil {
				a.event(&e)
			}
			if short && err == nil {
				if e, held = hold(e, held); held == nil || e.ID == "" {
					continue
				}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// hold keeps an event back and gives the one that was kept before.
func hold(e annals.Event, held *annals.Event) (annals.Event, *annals.Event) {
	if held == nil {
		return annals.Event{}, &e
	}
	return *held, &e
}

func dropEmpty(e *annals.Event) {
	maps.DeleteFunc(e.Attributes, func(_, value string) bool { return value == "" })
}

func compact(e *annals.Event) { e.Data = bytes.TrimSpace(e.Data) }
