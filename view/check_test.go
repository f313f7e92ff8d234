package view

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/eb901187/annals"
)

func TestKeysOfUTF8WithoutControlCharacters(t *testing.T) {
	for key, want := range map[string]error{
		"a": nil, " ": nil, "é\u00a0\ufffd\U0010ffff": nil, strings.Repeat("k", MaxKeyBytes): nil,
		"": annals.ErrInvalid, "\t": annals.ErrInvalid, "a\x7f": annals.ErrInvalid, "a\u009f": annals.ErrInvalid, "a\xff": annals.ErrInvalid, "\xc3": annals.ErrInvalid,
		"\ufffd\xff": annals.ErrInvalid, strings.Repeat("k", MaxKeyBytes+1): annals.ErrTooLarge,
	} {
		if err := CheckKey(key); !errors.Is(err, want) {
			t.Errorf("key %.20q: %v, want %v", key, err, want)
		}
	}
}

func TestACheckNamesWhatIsWrong(t *testing.T) {
	put := func(key string) Put { return Put{Space: "s", Document: Document{Key: key, Data: []byte(`1`)}} }
	for want, c := range map[string]Change{
		`names document "k" of s twice`:                 {Put: []Put{put("k"), put("k")}},
		`expects document "k" of s twice`:               {Expect: []Expectation{{Key: Key{"s", "k"}}, {Key: Key{"s", "k"}}}},
		`space must be`:                                 {Delete: []Key{{"s p", "k"}}},
		`document k must not be empty`:                  {Put: []Put{{Space: "s", Document: Document{Key: "k"}}}},
		`expectation of document k must not be empty`:   {Expect: []Expectation{{Key: Key{"s", "k"}, Data: []byte{}}}},
		`position of document k must not be negative`:   {Put: []Put{{Space: "s", Document: Document{Key: "k", Data: []byte(`1`), Position: -1}}}},
		`document k is 262145 bytes long, the limit is`: {Put: []Put{{Space: "s", Document: Document{Key: "k", Data: make([]byte, MaxDocumentBytes+1)}}}},
	} {
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestSizeCountsEachDocumentOnce(t *testing.T) {
	var c Change
	for i := range 10 {
		key := Key{"s", fmt.Sprint(i)}
		switch {
		case i < 4:
			c.Put = append(c.Put, Put{Space: key.Space, Document: Document{Key: key.Key, Data: []byte(`1`)}})
		case i < 7:
			c.Delete = append(c.Delete, key)
		}
		if i%2 == 0 {
			c.Expect = append(c.Expect, Expectation{Key: key})
		}
	}
	// 0 to 6 are written, 8 is only expected.
	if err := c.CheckSize(8); err != nil {
		t.Error(err)
	}
	if err := c.CheckSize(7); !errors.Is(err, annals.ErrTooLarge) || !strings.Contains(err.Error(), "has 8 documents, the limit of this store is 7") {
		t.Errorf("got %v", err)
	}
	if err := (&Change{}).CheckSize(0); err != nil {
		t.Error(err)
	}
}
