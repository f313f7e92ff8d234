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
// several lines, or the lines of NDJSON, each as soon as it was read. A byte
// order mark in front is left out. The error is that of reading, or of a
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
	if err := discardStart(in); err != nil {
		return false, err
	}
	first, err := peekLine(in, 0)
	if err != nil {
		return false, err
	}
	if first[0] == '[' {
		return true, nil
	}
	if first[0] != '{' || first[len(first)-1] != '\n' || annals.CheckEnvelope(first) == nil {
		return false, nil
	}
	for read := len(first); ; {
		next, err := peekLine(in, read)
		if err != nil || len(next) == 0 {
			return false, err
		}
		if len(bytes.TrimSpace(next)) > 0 {
			return next[0] != '{', nil
		}
		read += len(next)
	}
}

// discardStart drops the byte order mark that some editors write, and blank
// lines before the first message.
func discardStart(in *bufio.Reader) error {
	if c, err := in.Peek(1); err != nil {
		return err
	} else if mark := "\ufeff"; c[0] == mark[0] {
		if head, err := in.Peek(len(mark)); err == nil && string(head) == mark {
			_, _ = in.Discard(len(mark)) // what was peeked at is there
		}
	}
	for {
		c, err := in.Peek(1)
		if err != nil || c[0] != ' ' && c[0] != '\t' && c[0] != '\n' && c[0] != '\r' {
			return err
		}
		_, _ = in.Discard(1) // what was peeked at is there
	}
}

// peekLine returns the line that starts at byte from, without waiting for more
// than that: another may come only after it was stored. It is cut off at the end
// of the input and of the buffer.
func peekLine(in *bufio.Reader, from int) ([]byte, error) {
	for searched := from; ; {
		head, err := in.Peek(in.Buffered())
		if err != nil {
			return nil, err
		}
		if i := bytes.IndexByte(head[searched:], '\n'); i >= 0 {
			return head[from : searched+i+1], nil
		}
		if searched = len(head); searched == in.Size() {
			return head[from:], nil
		}
		if _, err = in.Peek(searched + 1); err == io.EOF {
			head, err = in.Peek(searched) // reading may have moved it
			return head[from:], err
		}
		if err != nil {
			return nil, err
		}
	}
}

func documentItems(in *bufio.Reader, yield func(Item, error) bool) {
	text, err := io.ReadAll(io.LimitReader(in, MaxDocumentBytes+1))
	if err == nil && text[0] == '{' && annals.CheckEnvelope(text) != nil && holdsWholeLine(text) {
		// The first line was a broken message, not the start of a document.
		lineItems(bufio.NewReaderSize(io.MultiReader(bytes.NewReader(text), in), in.Size()), yield)
		return
	}
	if err == nil && len(text) > MaxDocumentBytes {
		err = tooLarge("document", MaxDocumentBytes, "; write one message a line (NDJSON)")
	}
	if err == nil {
		err = annals.CheckEnvelope(text)
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

// holdsWholeLine reports whether a line of text is an object of its own.
func holdsWholeLine(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line[0] == '{' && annals.CheckEnvelope(line) == nil {
			return true
		}
	}
	return false
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
