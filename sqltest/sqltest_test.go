package sqltest_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/eb901187/annals/sqltest"
)

var databases = map[string]func(t *testing.T){
	"PostgreSQL": func(t *testing.T) {
		db := sqltest.Postgres(t)
		if _, err := db.Exec("CREATE TABLE made (n integer)"); err != nil {
			t.Error(err)
		}
	},
	"MariaDB": func(t *testing.T) {
		db := sqltest.MariaDB(t)
		if _, err := db.Exec("CREATE TABLE made (n integer)"); err != nil {
			t.Error(err)
		}
	},
}

// A second table of that name would be refused where the first still is.
func TestEveryDatabaseIsEmptyAndItsOwn(t *testing.T) {
	for name, test := range databases {
		t.Run(name, func(t *testing.T) {
			test(t)
			test(t)
			t.Run("inner", test)
		})
	}
}

func TestADatabaseEndsWithTheTest(t *testing.T) {
	count := map[string]int{}
	for range 2 {
		t.Run("inner", func(t *testing.T) {
			pg, maria := sqltest.Postgres(t), sqltest.MariaDB(t)
			var n, m int
			if err := errors.Join(
				pg.QueryRow("SELECT COUNT(*) FROM pg_database").Scan(&n),
				maria.QueryRow("SELECT COUNT(*) FROM information_schema.schemata").Scan(&m),
			); err != nil {
				t.Fatal(err)
			}
			count[fmt.Sprint(n, m)]++
		})
	}
	if len(count) != 1 {
		t.Fatalf("servers had %v databases", count)
	}
}

// How a process ends that finds this in its environment.
const endBy = "SQLTEST_END_BY"

func TestURLsNameServersOfThisMachineAlone(t *testing.T) {
	for _, address := range []string{sqltest.PostgresURL(t), sqltest.MariaDBURL(t)} {
		u, err := url.Parse(address)
		if err != nil || u.Hostname() != "127.0.0.1" {
			t.Fatalf("%s: %v", address, err)
		}
		fmt.Println("listens:", u.Host)
		for _, other := range others(t) {
			if conn, err := net.Dial("tcp", net.JoinHostPort(other, u.Port())); err == nil {
				_ = conn.Close()
				t.Errorf("%s listens on %s too", address, other)
			}
		}
	}
	end[os.Getenv(endBy)]()
}

// others are the addresses of this machine that others can reach.
func others(t *testing.T) (list []string) {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() {
			list = append(list, ip.IP.String())
		}
	}
	return list
}

var end = map[string]func(){
	"": func() {},
	"panic": func() {
		done := make(chan struct{})
		go func() { defer close(done); panic("planted") }()
		<-done
	},
	"kill": func() {
		p, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = p.Kill()
		}
		fmt.Println("still alive:", err)
		select {}
	},
}

// startServers has a process of its own start both and returns what it says. Its
// output ends when nothing that it has started is left.
func startServers(t *testing.T, env ...string) (said string, err error) {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestURLsNameServersOfThisMachineAlone$")
	c.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err = c.Run()
	return out.String(), err
}

func TestServersEndWithTheirProcess(t *testing.T) {
	for how := range end {
		t.Run("by "+how, func(t *testing.T) {
			// Not t.TempDir, which lets nobody in but us.
			dir, err := os.MkdirTemp("", "ends")
			if err == nil {
				err = os.Chmod(dir, 0o755|os.ModeSticky|0o777)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			said, err := startServers(t, endBy+"="+how, "TMPDIR="+dir)
			if (err == nil) != (how == "") {
				t.Errorf("it ended in %v", err)
			}
			listened := regexp.MustCompile(`listens: (\S+)`).FindAllStringSubmatch(said, -1)
			if len(listened) != 2 {
				t.Fatalf("it said %s", said)
			}
			for _, l := range listened {
				if conn, err := net.Dial("tcp", l[1]); err == nil {
					_ = conn.Close()
					t.Errorf("something still listens on %s", l[1])
				}
			}
			if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestMissingProgramSaysWhatToDo(t *testing.T) {
	said, err := startServers(t, "PATH="+t.TempDir())
	if err == nil || !strings.Contains(said, "tools/servers.sh") || !strings.Contains(said, "make stand-ins") {
		t.Fatalf("%v: %s", err, said)
	}
}

func TestAServerThatDoesNotStartSaysWhy(t *testing.T) {
	for says, want := range map[string]string{
		"no disk today":          "no disk today",
		"Address already in use": "free ports were taken",
	} {
		dir := t.TempDir()
		fake := "#!/bin/sh\necho " + says + " >&2\nexit 1\n"
		err := errors.Join(
			os.WriteFile(filepath.Join(dir, "initdb"), []byte(fake), 0o755),
			os.Chmod(filepath.Dir(dir), 0o755), // it runs as another user
		)
		if err != nil {
			t.Fatal(err)
		}
		said, err := startServers(t, "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
		if err == nil || !strings.Contains(said, "starting PostgreSQL") || !strings.Contains(said, want) {
			t.Errorf("%v: %s", err, said)
		}
	}
}
