//go:build !linux

package sqltest

import "os"

func parent() string { return os.TempDir() }
