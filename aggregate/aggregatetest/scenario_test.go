package aggregatetest_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/aggregate"
	"github.com/eb901187/annals/aggregate/aggregatetest"
)

// A recorder takes the failures of the test that it stands for.
type recorder struct {
	testing.TB
	text string
}

func (r *recorder) Helper()                           {}
func (r *recorder) Name() string                      { return "TestRecorded/sub" }
func (r *recorder) Errorf(format string, args ...any) { r.text += fmt.Sprintf(format, args...) + "\n" }

func (r *recorder) Fatal(args ...any) {
	r.text += fmt.Sprint(args...) + "\n"
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// failure returns what a test prints when it fails, "" if it passes.
func failure(t *testing.T, test func(testing.TB)) string {
	r := &recorder{TB: t}
	done := make(chan bool)
	go func() {
		defer close(done)
		test(r)
	}()
	<-done
	return r.text
}

var aboutAccounts = aggregatetest.Scenario(accounts)

func TestScenariosThatHold(t *testing.T) {
	given := aboutAccounts.Given(Opened{"Ada"}, Deposited{50, "EUR"})
	balance := func(want int64) func(Account) error {
		return func(a Account) error {
			if a.Balance != want || a.Owner != "Ada" {
				return fmt.Errorf("balance %d of %s", a.Balance, a.Owner)
			}
			return nil
		}
	}
	given.When(withdraw(30)).Then(t, Withdrawn{30}).ThenState(t, balance(20))
	given.When(withdraw(0)).ThenNothing(t).ThenState(t, balance(50))
	given.When(withdraw(0)).Then(t)
	given.When(withdraw(50)).ThenState(t, balance(0))
	given.When(withdraw(51)).ThenError(t, errNotCovered)
	wrapped := func(Account) ([]Event, error) { return nil, fmt.Errorf("no: %w", errNotCovered) }
	aboutAccounts.When(wrapped).ThenError(t, errNotCovered)
}

func TestScenariosThatFailSayWhy(t *testing.T) {
	given := aboutAccounts.Given(Opened{"Ada"}, Deposited{50, "EUR"})
	several := func(Account) ([]Event, error) {
		return []Event{Deposited{1, "EUR"}, Deposited{2, "EUR"}, Withdrawn{3}}, nil
	}
	for name, c := range map[string]struct {
		test func(testing.TB)
		want string
	}{
		"other events": {
			func(t testing.TB) { given.When(several).Then(t, Deposited{1, "EUR"}, Withdrawn{3}, Opened{"x"}) },
			"the command decided otherwise (- expected, + decided):\n" +
				"  money-deposited {\"amount\":1,\"currency\":\"EUR\"}\n+ money-deposited {\"amount\":2,\"currency\":\"EUR\"}\n" +
				"  money-withdrawn {\"Amount\":3}\n- account-opened {\"Owner\":\"x\"}\n",
		},
		"other order": {
			func(t testing.TB) {
				given.When(several).Then(t, Withdrawn{3}, Deposited{1, "EUR"}, Deposited{2, "EUR"})
			},
			"- money-withdrawn",
		},
		"no events": {func(t testing.TB) { given.When(withdraw(0)).Then(t, Withdrawn{0}) }, "- money-withdrawn {\"Amount\":0}\n"},
		"an error in place of events": {
			func(t testing.TB) { given.When(withdraw(51)).Then(t, Withdrawn{51}) },
			"the command failed: the balance does not cover it\nit should have decided:\n  money-withdrawn {\"Amount\":51}\n",
		},
		"an error in place of nothing":    {func(t testing.TB) { given.When(withdraw(51)).ThenNothing(t) }, "it should have decided:\n  (nothing)\n"},
		"an error in place of a state":    {func(t testing.TB) { given.When(withdraw(51)).ThenState(t, nil) }, "the command failed: the balance"},
		"events in place of nothing":      {func(t testing.TB) { given.When(withdraw(5)).ThenNothing(t) }, "+ money-withdrawn {\"Amount\":5}\n"},
		"events in place of an error":     {func(t testing.TB) { given.When(withdraw(5)).ThenError(t, errNotCovered) }, "should have failed with: the balance does not cover it\nit decided:\n  money-withdrawn"},
		"another error":                   {func(t testing.TB) { given.When(withdraw(51)).ThenError(t, annals.ErrClosed) }, "- annals: the store is closed\n+ the balance does not cover it\n"},
		"no error that could be expected": {func(t testing.TB) { given.When(withdraw(51)).ThenError(t, nil) }, "ThenError needs an error"},
		"a state": {
			func(t testing.TB) {
				given.When(withdraw(5)).Then(t, Withdrawn{5}).ThenState(t, func(Account) error { return errors.New("so poor") })
			},
			"so poor\nit is {\n  \"Owner\": \"Ada\",\n  \"Balance\": 45\n}\n",
		},
		"a given event that can't be stored": {func(t testing.TB) { aboutAccounts.Given(Opened{"\xff"}).When(withdraw(0)).ThenNothing(t) }, "event 1 of those given: annals: event account-opened"},
		"a decided event that can't be stored": {
			func(t testing.TB) {
				aboutAccounts.When(func(Account) ([]Event, error) { return []Event{Opened{}, &Opened{}}, nil }).ThenError(t, errNotCovered)
			},
			"event 2 of those decided: annals: an event of type *aggregatetest_test.Opened is not in the schema",
		},
		"an expected event that can't be stored": {func(t testing.TB) { given.When(withdraw(5)).Then(t, nil) }, "event 1 of those expected"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := failure(t, c.test); !strings.Contains(got, c.want) {
				t.Fatalf("got:\n%s\nwant:\n%s", got, c.want)
			}
		})
	}
}

// A state that a snapshot would not bring back fails in the tests of its
// commands.
func TestScenarioFindsAStateThatASnapshotWouldLose(t *testing.T) {
	type counted struct{ hidden int }
	typ, err := aggregate.New("count", aggregate.Schema[Opened]{Events: []aggregate.Variant[Opened]{
		aggregate.Event[Opened, Opened]("opened", 1),
	}}, func(c counted, _ Opened) counted {
		c.hidden++
		return c
	}, &aggregate.Options[counted]{SnapshotVersion: 1})
	if err != nil {
		t.Fatal(err)
	}
	got := failure(t, func(t testing.TB) {
		aggregatetest.Scenario(typ).When(func(counted) ([]Opened, error) { return []Opened{{}}, nil }).Then(t, Opened{})
	})
	if !strings.Contains(got, "a snapshot of the state after the events decided") || !strings.Contains(got, ".hidden") {
		t.Fatalf("got %s", got)
	}
}
