// Package storetest holds the contract of a store as tests that every driver
// passes, each case named for its clause, and a driver that fails on demand.
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) annals.Driver {
//			driver, err := mydriver.OpenDriver(t.TempDir(), nil)
//			…
//			return driver
//		})
//	}
package storetest
