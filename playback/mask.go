package playback

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/projection/fold"
)

// A Mask changes events on their way into a fork, so that what must not be seen there
// never gets there. It is jq: . is the event as fold.Input makes it, and its one output
// is the event as the fork shall have it. It may change type, source, correlation,
// contentType, attributes, data and data_base64; the other fields must stay, as
// versions, causes and times must hold. A Mask does not change and is safe for
// concurrent use.
type Mask struct {
	// Name is that of the mask's file, without directories.
	Name string
	// SHA256 is the hash of its text, in hex.
	SHA256 string

	file       string
	expression *fold.Expression
}

// ParseMask compiles the mask in text; file is its name for messages. The error is an
// *annals.Error of CodeInvalid that says in which line something is wrong.
func ParseMask(file string, text []byte) (*Mask, error) {
	x, err := fold.ParseExpression("the mask", file, text)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	return &Mask{Name: filepath.Base(file), SHA256: hex.EncodeToString(sum[:]), file: file, expression: x}, nil
}

var (
	// keptFields must be in the output as they were in the input.
	keptFields = []string{"id", "stream", "version", "position", "time", "causation", "erased"}
	// maskedFields may change or go away.
	maskedFields = []string{"type", "source", "correlation", "contentType", "attributes", "data", "data_base64"}
)

// Apply returns e as masked. Data that the mask leaves as it is keeps every byte. The
// error is an *annals.Error that names the mask and the event; e would fail again.
func (m *Mask) Apply(e annals.Event) (annals.Event, error) {
	input, err := fold.Input(&e)
	if err != nil {
		return e, err
	}
	value, err := m.expression.ValueOf(&e, input)
	if err != nil {
		return e, err
	}
	in, _ := input.(map[string]any)
	out, ok := value.(map[string]any)
	if !ok {
		return e, m.wrong(&e, errors.New("its output is not an object"))
	}
	if err := m.checkFields(in, out); err != nil {
		return e, m.wrong(&e, err)
	}
	masked := e
	if err := setFields(&masked, in, out); err != nil {
		return e, m.wrong(&e, err)
	}
	return masked, nil
}

func (m *Mask) wrong(e *annals.Event, cause error) error {
	return &annals.Error{
		Code: annals.CodeInvalid, Err: cause, Message: fmt.Sprintf("%s: the mask can't be used on event %s@%d", m.file, e.Stream, e.Version),
		Hint: "its output must be the event itself with other values, as in: .data.email = null",
	}
}

func (m *Mask) checkFields(in, out map[string]any) error {
	for name := range out {
		if !slices.Contains(keptFields, name) && !slices.Contains(maskedFields, name) {
			return fmt.Errorf("it adds a field %.40q, which an event has not got", name)
		}
	}
	for _, name := range keptFields {
		if !reflect.DeepEqual(in[name], out[name]) {
			return fmt.Errorf("it changes %s, and %s must stay", name, strings.Join(keptFields, ", "))
		}
	}
	return nil
}

// setFields gives e the fields of out, the masked form of in.
func setFields(e *annals.Event, in, out map[string]any) error {
	for name, field := range map[string]*string{"type": &e.Type, "source": &e.Source, "correlation": &e.Correlation, "contentType": &e.ContentType} {
		text, isText := out[name].(string)
		if out[name] != nil && !isText {
			return fmt.Errorf("it makes %s something else than a string", name)
		}
		if text == "" && name != "correlation" {
			return fmt.Errorf("it removes %s, which every event has", name)
		}
		*field = text
	}
	attributes, isObject := out["attributes"].(map[string]any)
	if out["attributes"] != nil && !isObject {
		return errors.New("it makes attributes something else than an object")
	}
	e.Attributes = make(map[string]string, len(attributes))
	for name, value := range attributes {
		text, isText := value.(string)
		if !isText {
			return fmt.Errorf("it makes the attribute %.40q something else than a string", name)
		}
		e.Attributes[name] = text
	}
	return setData(e, in, out)
}

func setData(e *annals.Event, in, out map[string]any) error {
	if in["erased"] == true {
		e.Data, e.ContentType = nil, annals.ErasedContentType // there is nothing to mask
		return nil
	}
	name, other := "data", "data_base64"
	if !e.IsJSON() {
		name, other = other, name
	}
	if out[other] != nil {
		return fmt.Errorf("it has %s although contentType is %s", other, e.ContentType)
	}
	if reflect.DeepEqual(in[name], out[name]) && in[other] == nil {
		return nil // as it was, byte for byte
	}
	if e.Data = nil; out[name] == nil {
		return nil
	}
	if name == "data" {
		data, err := fold.Encode(out[name])
		e.Data = data
		return err
	}
	text, _ := out[name].(string)
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil || text == "" {
		return errors.New("it makes data_base64 something else than a string of base64")
	}
	e.Data = data
	return nil
}

// applyAll masks events in place, on all processors, but for placeholders, which
// carry nothing. It returns the error of the first event that has one.
func (m *Mask) applyAll(events []annals.Event) error {
	errs := make([]error, len(events))
	part := (len(events) + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0)
	var parts sync.WaitGroup
	for from := 0; from < len(events); from += part {
		parts.Go(func() {
			for i := from; i < min(from+part, len(events)); i++ {
				if events[i].Type == Omitted && len(events[i].Data) == 0 {
					continue
				}
				if events[i], errs[i] = m.Apply(events[i]); errs[i] != nil {
					return
				}
			}
		})
	}
	parts.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
