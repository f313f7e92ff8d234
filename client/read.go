package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"iter"

	"github.com/eb901187/annals"
)

// Stream implements annals.Driver.
func (d *driver) Stream(ctx context.Context, stream string, from, to int64, backward bool) iter.Seq2[annals.Event, error] {
	events := d.events(ctx, d.streamURL(stream)+"?"+streamValues(from, to, backward).Encode())
	return func(yield func(annals.Event, error) bool) {
		for e, err := range events {
			if errors.Is(err, annals.ErrNotFound) {
				return // an unknown stream has no events
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Log implements annals.Driver.
func (d *driver) Log(ctx context.Context, q annals.Query) iter.Seq2[annals.Event, error] {
	return d.events(ctx, d.base+"/v1/events?"+queryValues(q).Encode())
}

// events reads NDJSON. The end of the body is the end of the events only where
// the server ended it in order: otherwise reading it fails.
func (d *driver) events(ctx context.Context, address string) iter.Seq2[annals.Event, error] {
	return func(yield func(annals.Event, error) bool) {
		ctx, cancel := d.scope(ctx)
		defer cancel()
		answer, err := d.get(ctx, address, "application/x-ndjson")
		if err != nil {
			yield(annals.Event{}, err)
			return
		}
		defer answer.Body.Close()
		lines := bufio.NewReaderSize(answer.Body, 64<<10)
		var long []byte
		for {
			line, err := readLine(lines, &long)
			if err == io.EOF && len(line) == 0 {
				return
			}
			if err == nil && ctx.Err() != nil {
				err = context.Cause(ctx) // lines that had arrived before
			}
			if err != nil {
				yield(annals.Event{}, d.readErr(ctx, err))
				return
			}
			if len(bytes.TrimSpace(line)) == 0 {
				continue // a heartbeat
			}
			e, err := annals.ParseEvent(line)
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func (d *driver) readErr(ctx context.Context, err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return d.sendErr(ctx, err, false)
}

// readLine reads a line of any length; the result is valid until the next call.
func readLine(in *bufio.Reader, long *[]byte) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	*long = append((*long)[:0], line...)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = in.ReadSlice('\n')
		*long = append(*long, line...)
	}
	return *long, err
}
