package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/eb901187/annals"
)

func damaged(file string, offset int64, what string) error {
	return &annals.Error{
		Code:    annals.CodeDamaged,
		Message: fmt.Sprintf("%s, byte %d: %s", file, offset, what),
		Hint:    "run annals verify to list all damage; restore the store from a backup; nothing was deleted",
	}
}

func damagedIndex(dir, what string, cause error) error {
	return &annals.Error{
		Code: annals.CodeDamaged, Err: cause,
		Message: dir + ": " + what,
		Hint:    "the log is whole; run annals reindex to build the index again from it",
	}
}

// storeErr gives an error of the file system its code.
func storeErr(dir, doing string, err error) error {
	if err == nil || annals.CodeOf(err) != annals.CodeInternal {
		return err
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &annals.Error{
			Code: annals.CodeNoSpace, Err: err,
			Message: "no space left in " + dir + " while " + doing + "; nothing was stored",
			Hint:    "free some space and append again; the store need not be opened anew",
		}
	}
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return &annals.Error{
			Code: annals.CodeUnavailable, Err: err, Message: doing + " in " + dir + " is not permitted",
			Hint: "every command needs to write there: see to the owner and the permissions of the directory",
		}
	case errors.Is(err, syscall.ENOTDIR):
		return &annals.Error{
			Code: annals.CodeInvalid, Err: err, Message: dir + " is, or lies below, a file", Hint: "a store is a directory: name another",
		}
	}
	return &annals.Error{Code: annals.CodeInternal, Err: err, Message: doing + " in " + dir}
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
