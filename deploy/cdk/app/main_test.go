package main

import (
	"regexp"
	"testing"
)

// CloudFormation takes fewer names for a stack than a store may have, and another
// name for each store.
func TestStackName(t *testing.T) {
	allowed := regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`)
	for name, want := range map[string]string{
		"annals": "annals", "my-orders2": "my-orders2", "my_orders": "annals-my-orders", "2orders": "annals-2orders", "2_o": "annals-2-o",
	} {
		got := stackName(name)
		if got != want || !allowed.MatchString(got) {
			t.Errorf("the stack of %s is %s, not %s", name, got, want)
		}
	}
}
