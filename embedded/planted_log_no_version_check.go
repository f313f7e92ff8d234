//go:build annals_log_no_version_check

package embedded

func init() { planted.noVersionCheck = true }
