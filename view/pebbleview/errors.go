package pebbleview

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/cockroachdb/pebble/v2"

	"github.com/eb901187/annals"
)

// rebuild is what mends damaged views.
const rebuild = "rebuild: delete the directory; annals projection rebuild --all builds the views again"

func damaged(dir, what string, cause error) error {
	return &annals.Error{Code: annals.CodeDamaged, Message: "the views in " + dir + " are damaged: " + what, Hint: rebuild, Err: cause}
}

// storeErr gives an error of Pebble or the file system its code.
func storeErr(dir, doing string, err error) error {
	if err == nil || annals.CodeOf(err) != annals.CodeInternal {
		return err
	}
	e := &annals.Error{Code: annals.CodeUnavailable, Err: err, Message: doing + " in " + dir, Hint: "see to the disk and open the views again"}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Code, e.Hint = annals.CodeNoSpace, "free some space and open the views again"
	case pebble.IsCorruptionError(err), errors.Is(err, fs.ErrNotExist):
		return damaged(dir, doing, err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		e.Hint = "views are written to: see to the owner and the permissions of the directory"
	case errors.Is(err, syscall.ENOTDIR):
		e.Code, e.Hint = annals.CodeInvalid, "views are kept in a directory: name another"
	}
	return e
}
