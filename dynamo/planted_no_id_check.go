//go:build annals_no_id_check

package dynamo

func init() { planted.noIDCheck = true }
