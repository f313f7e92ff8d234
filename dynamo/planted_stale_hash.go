//go:build annals_stale_hash

package dynamo

func init() { planted.staleHash = true }
