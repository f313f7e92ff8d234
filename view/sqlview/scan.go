package sqlview

import (
	"context"
	"iter"
	"unicode/utf8"

	"github.com/eb901187/annals/view"
)

const (
	// firstPage is how many documents a scan reads at first, so that a look at a
	// few is cheap, and maxPage how many at most.
	firstPage = 100
	maxPage   = 1000
	// pageBytes is how much data a page should hold.
	pageBytes = 8 << 20
)

// Scan reads pages of up to 1,000 documents, so that no connection waits for who
// reads slowly.
func (s *Store) Scan(ctx context.Context, space string, r view.Range) iter.Seq2[view.Document, error] {
	return func(yield func(view.Document, error) bool) {
		if err := r.Check(space); err != nil {
			yield(view.Document{}, err)
			return
		}
		size, left, r := firstPage, r.Limit, r // a loop may run once more from the start
		for {
			n := size
			if r.Limit > 0 {
				n = min(n, left)
			}
			page, err := s.page(ctx, space, r, n)
			if err != nil {
				yield(view.Document{}, err)
				return
			}
			stored := 1
			for _, d := range page {
				r.After = d.Key
				stored += len(d.Data)
				if d.absent() {
					continue
				}
				if !yield(d.Document, nil) {
					return
				}
				left--
			}
			if len(page) < n || r.Limit > 0 && left == 0 {
				return
			}
			size = max(1, min(maxPage, pageBytes/(stored/len(page)+1)))
		}
	}
}

// page reads the next n documents that match r, or all that are left.
func (s *Store) page(ctx context.Context, space string, r view.Range, n int) ([]row, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	from, low := ">", r.After
	if r.After < r.Prefix {
		from, low = ">=", r.Prefix
	}
	high, bound := following(r.Prefix)
	arguments := []any{s.dialect.text(space), s.dialect.text(low)}
	if bound {
		arguments = append(arguments, s.dialect.text(high))
	}
	page, err := s.documents(ctx, s.dialect.page(from, bound, n), arguments...)
	return page, s.failed(ctx, "scanning "+space, err)
}

// following is a text behind all that start with prefix, by its bytes, and before
// all others that are behind prefix. The order of UTF-8's bytes is that of its
// characters. There is none where prefix has nothing but the last character.
func following(prefix string) (string, bool) {
	for prefix != "" {
		last, size := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-size]
		switch last {
		case utf8.MaxRune:
			continue
		case 0xD7FF: // no text holds the surrogates behind it
			last = 0xDFFF
		}
		return prefix + string(last+1), true
	}
	return "", false
}
