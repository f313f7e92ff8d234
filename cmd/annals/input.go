package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/eb901187/annals"
)

const standardInput = "-"

// input opens a file, or the standard input for -. Reading it ends with ctx,
// also while it waits for a pipe or a terminal.
func (a *app) input(ctx context.Context, name string) (io.ReadCloser, error) {
	if name == standardInput {
		return interruptible(ctx, io.NopCloser(a.in)), nil
	}
	if err := checkInput(name); err != nil {
		return nil, err
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, inputErr(name, err)
	}
	return interruptible(ctx, file), nil
}

// checkInput finds what input can't open, as far as that shows from outside.
func checkInput(name string) error {
	if name == standardInput {
		return nil
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return inputErr(name, err)
	case info.IsDir():
		return &annals.Error{Code: annals.CodeInvalid, Message: name + " is a directory, not a file", Hint: "name a file, or - for the standard input"}
	}
	return nil
}

func inputErr(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &annals.Error{Code: annals.CodeNotFound, Message: "there is no file " + name, Hint: "name a file, or - for the standard input"}
	}
	return &annals.Error{Code: annals.CodeInvalid, Message: "the file can't be read", Err: err, Hint: "check its permissions"}
}

// A reading is a pipe that a goroutine fills, for a read of a terminal can't be
// called off otherwise.
type reading struct {
	*io.PipeReader
	from io.Closer
}

func interruptible(ctx context.Context, in io.ReadCloser) reading {
	r, w := io.Pipe()
	stop := context.AfterFunc(ctx, func() { _ = w.CloseWithError(ctx.Err()) }) // never fails
	go func() {
		_, err := io.Copy(w, in)
		_ = w.CloseWithError(err) // never fails
		stop()
	}()
	return reading{r, in}
}

func (r reading) Close() error { return errors.Join(r.PipeReader.Close(), r.from.Close()) }
