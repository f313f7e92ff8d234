//go:build annals_no_heal

package dynamo

func init() { planted.noHeal = true }
