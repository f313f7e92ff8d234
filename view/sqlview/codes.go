package sqlview

import (
	"errors"
	"reflect"
	"strings"

	"github.com/eb901187/annals"
)

// sqlState is the code of an error that a PostgreSQL server sent.
func sqlState(err error) (string, bool) {
	var sent interface{ SQLState() string }
	if !errors.As(err, &sent) {
		return "", false
	}
	return sent.SQLState(), true
}

func class(state string) string { return state[:min(2, len(state))] }

// postgresCode follows appendix A of PostgreSQL's manual.
func postgresCode(state string) annals.Code {
	switch state {
	case "53100": // disk_full
		return annals.CodeNoSpace
	case "57014": // query_canceled, by statement_timeout
		return annals.CodeTimeout
	case "25006", "55P03": // read_only_sql_transaction, lock_not_available
		return annals.CodeUnavailable
	case "42501": // insufficient_privilege
		return annals.CodeForbidden
	case "3D000": // invalid_catalog_name
		return annals.CodeNotFound
	case "XX001", "XX002": // data_corrupted, index_corrupted
		return annals.CodeDamaged
	}
	switch class(state) {
	case "08", "40", "53", "57", "58": // connection, rollback, resources, operator, system
		return annals.CodeUnavailable
	case "28": // authorization
		return annals.CodeForbidden
	}
	return annals.CodeInternal
}

// mysqlError is the number and the text of an error that a MySQL server sent. Only
// fields of the driver's type have them, and importing the driver for its type
// would link it to programs that have no use for it.
func mysqlError(err error) (number uint16, message string, ok bool) {
	if err == nil {
		return 0, "", false
	}
	if v := reflect.Indirect(reflect.ValueOf(err)); v.Kind() == reflect.Struct && v.Type().Name() == "MySQLError" {
		n, m := v.FieldByName("Number"), v.FieldByName("Message")
		if n.Kind() == reflect.Uint16 && m.Kind() == reflect.String {
			return uint16(n.Uint()), m.String(), true
		}
	}
	switch wrapped := err.(type) {
	case interface{ Unwrap() error }:
		return mysqlError(wrapped.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range wrapped.Unwrap() {
			if number, message, ok = mysqlError(err); ok {
				return number, message, true
			}
		}
	}
	return 0, "", false
}

// mysqlCode follows the lists of server errors of MySQL and MariaDB.
func mysqlCode(number uint16, message string) annals.Code {
	switch number {
	case 1021, 1114: // disk full, table full
		return annals.CodeNoSpace
	case 3, 1026: // a file could not be written
		if strings.Contains(message, "No space left") {
			return annals.CodeNoSpace
		}
		return annals.CodeUnavailable
	case 1020, 1205, 1213, 3572: // changed meanwhile, waited too long for a lock, deadlock
		return annals.CodeUnavailable
	case 1040, 1053, 1129, 1152, 1158, 1159, 1160, 1161, 1203, 1226, 1290, 1836, 1927, 3100, 3101: // connections, shutdown, read-only, replication
		return annals.CodeUnavailable
	case 1317, 1969, 3024: // interrupted, or over the time that a statement may take
		return annals.CodeTimeout
	case 1044, 1045, 1142, 1143, 1227, 1698: // rights
		return annals.CodeForbidden
	case 1049: // no such database
		return annals.CodeNotFound
	case 1153: // max_allowed_packet
		return annals.CodeTooLarge
	case 1034, 1035, 1194, 1195, 1712: // tables and indexes that are corrupt
		return annals.CodeDamaged
	}
	return annals.CodeInternal
}

// Primary result codes of SQLite.
const (
	sqlitePerm       = 3
	sqliteBusy       = 5
	sqliteLocked     = 6
	sqliteReadOnly   = 8
	sqliteIOErr      = 10
	sqliteCorrupt    = 11
	sqliteFull       = 13
	sqliteCantOpen   = 14
	sqliteProtocol   = 15
	sqliteConstraint = 19
	sqliteAuth       = 23
	sqliteNotADB     = 26
)

// sqliteResult is the extended result code of an error of SQLite.
func sqliteResult(err error) (int, bool) {
	var said interface{ Code() int }
	if !errors.As(err, &said) {
		return 0, false
	}
	return said.Code(), true
}

func sqliteCode(result int) annals.Code {
	switch result & 0xff {
	case sqliteFull:
		return annals.CodeNoSpace
	case sqliteBusy, sqliteLocked, sqliteIOErr, sqliteCantOpen, sqliteProtocol, sqlitePerm, sqliteReadOnly, sqliteAuth:
		return annals.CodeUnavailable
	case sqliteCorrupt, sqliteNotADB:
		return annals.CodeDamaged
	}
	return annals.CodeInternal
}
