package crashfs_test

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals/embedded/crashfs"
)

// What was synced outlives a crash; what was not is lost, all of it here.
func Example() {
	fs := crashfs.New()
	for _, name := range []string{"synced", "not-synced"} {
		file, err := fs.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			panic(err)
		}
		if name == "synced" {
			if err := file.Sync(); err != nil {
				panic(err)
			}
			dir, err := fs.OpenDir("")
			if err != nil {
				panic(err)
			}
			if err := dir.Sync(); err != nil {
				panic(err)
			}
		}
	}
	after, err := fs.Crash(vfs.CrashCloneCfg{UnsyncedDataPercent: 0}).List("")
	fmt.Println(after, err)
	// Output: [synced] <nil>
}
