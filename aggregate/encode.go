package aggregate

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/eb901187/annals"
)

// VersionAttribute is the attribute of an event that holds the schema version of
// its data. An event without it has version 1.
const VersionAttribute = "schemaversion"

// Encode returns the type, attributes, content type and data under which e is
// stored. An event that is not of the Schema, or that would not come back from
// the store as it is, is an error.
func (t *Type[S, E]) Encode(e E) (annals.Event, error) {
	stored, _, err := t.schema.encode(e)
	return stored, err
}

// Decode returns the event that e stands for today: more than one if it was
// split, none if its type is ignored. e must be as the store returned it. One that is
// erased stands for the zero value of its type, for none if it was split.
func (t *Type[S, E]) Decode(e *annals.Event) ([]E, error) { return t.schema.decode(nil, e) }

// encode also returns e as it will be read.
func (c *schema[E]) encode(e E) (stored annals.Event, read E, err error) {
	for _, v := range c.variants {
		data, ok := v.unwrap(e)
		if !ok {
			continue
		}
		stored = annals.Event{Type: v.name, ContentType: c.codec.ContentType()}
		if v.version > 1 {
			stored.Attributes = map[string]string{VersionAttribute: strconv.Itoa(v.version)}
		}
		if stored.Data, err = c.codec.Encode(data); err == nil {
			read, err = v.decode(c.codec, stored.Data)
		}
		if err == nil {
			again, _ := v.unwrap(read)
			err = c.lost(data, again, false)
		}
		if err != nil {
			err = notEncoded("event "+v.name, data, err)
		}
		return stored, read, err
	}
	return stored, read, &annals.Error{
		Code: annals.CodeInternal, Message: fmt.Sprintf("an event of type %T is not in the schema", e),
		Hint: "add it to Schema.Events, by value or by pointer as it is used",
	}
}

// lost returns an error if after, which is before by way of its encoding, lacks
// something of it.
func (c *schema[E]) lost(before, after any, exactMaps bool) error {
	strict, ok := c.codec.(interface {
		lost(before, after any, exactMaps bool) string
	})
	if !ok {
		return nil
	}
	if path := strict.lost(before, after, exactMaps); path != "" {
		return fmt.Errorf("%s does not come back from its encoding as it was", path)
	}
	return nil
}

func notEncoded(what string, value any, cause error) error {
	return &annals.Error{
		Code: annals.CodeInternal, Err: cause, Message: fmt.Sprintf("%s, a %T, can't be encoded", what, value),
		Hint: "export its fields, of types that JSON brings back, or give the type MarshalJSON and UnmarshalJSON",
	}
}

func (c *schema[E]) decode(dst []E, e *annals.Event) ([]E, error) {
	if c.ignored[e.Type] {
		return dst, nil
	}
	if h := c.names[e.Type]; e.Erased() && h != nil {
		return h.erased(dst, c.codec)
	}
	codec, err := c.codecOf(e)
	version := 1
	if text := e.Attributes[VersionAttribute]; text != "" && err == nil {
		if version, err = strconv.Atoi(text); err != nil || version < 1 {
			err = fmt.Errorf("its attribute %s is %q: it must be a number from 1", VersionAttribute, text)
		}
	}
	before := len(dst)
	if err == nil {
		dst, err = c.lift(dst, codec, Part{e.Type, version, e.Data}, 0)
	}
	if err != nil {
		return dst[:before], &annals.Error{
			Code: annals.CodeInternal, Err: err, Message: fmt.Sprintf("event %s at %s@%d can't be decoded", e.Type, e.Stream, e.Version),
			Hint: "the Schema must read all that was ever stored: by Events, Upcasters, Renamed or Ignored",
		}
	}
	return dst, nil
}

// erased is what an event stands for whose data is gone: the zero value of its type of
// today; nothing where it was split.
func (h *history[E]) erased(dst []E, codec Codec) ([]E, error) {
	if h.today == nil {
		return dst, nil
	}
	e, err := h.today.decode(codec, nil)
	return append(dst, e), err
}

// codecOf lets streams hold JSON from before another codec was chosen.
func (c *schema[E]) codecOf(e *annals.Event) (Codec, error) {
	if e.ContentType == c.codec.ContentType() {
		return c.codec, nil
	}
	if e.IsJSON() {
		return JSON{}, nil
	}
	return nil, fmt.Errorf("its content type is %s, the codec's is %s", e.ContentType, c.codec.ContentType())
}

// lift brings p to the current version of its name and decodes it.
func (c *schema[E]) lift(dst []E, codec Codec, p Part, steps int) ([]E, error) {
	if c.ignored[p.Name] {
		return dst, nil
	}
	h := c.names[p.Name]
	if h == nil {
		return dst, fmt.Errorf("%q is no event of the schema", p.Name)
	}
	data := p.Data
	for version := max(p.Version, 1); ; version++ {
		switch {
		case h.today != nil && version == h.current:
			e, err := h.today.decode(codec, data)
			return append(dst, e), err
		case version > h.current:
			return dst, fmt.Errorf("it has schema version %d of %s, this program knows %d", version, h.name, h.current)
		case steps == c.steps:
			return dst, fmt.Errorf("the upcasters from version %d of %s lead in a circle", version, h.name)
		}
		steps++
		step := h.steps[version-1]
		if step.part != nil {
			return c.split(dst, codec, step, data, steps)
		}
		var err error
		if data, err = step.lift(data); err != nil {
			return dst, fmt.Errorf("the upcaster from version %d of %s failed: %w", version, h.name, err)
		}
	}
}

func (c *schema[E]) split(dst []E, codec Codec, step *Upcaster, data json.RawMessage, steps int) ([]E, error) {
	parts, err := step.part(data)
	if err != nil {
		return dst, fmt.Errorf("splitting version %d of %s failed: %w", step.from, step.name, err)
	}
	for _, p := range parts {
		if dst, err = c.lift(dst, codec, p, steps); err != nil {
			return dst, fmt.Errorf("splitting version %d of %s: %w", step.from, step.name, err)
		}
	}
	return dst, nil
}
