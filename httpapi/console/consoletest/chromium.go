package consoletest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// chromium is the browser that all tests of a binary share; it is started by the
// first that opens a tab.
var chromium struct {
	sync.Mutex
	ctx  context.Context
	stop func()
}

// Main runs the tests of a package and ends the browser and the store that they
// shared. A package that calls Open or Big needs it, in TestMain.
func Main(m *testing.M) int {
	defer closeBig()
	defer func() {
		chromium.Lock()
		defer chromium.Unlock()
		if chromium.stop != nil {
			chromium.stop()
		}
	}()
	return m.Run()
}

// browser is a context of the shared browser.
func browser() (context.Context, error) {
	chromium.Lock()
	defer chromium.Unlock()
	if chromium.ctx != nil {
		return chromium.ctx, nil
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, fmt.Errorf("%w: run tools/chromium.sh", err)
	}
	profile, err := os.MkdirTemp("", "annals-chromium-")
	if err != nil {
		return nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(profile),
		chromedp.NoSandbox, // Chromium refuses its sandbox to root, and pages are the console's own
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("hide-scrollbars", true),
	)
	allocator, free := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, end := chromedp.NewContext(allocator)
	stop := func() {
		end()
		free()
		_ = os.RemoveAll(profile) // a temporary directory
	}
	if err := chromedp.Do(ctx); err != nil {
		stop()
		return nil, fmt.Errorf("%s can't be started: %w", path, err)
	}
	chromium.ctx, chromium.stop = ctx, stop
	return ctx, nil
}

// root is the directory of the module.
func root() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("there is no go.mod above the working directory")
		}
	}
	return "", err
}
