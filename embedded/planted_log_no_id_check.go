//go:build annals_log_no_id_check

package embedded

func init() { planted.noIDCheck = true }
