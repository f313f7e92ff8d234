package ingest

import (
	"bytes"
	"fmt"
	"iter"
	"runtime/debug"

	"github.com/eb901187/annals"
)

// A Delivery is what a queue or a stream delivers as one piece: a message, a JSON
// array of messages, or lines of them.
type Delivery struct {
	// ID names the delivery and is the same whenever it comes again, for example
	// the id of an SQS message or the shard and sequence number of a record. At
	// most 240 bytes, printable.
	ID   string
	Body []byte
}

// A Part is one message of a Delivery.
type Part struct {
	// Place is where the message came from: the delivery's id, # and the number of
	// the message in it, as in Item. It is the same whenever the delivery comes
	// again, and becomes the id of a message that has none.
	Place string
	Text  []byte // as it came
	Err   error  // why no message can be made out; Text is then all of the body
}

// MaxDeliveryMessages is how many messages a Delivery may hold. What has more is junk
// of many lines, and refused as one.
const MaxDeliveryMessages = 10_000

// Parts yields the messages of d, at least one: a body that holds none, or more than
// MaxDeliveryMessages, is a Part with an error.
func (d Delivery) Parts() iter.Seq[Part] {
	return func(yield func(Part) bool) {
		if d.tooMany() {
			yield(Part{d.place(1), d.Body, &annals.InvalidError{Code: annals.CodeTooLarge, Violations: []annals.Violation{
				{Field: "delivery", Message: fmt.Sprintf("must hold at most %d messages: send them in several", MaxDeliveryMessages)},
			}}})
			return
		}
		found := false
		for item, err := range Items(bytes.NewReader(d.Body)) {
			found = true
			if err != nil {
				yield(Part{d.place(1), d.Body, err})
				return
			}
			if !yield(Part{d.place(item.Number), bytes.Clone(item.Text), item.Err}) {
				return
			}
		}
		if !found {
			yield(Part{d.place(1), d.Body, annals.Invalid("message", "is empty")})
		}
	}
}

func (d Delivery) tooMany() bool {
	if bytes.Count(d.Body, []byte{'\n'})+bytes.Count(d.Body, []byte{','}) < MaxDeliveryMessages {
		return false // messages stand between these
	}
	n := 0
	for range Items(bytes.NewReader(d.Body)) {
		if n++; n > MaxDeliveryMessages {
			return true
		}
	}
	return false
}

// WithIDs yields bodies that together hold the messages of d, in their order, to be
// sent from elsewhere: each message that may have an id and has none gets its Place for
// one, as Receive would give it. A body has at most limit bytes, or one message.
func (d Delivery) WithIDs(limit int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		start, between, end := "", byte('\n'), ""
		if first := bytes.TrimLeft(d.Body, "\ufeff \t\r\n"); len(first) > 0 && first[0] == '[' {
			start, between, end = "[", ',', "]"
		}
		var body []byte
		messages := 0
		flush := func() bool {
			if messages > 1 {
				body = append(body, end...)
			} else {
				body = body[len(start):]
			}
			return yield(body)
		}
		for part := range d.Parts() {
			text := WithID(part.Text, part.Place)
			if messages > 0 && len(body)+1+len(text)+len(end) > limit {
				if !flush() {
					return
				}
				body, messages = nil, 0
			}
			if messages == 0 {
				body = []byte(start)
			} else {
				body = append(body, between)
			}
			body, messages = append(body, text...), messages+1
		}
		flush()
	}
}

func (d Delivery) place(number int) string { return fmt.Sprint(d.ID, "#", number) }

// WithID returns text with this id if it is a message that may have one and has
// none, a command body, and otherwise as it is. So a message keeps the id that its
// first place gave it when it is sent again from elsewhere.
func WithID(text []byte, id string) []byte {
	if checkObject(text) != nil {
		return text
	}
	for name := range annals.JSONMembers(text) {
		switch name {
		case "specversion", "requestId":
			return text
		case "aggregateId":
			return insertID(text, id)
		}
	}
	return text
}

func insertID(text []byte, id string) []byte {
	for name := range annals.JSONMembers(text) {
		if name == "id" {
			return text
		}
	}
	head, members, _ := bytes.Cut(text, []byte{'{'})
	return append(appendMember(append(bytes.Clone(head), '{'), "id", id), members...)
}

// A panicked error is a panic over one message, with its stack. It counts as that
// message's own fault.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string {
	return fmt.Sprintf("the message made the program panic: %v\n%s", p.value, p.stack)
}

// ErrorCode is annals.CodeInternal.
func (p *panicked) ErrorCode() annals.Code { return annals.CodeInternal }

// caught is for a deferred call: it turns a panic into an error.
func caught(err *error) {
	if value := recover(); value != nil {
		*err = &panicked{value, debug.Stack()}
	}
}
