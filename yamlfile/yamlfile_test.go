package yamlfile_test

import (
	"errors"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/yamlfile"
)

func TestDocument(t *testing.T) {
	for text, want := range map[string]string{
		"":                 "line 1: the file is empty",
		"# nothing\n":      "line 1: the file is empty",
		"a: b\n":           "",
		"---\na: b\n...\n": "",
		"a: b\n---\nc":     "line 2: a second document begins",
		"a: [":             "line 1: did not find expected node content",
		"a: b\n---\nb: [":  "line 3: did not find expected node content",
		"a: *b":            "line 1: unknown anchor 'b' referenced",
	} {
		root, err := yamlfile.Document([]byte(text))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want || (err == nil) != (root != nil) {
			t.Errorf("%q gives %v, %q; want %q", text, root, got, want)
		}
	}
}

func TestDocumentErrorTellsReasons(t *testing.T) {
	for text, want := range map[string]error{"": yamlfile.ErrEmpty, "a\n---\nb": yamlfile.ErrSeveral} {
		_, err := yamlfile.Document([]byte(text))
		var own *yamlfile.DocumentError
		if !errors.Is(err, want) || !errors.As(err, &own) {
			t.Errorf("%q gives %v, want %v", text, err, want)
		}
	}
}

func TestResolved(t *testing.T) {
	root, err := yamlfile.Document([]byte("a: &x red\nb: *x\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 3} {
		if got := yamlfile.Resolved(root.Content[n]); got.Value != "red" {
			t.Errorf("node %d stands for %+v", n, got)
		}
	}
}

func TestErr(t *testing.T) {
	two, one := yamlfile.At(2, "quote it", "%s is no text", "b"), yamlfile.At(0, "name it", "nothing is there")
	same := yamlfile.At(1, "quote it", "a is no text")
	for _, test := range []struct {
		list []yamlfile.Problem
		want string
	}{
		{[]yamlfile.Problem{one}, "annals: f.yaml:1: nothing is there (name it)"},
		{[]yamlfile.Problem{two, one}, "annals: f.yaml has 2 problems: \n  f.yaml:1: nothing is there (name it)\n  f.yaml:2: b is no text (quote it)"},
		{[]yamlfile.Problem{two, same}, "annals: f.yaml has 2 problems: \n  f.yaml:1: a is no text\n  f.yaml:2: b is no text (quote it)"},
	} {
		first := test.list[0]
		err := yamlfile.Err("f.yaml", test.list)
		if err == nil || err.Error() != test.want || !errors.Is(err, annals.ErrInvalid) {
			t.Errorf("%v gives %q, want %q", test.list, err, test.want)
		}
		if test.list[0] != first {
			t.Errorf("%v was sorted in place", test.list)
		}
	}
	if err := yamlfile.Err("f.yaml", nil); err != nil {
		t.Errorf("no problem gives %v", err)
	}
}
