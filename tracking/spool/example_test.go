package spool_test

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals/tracking/spool"
)

func Example() {
	s, err := spool.Open("spool", 1<<20, &spool.Options{FS: vfs.NewMem()})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := s.Append([][]byte{[]byte("first"), []byte("second")}); err != nil {
		fmt.Println(err)
	}
	batch, err := s.Peek(1, 1<<16)
	if err != nil {
		fmt.Println(err)
	}
	fmt.Printf("%s\n", batch.Records[0])
	if err := s.Advance(batch); err != nil { // it is done with
		fmt.Println(err)
	}
	records, _ := s.Len()
	fmt.Println(records, "waits")
	fmt.Println(s.Close())
	// Output:
	// first
	// 1 waits
	// <nil>
}
