package subject_test

import (
	"strings"
	"testing"

	"github.com/eb901187/annals/subject"
)

// What sealing and opening an event costs, with its key in memory.
func BenchmarkSubject(b *testing.B) {
	for name, size := range map[string]int{"200B": 200, "4KiB": 4 << 10} {
		k := newKeyring(b, subject.MemoryShelf(), nil)
		e := event("p1", "01a20172-0fec-78af-930d-2522e28ab6b3", `"`+strings.Repeat("x", size-2)+`"`)
		b.Run("seal "+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sealed := e
				if err := k.Seal(b.Context(), "s", &sealed); err != nil {
					b.Fatal(err)
				}
			}
		})
		sealed := e
		if err := k.Seal(b.Context(), "s", &sealed); err != nil {
			b.Fatal(err)
		}
		b.Run("open "+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				opened := sealed
				if err := k.Open(b.Context(), &opened); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Logf("%s: %d bytes more", name, len(sealed.Data)-len(e.Data))
	}
}
