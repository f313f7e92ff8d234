//go:build annals_log_no_sync

package embedded

func init() { planted.noSync = true }
