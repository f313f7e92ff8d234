package gateway

import (
	"runtime"
	"testing"
)

var garbage []byte // written, so that what is made is allocated

// A third of the ballast in garbage is collected again and again without it.
func TestCollectLess(t *testing.T) {
	collections := func() uint32 {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range ballastBytes / 3 >> 16 {
			garbage = make([]byte, 1<<16)
		}
		runtime.ReadMemStats(&after)
		return after.NumGC - before.NumGC
	}
	t.Setenv("GOGC", "")
	without := collections()
	undo := CollectLess()
	with := collections()
	undo()
	if with > 0 || without < 3 {
		t.Errorf("%d collections, %d without it", with, without)
	}
	t.Setenv("GOGC", "100")
	undo = CollectLess()
	if got := collections(); got < 3 {
		t.Errorf("%d collections though GOGC is set", got)
	}
	undo()
}
