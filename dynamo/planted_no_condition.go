//go:build annals_no_condition

package dynamo

func init() { planted.noCondition = true }
