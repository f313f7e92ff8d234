// Package viewtest holds the contract of a view.Store as tests that every Store
// passes, each case named for its clause.
//
//	func TestStore(t *testing.T) {
//		viewtest.Test(t, func(t *testing.T) view.Store {
//			return mystore.Open(t.TempDir())
//		}, nil)
//	}
package viewtest
