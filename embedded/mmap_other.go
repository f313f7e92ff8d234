//go:build !unix

package embedded

// mapFile maps nothing here: segments are read with ReadAt.
func mapFile(uintptr, int64) ([]byte, error) { return nil, nil }

func unmapFile([]byte) {}
