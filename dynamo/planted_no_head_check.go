//go:build annals_no_head_check

package dynamo

func init() { planted.noHeadCheck = true }
