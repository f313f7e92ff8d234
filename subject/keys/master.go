package keys

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/subject"
)

const (
	masterFile = "master.key"
	masterMode = 0o600
)

// CreateDirectory makes a directory for keys in dir with a master key of chance, in a
// file that only its owner may read. Error: annals.ErrConflict where there is a master
// key already, which nothing is ever written over.
func CreateDirectory(dir string) error {
	if err := createDirectory(vfs.Default, dir); err != nil {
		return err
	}
	master := make([]byte, subject.KeyBytes)
	if _, err := rand.Read(master); err != nil {
		return fileErr(dir, err)
	}
	path := filepath.Join(dir, masterFile)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, masterMode)
	if errors.Is(err, iofs.ErrExist) {
		return &annals.Error{Code: annals.CodeConflict, Message: dir + " has a master key already", Hint: "use it, or choose another directory; data that was sealed with one is lost without it"}
	}
	if err != nil {
		return fileErr(dir, err)
	}
	_, err = fmt.Fprintln(file, hex.EncodeToString(master))
	clear(master)
	return fileErr(dir, errors.Join(err, file.Sync(), file.Close(), syncDir(vfs.Default, dir)))
}

// masterOf reads the master key of dir and refuses one that others may read.
func masterOf(dir string) (subject.Wrapper, error) {
	path := filepath.Join(dir, masterFile)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return nil, &annals.Error{Code: annals.CodeNotFound, Message: dir + " has no master key (" + masterFile + ")", Hint: "put the file back; or make keys with annals keys new " + dir}
	case err != nil:
		return nil, fileErr(dir, err)
	case info.Mode().Perm()&0o077 != 0:
		return nil, &annals.Error{Code: annals.CodeForbidden, Message: fmt.Sprintf("%s may be read by others (mode %#o)", path, info.Mode().Perm()), Hint: "chmod 600 " + path}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fileErr(dir, err)
	}
	master, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	clear(text)
	if err != nil {
		return nil, &annals.Error{Code: annals.CodeDamaged, Message: path + " is no master key: it must be 64 hexadecimal digits", Hint: "put back a copy of it"} // without the text
	}
	wrapper, err := subject.LocalWrapper(master)
	clear(master)
	return wrapper, err
}
