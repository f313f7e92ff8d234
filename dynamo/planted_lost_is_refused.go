//go:build annals_lost_is_refused

package dynamo

func init() { planted.lostIsRefused = true }
