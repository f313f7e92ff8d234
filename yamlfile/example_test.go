package yamlfile_test

import (
	"fmt"

	"github.com/eb901187/annals/yamlfile"
)

func Example() {
	root, err := yamlfile.Document([]byte("size: huge\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	var wrong []yamlfile.Problem
	for i := 0; i+1 < len(root.Content); i += 2 {
		key := root.Content[i]
		wrong = append(wrong, yamlfile.At(key.Line, "leave it out", "unknown key %q", key.Value))
	}
	fmt.Println(yamlfile.Err("box.yaml", wrong))

	_, err = yamlfile.Document([]byte("colour: red\n---\ncolour: blue\n"))
	fmt.Println(err)
	// Output:
	// annals: box.yaml:1: unknown key "size" (leave it out)
	// line 2: a second document begins
}
