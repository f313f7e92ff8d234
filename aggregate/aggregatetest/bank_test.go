package aggregatetest_test

import (
	"errors"

	"github.com/eb901187/annals/aggregate"
)

// A bank account, the domain of these tests.
type (
	Event interface{ event() }

	Opened    struct{ Owner string }
	Deposited struct {
		Amount   int64  `json:"amount"`
		Currency string `json:"currency"`
	}
	Withdrawn struct{ Amount int64 }

	Account struct {
		Owner   string
		Balance int64
	}
)

func (Opened) event()    {}
func (Deposited) event() {}
func (Withdrawn) event() {}

var errNotCovered = errors.New("the balance does not cover it")

func evolve(a Account, e Event) Account {
	switch e := e.(type) {
	case Opened:
		a.Owner = e.Owner
	case Deposited:
		a.Balance += e.Amount
	case Withdrawn:
		a.Balance -= e.Amount
	}
	return a
}

func withdraw(amount int64) func(Account) ([]Event, error) {
	return func(a Account) ([]Event, error) {
		switch {
		case amount == 0:
			return nil, nil
		case a.Balance < amount:
			return nil, errNotCovered
		}
		return []Event{Withdrawn{amount}}, nil
	}
}

var accounts = aggregate.Must(aggregate.New("account", aggregate.Schema[Event]{
	Events: []aggregate.Variant[Event]{
		aggregate.Event[Event, Opened]("account-opened", 1),
		aggregate.Event[Event, Deposited]("money-deposited", 1),
		aggregate.Event[Event, Withdrawn]("money-withdrawn", 1),
	},
}, evolve, nil))
