//go:build unix

package sqltest

import (
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// runAs has c start in a process group of its own and, where u is not nil, as u,
// who is given c's directory.
func runAs(c *exec.Cmd, u *user.User) error {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if u == nil {
		return nil
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return err
	}
	c.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(c.Dir, int(uid), int(gid))
}
