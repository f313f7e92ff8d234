package aggregate

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/eb901187/annals"
)

// MaxKeyBytes is how long an idempotency key may be.
const MaxKeyBytes = 200

// A key is an idempotency key. It is stored in the ids of its command's events:
// "key:", the key, a colon and the event's number in the command from 0.
type key string

func checkKey(s string) error {
	bad := func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
	if len(s) > MaxKeyBytes || strings.ContainsFunc(s, bad) {
		return annals.Invalid("idempotencyKey", "must have at most %d bytes of printable UTF-8", MaxKeyBytes)
	}
	return nil
}

// id is that of a command's event; empty without a key, so that the store makes
// one.
func (k key) id(i int) string {
	if k == "" {
		return ""
	}
	return "key:" + string(k) + ":" + strconv.Itoa(i)
}

// index returns the i that k.id makes id of, -1 if it is none.
func (k key) index(id string) int {
	i, err := strconv.Atoi(id[strings.LastIndexByte(id, ':')+1:])
	if k == "" || err != nil || k.id(i) != id {
		return -1
	}
	return i
}

// lookupType is the type of an event that is never stored.
const lookupType = annals.OwnPrefix + "lookup"

// ask learns from the store whether the events that a snapshot stands for have
// the key.
//
// It appends under a condition that can't hold: the stream was just read and has
// events, so that it is no new stream. Drivers answer with the place of a known id
// before they look at the condition.
func (r *Repository[S, E]) ask(ctx context.Context, at *loaded[S], k key) error {
	if k == "" || at.base == 0 || at.keyed > 0 {
		return nil
	}
	_, err := r.store.Append(ctx, at.stream, annals.NoStream, annals.Event{ID: k.id(0), Type: lookupType})
	var duplicate *annals.DuplicateError
	switch {
	case errors.As(err, &duplicate):
		at.keyed = duplicate.Version
		return nil
	case errors.Is(err, annals.ErrConflict):
		return nil
	case err == nil:
		return &annals.Error{
			Code: annals.CodeDamaged, Message: "stream " + at.stream + " had events and then none",
			Hint: "annals verify says what is damaged",
		}
	}
	return &annals.Error{
		Code: annals.CodeOf(err), Err: err, Message: "can't tell whether stream " + at.stream + " has the idempotency key " + strconv.Quote(string(k)),
		Hint: "execute the command again with the same key",
	}
}

// replay returns the result of a command whose first event has version first.
func (r *Repository[S, E]) replay(ctx context.Context, stream string, k key, first int64) (Result[S], error) {
	commit := annals.Commit{Stream: stream, Replayed: true}
	span := &annals.StreamOptions{From: first, To: first + annals.MaxCommitEvents - 1}
	for e, err := range r.store.Stream(ctx, stream, span) {
		if err != nil {
			return Result[S]{}, interrupted(stream, first+int64(commit.Count)-1, err)
		}
		if e.ID != k.id(commit.Count) {
			break
		}
		commit.Count++
		commit.Version, commit.Position = e.Version, e.Position
	}
	if commit.Count == 0 {
		return Result[S]{}, &annals.DuplicateError{Stream: stream, ID: k.id(0), Version: first}
	}
	at, err := r.load(ctx, stream, commit.Version, "")
	if err != nil {
		return Result[S]{}, err
	}
	return Result[S]{at.state, commit}, nil
}
