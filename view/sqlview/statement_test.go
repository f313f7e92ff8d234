package sqlview

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

func TestFollowingIsBehindAllThatStartWithAPrefix(t *testing.T) {
	edges := []rune{'a', 0x7e, 0x7f, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xfffd, 0xffff, 0x10000, utf8.MaxRune - 1, utf8.MaxRune}
	for _, r := range edges {
		for _, before := range []string{"", "a", string(utf8.MaxRune), "é" + string(utf8.MaxRune)} {
			prefix := before + string(r)
			high, bound := following(prefix)
			if !bound {
				if strings.Trim(prefix, string(utf8.MaxRune)) != "" {
					t.Errorf("%q has none", prefix)
				}
				continue
			}
			if !utf8.ValidString(high) || prefix+strings.Repeat(string(utf8.MaxRune), 5) >= high {
				t.Errorf("%q is followed by %q", prefix, high)
			}
			// Every text between the prefix and what follows it starts with it.
			for _, other := range edges {
				if text := before + string(other); text >= prefix && text < high && !strings.HasPrefix(text, prefix) {
					t.Errorf("%q lies between %q and %q", text, prefix, high)
				}
			}
		}
	}
	if _, bound := following(""); bound {
		t.Error("something is behind every text")
	}
}

func TestBatches(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 511, 512, 513, 2000} {
		var puts []view.Put
		var keys []view.Key
		for i := range n {
			size := 1
			if i%100 == 0 {
				size = view.MaxDocumentBytes
			}
			puts = append(puts, view.Put{Space: "a", Document: view.Document{Key: fmt.Sprintf("%04d", i), Data: make([]byte, size)}})
			keys = append(keys, view.Key{Space: fmt.Sprint(i / 700), Key: puts[i].Key})
		}
		var written []view.Put
		for batch := range putBatches(puts) {
			size := 0
			for _, p := range batch {
				size += len(p.Data)
			}
			if len(batch) > maxRows || len(batch)&(len(batch)-1) != 0 || size > maxBytes {
				t.Errorf("%d puts of %d bytes in a statement", len(batch), size)
			}
			written = append(written, batch...)
		}
		if len(written) != n || n > 0 && written[n-1].Key != puts[n-1].Key {
			t.Errorf("%d of %d puts", len(written), n)
		}
		var named []view.Key
		for space, batch := range keyBatches(keys) {
			if len(batch) > maxRows {
				t.Errorf("%d keys in a statement", len(batch))
			}
			for _, key := range batch {
				named = append(named, view.Key{Space: space, Key: key})
			}
		}
		if !slices.Equal(named, keys) {
			t.Errorf("%d of %d keys", len(named), n)
		}
	}
}

// MySQLError looks like the driver's.
type MySQLError struct {
	Number  uint16
	Message string
}

func (e *MySQLError) Error() string { return e.Message }

type sqliteError int

func (sqliteError) Error() string { return "planted" }
func (e sqliteError) Code() int   { return int(e) }

// The failures that no test can have a real database make.
func TestCodes(t *testing.T) {
	const sqliteIOErrFsync = sqliteIOErr | 4<<8
	for _, c := range []struct {
		dialect Dialect
		err     error
		want    annals.Code
		undone  bool
	}{
		{MySQL, fmt.Errorf("a: %w", errors.Join(errors.New("b"), &MySQLError{Number: 1026, Message: "OS errno 28 - No space left on device"})), annals.CodeNoSpace, false},
		{MySQL, &MySQLError{Number: 1026, Message: "OS errno 5 - Input/output error"}, annals.CodeUnavailable, false},
		{MySQL, &MySQLError{Number: 1153}, annals.CodeTooLarge, false},
		{MySQL, &MySQLError{Number: 1213}, annals.CodeUnavailable, true},
		{MySQL, errors.New("invalid connection"), annals.CodeUnavailable, false},
		{SQLite, sqliteError(sqliteIOErrFsync), annals.CodeUnavailable, false},
		{SQLite, sqliteError(sqliteFull), annals.CodeNoSpace, true},
		{SQLite, sqliteError(sqliteCorrupt), annals.CodeDamaged, true},
		{SQLite, sqliteError(sqliteConstraint), annals.CodeInternal, true},
		{SQLite, errors.New("not of the database"), annals.CodeInternal, false},
	} {
		code, _ := c.dialect.code(c.err)
		if undone := c.dialect.undone(c.err); code != c.want || undone != c.undone {
			t.Errorf("%v %v: code %s, undone at COMMIT: %t", c.dialect, c.err, code, undone)
		}
	}
}
