//go:build annals_stale_head

package dynamo

func init() { planted.staleHead = true }
