//go:build !unix

package sqltest

import (
	"errors"
	"os/exec"
	"os/user"
)

func runAs(*exec.Cmd, *user.User) error {
	return errors.New("tests start database servers on Unix only")
}
