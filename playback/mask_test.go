package playback

import (
	"errors"
	"strings"
	"testing"

	"github.com/eb901187/annals"
)

func maskable() annals.Event {
	return annals.Event{
		ID: "1", Type: "T", Source: "s", Time: forkEpoch, Correlation: "r", Causation: "b@2", ContentType: annals.JSONContentType,
		Attributes: map[string]string{"subject": "me"}, Data: []byte(" {\"b\": 12345678901234567890.10, \"a\":1}"), Stream: "a", Version: 3, Position: 9,
	}
}

func TestMaskChangesWhatItMay(t *testing.T) {
	for text, change := range map[string]func(e *annals.Event){
		".":                                      func(*annals.Event) {},
		".data.a |= 1":                           func(*annals.Event) {},
		".type = \"U\" | .source = \"other\"":    func(e *annals.Event) { e.Type, e.Source = "U", "other" },
		"del(.correlation)":                      func(e *annals.Event) { e.Correlation = "" },
		".correlation = null | .attributes = {}": func(e *annals.Event) { e.Correlation, e.Attributes = "", nil },
		".attributes.subject |= \"x\" + .":       func(e *annals.Event) { e.Attributes = map[string]string{"subject": "xme"} },
		".data.a = null":                         func(e *annals.Event) { e.Data = []byte(`{"a":null,"b":12345678901234567890.10}`) },
		"del(.data)":                             func(e *annals.Event) { e.Data = nil },
		".data = 7":                              func(e *annals.Event) { e.Data = []byte("7") },
		"del(.data) | .contentType = \"a/b\" | .data_base64 = \"/w==\"": func(e *annals.Event) {
			e.ContentType, e.Data = "a/b", []byte{0xff}
		},
	} {
		want := maskable()
		change(&want)
		got, err := mustMask(t, text).Apply(maskable())
		if err != nil || print(&got) != print(&want) || got.Position != 9 {
			t.Errorf("%s: %v\n got %s\nwant %s", text, err, print(&got), print(&want))
		}
	}
	binary := maskable()
	binary.ContentType, binary.Data = "a/b", []byte{0xfe}
	for text, want := range map[string]string{".type = \"U\"": "\xfe", ".data_base64 = \"/w==\"": "\xff", "del(.data_base64)": ""} {
		got, err := mustMask(t, text).Apply(binary)
		if err != nil || string(got.Data) != want {
			t.Errorf("%s: %q, %v", text, got.Data, err)
		}
	}
}

func TestMaskThatIsWrongNamesMaskAndEvent(t *testing.T) {
	for text, want := range map[string]string{
		".data":                             "it adds a field",
		".data.a":                           "not an object",
		".dta = null":                       `adds a field "dta"`,
		".id = \"2\"":                       "changes id",
		".stream |= . + \"x\"":              "changes stream",
		".version += 1":                     "changes version",
		".position = 1":                     "changes position",
		".time = \"2020-01-01T00:00:00Z\"":  "changes time",
		"del(.causation)":                   "changes causation",
		"{type, source, data, contentType}": "changes id",
		"del(.type)":                        "removes type",
		".source = \"\"":                    "removes source",
		".type = 1":                         "makes type",
		".attributes = 1":                   "makes attributes",
		".attributes.subject = null":        `attribute "subject"`,
		".contentType = \"a/b\"":            "has data although",
		".data_base64 = \"/w==\"":           "has data_base64 although",
		"del(.data) | .contentType = \"a/b\" | .data_base64 = \"?\"": "base64",
		".data = nan": "JSON",
		"empty":       "nothing",
		"., .":        "more than one",
		"error":       "failed",
		"def f: f; f": "did not end within",
	} {
		_, err := mustMask(t, text).Apply(maskable())
		var own *annals.Error
		if !errors.As(err, &own) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "mask.jq:") || !strings.Contains(err.Error(), "a@3") || own.Hint == "" {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestMaskThatDoesNotCompile(t *testing.T) {
	for text, want := range map[string]string{
		"":                  "dir/mask.jq:1: the mask is empty",
		".data.a = \n\n }":  "dir/mask.jq:3:",
		"\n.data |= nosuch": "dir/mask.jq:2:",
		"input":             "dir/mask.jq:1:",
	} {
		_, err := ParseMask("dir/mask.jq", []byte(text))
		if annals.CodeOf(err) != annals.CodeInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
