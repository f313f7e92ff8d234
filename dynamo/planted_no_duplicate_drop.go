//go:build annals_no_duplicate_drop

package dynamo

func init() { planted.noDuplicateDrop = true }
