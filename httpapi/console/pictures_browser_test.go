package console_test

import (
	"bytes"
	"cmp"
	"flag"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/eb901187/annals/httpapi/console/consoletest"
)

var pictures = flag.String("pictures", filepath.Join("testdata", "screenshots"), "where to keep the pictures that docs/console.md shows")

// The pictures of docs/console.md, made anew by
//
//	go test ./httpapi/console -run TestBrowserPictures -pictures ../../docs/console
func TestBrowserPictures(t *testing.T) {
	b := consoletest.Open(t, consoletest.Big(t).Handler)
	b.Size(1080, 640)
	for _, picture := range []struct {
		name, path string
		dark       bool
	}{
		{"overview", "", false},
		{"trace", "traces/" + consoletest.FailingRequest, false},
		{"projection", "projections/" + consoletest.Orders, true},
		{"state", "state/" + consoletest.OrderStream + "?version=3", false},
	} {
		b.Dark(picture.dark)
		b.Go(picture.path)
		if consoletest.Eval[bool](b, `document.querySelector(".live-part") !== null`) {
			b.WaitText("[data-live-state]", "live")
			b.WaitFor(".chart.drawn")
			consoletest.Eval[any](b, `new Promise(done => { const look = () => /being read|Reading the log/.test(document.body.innerText) ? requestAnimationFrame(look) : done(); look() })`)
		}
		path := filepath.Join(*pictures, picture.name+".png")
		b.ScreenshotTo(path, 640)
		shrink(t, path)
	}
	b.NoErrors(t)
}

// shrink keeps the 128 commonest colors of a picture, so that it stays small in the
// repository.
func shrink(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	from, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	bounds, often := from.Bounds(), map[color.Color]int{}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			often[from.At(x, y)]++
		}
	}
	colors := slices.SortedFunc(maps.Keys(often), func(a, b color.Color) int { return cmp.Compare(often[b], often[a]) })
	to := image.NewPaletted(bounds, colors[:min(len(colors), 128)])
	nearest := map[color.Color]uint8{}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := from.At(x, y)
			if _, known := nearest[c]; !known {
				nearest[c] = uint8(to.Palette.Index(c))
			}
			to.SetColorIndex(x, y, nearest[c])
		}
	}
	var small bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, to); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, small.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
