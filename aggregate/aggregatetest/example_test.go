package aggregatetest_test

import (
	"fmt"
	"testing"

	"github.com/eb901187/annals/aggregate/aggregatetest"
)

// printing takes the place of the *testing.T that tests have.
type printing struct{ testing.TB }

func (printing) Helper()                        {}
func (printing) Fatalf(format string, a ...any) { fmt.Printf(format, a...) }

func Example() {
	t := printing{}
	aggregatetest.Scenario(accounts).
		Given(Opened{"Ada"}, Deposited{50, "EUR"}).
		When(withdraw(30)).
		Then(t, Withdrawn{30})

	aggregatetest.Scenario(accounts).
		When(withdraw(30)).
		ThenError(t, errNotCovered)

	// This one is wrong.
	aggregatetest.Scenario(accounts).
		Given(Deposited{50, "EUR"}).
		When(withdraw(20)).
		Then(t, Withdrawn{30})
	// Output:
	// the command decided otherwise (- expected, + decided):
	// - money-withdrawn {"Amount":30}
	// + money-withdrawn {"Amount":20}
}
