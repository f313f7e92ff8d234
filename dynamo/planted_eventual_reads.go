//go:build annals_eventual_reads

package dynamo

func init() { planted.eventualReads = true }
