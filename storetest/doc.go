// Package storetest holds the contract of a store as tests that every driver
// passes, each case named for its clause, and a driver that fails on demand.
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T, opts *annals.Options) *annals.Store {
//			store, err := mydriver.Open(t.TempDir(), opts)
//			…
//			return store
//		})
//	}
package storetest
