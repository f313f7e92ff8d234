package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// withKeys is a place with keys, and orders that name a data subject.
func withKeys(t *testing.T, open func(t *testing.T, keys string) *place) (*place, string) {
	t.Helper()
	keys := filepath.Join(t.TempDir(), "keys")
	if got := typed(t.Context(), "", "keys", "new", keys); got.exit != 0 || !strings.Contains(got.out, "made a place for keys") {
		t.Fatalf("%+v", got)
	}
	p := open(t, keys)
	own := " --keys " + keys
	if p.remote {
		own = ""
	}
	for _, name := range []string{"7", "8"} {
		line := "append order-" + name + " --type placed --id placed --data-subject account-" + name + ` --data {"total":` + name + "} --store " + p.store + own
		if got := typed(t.Context(), "", strings.Fields(line)...); got.exit != 0 {
			t.Fatalf("%+v", got)
		}
	}
	return p, own
}

func TestEraseOnADirectoryAndAServer(t *testing.T) {
	for name, open := range map[string]func(t *testing.T, keys string) *place{
		"directory": func(t *testing.T, _ string) *place { return newPlace(t, filepath.Join(t.TempDir(), "store")) },
		"server": func(t *testing.T, keys string) *place {
			return servedFrom(t, filepath.Join(t.TempDir(), "store"), "--keys", keys)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each waits for seconds behind the fence
			p, own := withKeys(t, open)
			p.want(t, "projection rebuild orders"+own, 0)
			p.want(t, "view orders order-7 --wait 2"+own, 0, `"total": 7`)
			p.want(t, "erase account-7"+own, 2, "--dry-run", "--yes")
			p.want(t, "erase account-7 --dry-run"+own, 0, "WOULD BE ERASED  account-7", "events     1 in 1 stream", "view       orders: to be rebuilt")
			p.want(t, "view orders order-7 --wait 2"+own, 0, `"total": 7`)
			p.want(t, "erase account-7 --yes --reason request-12"+own, 0, "ERASED  account-7", "destroyed", "view       orders: rebuilt, generation ", "not covered:")
			p.want(t, "view orders order-7"+own, 0, `"total": 0`)
			p.want(t, "view orders order-8"+own, 0, `"total": 8`)
			line := "append order-7 --type placed --id placed --data-subject account-7 --data {\"total\":7} --store " + p.store + own
			if got := typed(t.Context(), "", strings.Fields(line)...); got.exit != 5 || !strings.Contains(got.errs, "erased; nothing was stored") {
				t.Errorf("the old append again: %+v", got)
			}
			if got := typed(t.Context(), "", strings.Fields("read order-7 --store "+p.store+own)...); got.exit != 0 || !strings.Contains(got.out, "(erased, of account-7)") {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestStoreOfSealedEventsWithoutKeys(t *testing.T) {
	p, own := withKeys(t, func(t *testing.T, _ string) *place { return newPlace(t, filepath.Join(t.TempDir(), "store")) })
	on := func(line string) outcome { return typed(t.Context(), "", strings.Fields(line+" --store "+p.store)...) }
	if got := on("log"); got.exit != 0 || !strings.Contains(got.out, "(sealed for account-7)") || strings.Contains(got.out, "total") {
		t.Errorf("%+v", got)
	}
	if got := on(`append order-9 --type placed --data-subject account-9 --data {"total":9}`); got.exit != 2 || !strings.Contains(got.errs, "ANNALS_KEYS") {
		t.Errorf("%+v", got)
	}
	if got := on("erase account-7 --yes"); got.exit != 2 || !strings.Contains(got.errs, "--keys") {
		t.Errorf("%+v", got)
	}
	if got := on("keys show account-7" + own); got.exit != 0 || !strings.Contains(got.out, "key ") || strings.Contains(got.out, "fenced") {
		t.Errorf("%+v", got)
	}
	if got := on("verify"); got.exit != 0 {
		t.Errorf("%+v", got)
	}
	if got := on("log --keys " + filepath.Join(t.TempDir(), "none")); got.exit != 4 {
		t.Errorf("%+v", got)
	}
	t.Setenv(keysVariable, strings.TrimPrefix(own, " --keys "))
	if got := on("log"); got.exit != 0 || !strings.Contains(got.out, `{"total":7}`) {
		t.Errorf("%+v", got)
	}
}

func TestMasterKeyThatOthersMayReadIsRefused(t *testing.T) {
	p, own := withKeys(t, func(t *testing.T, _ string) *place { return newPlace(t, filepath.Join(t.TempDir(), "store")) })
	master := filepath.Join(strings.TrimPrefix(own, " --keys "), "master.key")
	if err := os.Chmod(master, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := typed(t.Context(), "", strings.Fields("log --store "+p.store+own)...); got.exit == 0 || !strings.Contains(got.errs, "chmod 600") {
		t.Errorf("%+v", got)
	}
}

func TestKeysAreCopied(t *testing.T) {
	p, own := withKeys(t, func(t *testing.T, _ string) *place { return newPlace(t, filepath.Join(t.TempDir(), "store")) })
	from, to := strings.TrimPrefix(own, " --keys "), filepath.Join(t.TempDir(), "new")
	if got := typed(t.Context(), "", "keys", "copy", from, to); got.exit != 4 || !strings.Contains(got.errs, "annals keys new "+to) {
		t.Errorf("%+v", got)
	}
	if got := typed(t.Context(), "", "keys", "new", to); got.exit != 0 {
		t.Fatalf("%+v", got)
	}
	if got := typed(t.Context(), "", "keys", "copy", from, to); got.exit != 0 || !strings.Contains(got.out, "copied 2 keys to "+to+", wrapped by local:") {
		t.Errorf("%+v", got)
	}
	if got := typed(t.Context(), "", "keys", "copy", from, to, "--json"); got.exit != 0 || !strings.Contains(got.out, `"unchanged":2`) && !strings.Contains(got.out, `"unchanged": 2`) {
		t.Errorf("%+v", got)
	}
	if got := typed(t.Context(), "", "log", "--store", p.store, "--keys", to); got.exit != 0 || !strings.Contains(got.out, `{"total":7}`) {
		t.Errorf("%+v", got)
	}
}
