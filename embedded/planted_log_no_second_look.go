//go:build annals_log_no_second_look

package embedded

func init() { planted.noSecondLook = true }
