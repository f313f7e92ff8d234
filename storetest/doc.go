// Package storetest holds the contract of a store as tests that every driver
// passes, each case named for its clause, and a driver that fails on demand.
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T, dir string) annals.Driver {
//			driver, err := mydriver.OpenDriver(dir, nil)
//			…
//			return driver
//		})
//	}
package storetest
