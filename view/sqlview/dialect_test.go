package sqlview_test

import (
	"fmt"
	"testing"
)

func TestQuotedNamesAndPlaceholders(t *testing.T) {
	onEach(t, func(t *testing.T, address string) {
		s := open(t, address)
		d := s.Dialect()
		for _, name := range []string{"orders", "Upper", "select", "two words", `"`, "`", "a;b", "größe", `back\slash`} {
			table, column := d.Quote("t "+name), d.Quote(name)
			execute(t, s.DB(), fmt.Sprintf("CREATE TABLE %s (%s integer, n integer)", table, column))
			if _, err := s.DB().Exec(fmt.Sprintf("INSERT INTO %s (%s, n) VALUES (%s, %s)", table, column, d.Placeholder(1), d.Placeholder(2)), 1, 2); err != nil {
				t.Fatal(err)
			}
			var got, n int
			err := s.DB().QueryRow(fmt.Sprintf("SELECT %s, n FROM %s WHERE n = %s", column, table, d.Placeholder(1)), 2).Scan(&got, &n)
			if err != nil || got != 1 || n != 2 {
				t.Fatalf("%s: %d, %d, %v", name, got, n, err)
			}
		}
	})
}
