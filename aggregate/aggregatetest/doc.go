// Package aggregatetest tests aggregates without a store: what they decide
// (Scenario) and that what was stored can always be read (Golden).
//
//	aggregatetest.Scenario(accounts).
//		Given(Opened{Owner: "Ada"}, Deposited{Amount: 50}).
//		When(Withdraw(30)).
//		Then(t, Withdrawn{Amount: 30})
//
// All events pass through their encoding, so that one that can't be stored, or
// would lose something, fails here and not in production.
//
//	func TestStoredEvents(t *testing.T) { aggregatetest.Golden(t, accounts, "testdata/events", nil) }
//
// keeps an example of every event in every schema version, and fails when one
// is read differently from before.
package aggregatetest
