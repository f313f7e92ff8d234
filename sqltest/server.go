package sqltest

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// attempts bounds how many ports are tried. Between picking a free port and
// listening on it another program may take it; many times in a row it will not.
const attempts = 20

// A program is a database server as Debian packages it.
type program struct {
	name  string
	files map[string][]string // by variable of the script: a program, and patterns of where else than on PATH to look for it
	users []string            // who may run it where the test is root's, the first that exists
	serve string              // a script: makes the data in $dir and becomes the server on $port
	stop  string              // the signal that ends it at once
	ready string              // what it says once it listens
	taken string              // what it says where another program has the port
}

// A server is a running program.
type server struct {
	name string
	port string
	// alive is open as long as this process lives. The server ends with it.
	alive     io.Closer
	admin     *sql.DB
	databases atomic.Int64
}

// keeper runs the server and outlives us: it sees our end by the end of its
// standard input. It holds our standard output, so that whoever reads that to its
// end, as go test does, finds nothing left running. It lets go of our standard
// error, as a word said into a pipe that nobody reads would kill it.
const keeper = `
exec 3<&0
( %s ) </dev/null >&2 &
server=$!
exec 2>/dev/null
{ read -r _ || kill -%s "$server"; } <&3 >/dev/null &
watcher=$!
wait "$server"
kill "$watcher"
rm -rf "$dir"
`

func (p *program) start() (*server, error) {
	env, err := p.find()
	if err != nil {
		return nil, err
	}
	for range attempts {
		s, taken, err := p.listen(env)
		if err != nil {
			return nil, fmt.Errorf("starting %s: %w", p.name, err)
		}
		if !taken {
			return s, nil
		}
	}
	return nil, fmt.Errorf("starting %s: %d free ports were taken before it could listen", p.name, attempts)
}

// find says, as variables of the script, where the programs are.
func (p *program) find() ([]string, error) {
	env := []string{"PATH=" + os.Getenv("PATH") + ":/usr/bin:/bin", "LC_ALL=C"}
	for variable, names := range p.files {
		path, err := exec.LookPath(names[0])
		for _, pattern := range names[1:] {
			if found, _ := filepath.Glob(pattern); err != nil && len(found) > 0 {
				path, err = found[len(found)-1], nil
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s is missing, a part of %s: install it with tools/servers.sh, or all that tests need with make stand-ins", names[0], p.name)
		}
		env = append(env, variable+"="+path)
	}
	return env, nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), l.Close()
}

// listen runs the program in a directory of its own and returns once it listens,
// or found the port taken.
func (p *program) listen(env []string) (_ *server, taken bool, err error) {
	port, err := freePort()
	if err != nil {
		return nil, false, err
	}
	dir, err := os.MkdirTemp(parent(), "annals-sqltest")
	if err != nil {
		return nil, false, err
	}
	c := exec.Command("/bin/sh", "-c", fmt.Sprintf(keeper, p.serve, p.stop))
	c.Dir, c.Stdout = dir, os.Stdout
	c.Env = append(env, "dir="+dir, "port="+port)
	if err := p.disown(c); err != nil {
		_ = os.RemoveAll(dir)
		return nil, false, err
	}
	alive, err := c.StdinPipe()
	if err != nil {
		return nil, false, err
	}
	errs, err := c.StderrPipe()
	if err != nil {
		return nil, false, err
	}
	if err := c.Start(); err != nil {
		_ = os.RemoveAll(dir)
		return nil, false, err
	}
	said, err := p.untilReady(errs)
	if err != nil {
		_ = alive.Close()
		_ = c.Wait()
		if strings.Contains(said, p.taken) {
			return nil, true, nil
		}
		return nil, false, fmt.Errorf("it ended before it listened and said %s", strconv.Quote(said))
	}
	go func() {
		_, _ = io.Copy(io.Discard, errs) // a full pipe would stop it
		_ = c.Wait()
	}()
	return &server{name: p.name, port: port, alive: alive}, false, nil
}

// disown has c run in a process group of its own, which no interrupt of the
// terminal reaches, and as a user that the servers accept: not as root.
func (p *program) disown(c *exec.Cmd) error {
	if os.Getuid() != 0 {
		return runAs(c, nil)
	}
	for _, name := range append(p.users, "nobody") {
		if u, err := user.Lookup(name); err == nil {
			return runAs(c, u)
		}
	}
	return fmt.Errorf("it refuses to run as root, and there is no user %s to run it as", strings.Join(append(p.users, "nobody"), " or "))
}

// untilReady reads what the program says until it listens. What it said instead
// comes with the error.
func (p *program) untilReady(r io.Reader) (string, error) {
	var said strings.Builder
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if strings.Contains(lines.Text(), p.ready) {
			return "", nil
		}
		said.WriteString(lines.Text() + "\n")
	}
	return said.String(), io.ErrUnexpectedEOF
}

// database makes an empty database that lives as long as t and returns its name.
func (s *server) database(t testing.TB, drop string) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", s.databases.Add(1))
	if _, err := s.admin.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatalf("making a database of %s: %v", s.name, err)
	}
	t.Cleanup(func() {
		if _, err := s.admin.ExecContext(context.Background(), fmt.Sprintf(drop, name)); err != nil {
			t.Errorf("dropping a database of %s: %v", s.name, err)
		}
	})
	return name
}

func open(t testing.TB, driver, source string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
