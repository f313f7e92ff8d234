package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/eb901187/annals"
)

const (
	// MaxMessageBytes bounds one message: the largest data in base64, and the rest.
	MaxMessageBytes = 2 << 20
	// MaxDocumentBytes bounds input that is one JSON document. Lines of NDJSON
	// are read one by one and may go on without end.
	MaxDocumentBytes = 64 << 20
)

// An Item is one message as it stands in the input.
type Item struct {
	Number int    // of the message, from 1; of its line in NDJSON
	Text   []byte // valid until the next item
	Err    error  // why the message can't be read; others may follow
}

// Items yields the messages of r: those of a JSON array, one JSON object over
// several lines, or the lines of NDJSON. The error is that of reading, or of a
// document that is no JSON; then nothing was yielded.
func Items(r io.Reader) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		in := bufio.NewReaderSize(r, 256<<10)
		document, err := isDocument(in)
		switch {
		case err == io.EOF:
		case err != nil:
			yield(Item{}, err)
		case document:
			documentItems(in, yield)
		default:
			lineItems(in, yield)
		}
	}
}

// isDocument looks at the start of the input: an array, or an object whose
// first line is not all of it and whose second does not start another object.
func isDocument(in *bufio.Reader) (bool, error) {
	for {
		c, err := in.Peek(1)
		if err != nil {
			return false, err
		}
		if c[0] != ' ' && c[0] != '\t' && c[0] != '\n' && c[0] != '\r' {
			break
		}
		// Blank lines before the first message count for nothing.
		if _, err := in.Discard(1); err != nil {
			return false, err
		}
	}
	head, err := in.Peek(in.Size())
	if err != nil && err != io.EOF && !errors.Is(err, bufio.ErrBufferFull) {
		return false, err
	}
	if head[0] == '[' {
		return true, nil
	}
	first, rest, more := bytes.Cut(head, []byte{'\n'})
	if !more || head[0] != '{' || annals.CheckJSON(first) == nil {
		return false, nil
	}
	return !bytes.HasPrefix(rest, []byte{'{'}), nil
}

func documentItems(in *bufio.Reader, yield func(Item, error) bool) {
	text, err := io.ReadAll(io.LimitReader(in, MaxDocumentBytes+1))
	if err == nil && len(text) > MaxDocumentBytes {
		err = tooLarge("document", MaxDocumentBytes, "; write one message a line (NDJSON)")
	}
	if err == nil {
		err = annals.CheckJSON(text)
	}
	if err != nil {
		yield(Item{}, err)
		return
	}
	if text[0] == '{' {
		yield(Item{1, text, oversize(text)}, nil)
		return
	}
	n := 0
	for element := range annals.JSONElements(text) {
		if n++; !yield(Item{n, element, oversize(element)}, nil) {
			return
		}
	}
}

func oversize(text []byte) error {
	if len(text) > MaxMessageBytes {
		return tooLarge("message", MaxMessageBytes, "")
	}
	return nil
}

func tooLarge(what string, limit int, advice string) error {
	return &annals.InvalidError{Code: annals.CodeTooLarge, Violations: []annals.Violation{
		{Field: what, Message: fmt.Sprintf("is over the limit of %d bytes%s", limit, advice)},
	}}
}

func lineItems(in *bufio.Reader, yield func(Item, error) bool) {
	var long []byte
	for n := 1; ; n++ {
		line, over, err := readLine(in, &long)
		if err != nil && err != io.EOF {
			yield(Item{}, err)
			return
		}
		line = bytes.TrimRight(line, "\r\n")
		item := Item{n, line, nil}
		if over {
			item.Err = tooLarge("message", MaxMessageBytes, "")
		}
		if len(bytes.TrimSpace(line)) > 0 && !yield(item, nil) || err == io.EOF {
			return
		}
	}
}

// readLine returns the next line; over says that it was longer than a message
// may be and is cut off.
func readLine(in *bufio.Reader, long *[]byte) (line []byte, over bool, err error) {
	line, err = in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, false, err
	}
	*long = append((*long)[:0], line...)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = in.ReadSlice('\n')
		if len(*long)+len(line) <= MaxMessageBytes {
			*long = append(*long, line...)
		} else {
			over = true
		}
	}
	return *long, over, err
}
