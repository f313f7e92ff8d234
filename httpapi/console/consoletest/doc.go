// Package consoletest drives the console in Debian's Chromium, for tests from end to
// end, and keeps a large store for them to look at. It is for tests of the outside
// only (package console_test):
//
//	func TestMain(m *testing.M) { os.Exit(consoletest.Main(m)) }
//
//	func TestScreen(t *testing.T) {
//		b := consoletest.Open(t, consoletest.Big(t).Handler)
//		b.Go("streams")
//		b.Follow("main a")          // clicks, and waits for the next page
//		b.WaitText("h1", "order-1") // waits until it holds this
//		b.Screenshot("stream")      // testdata/screenshots/stream.png
//		b.Axe(t)                    // no serious accessibility violation
//		b.NoErrors(t)               // none in the browser's console either
//	}
//
// All tests of a binary share one browser; each has a tab, cookies and a server of
// its own. What does not come within ten seconds fails the test. tools/chromium.sh
// installs the browser and axe-core.
package consoletest
