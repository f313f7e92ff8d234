package playback

import (
	"fmt"
	"testing"
	"time"
)

func TestCriteria(t *testing.T) {
	at := time.Date(2020, 5, 1, 22, 0, 0, 5, time.FixedZone("", 2*60*60))
	const utc = "2020-05-01T20:00:00.000000005Z"
	for _, c := range []struct {
		of   Selection
		want string
	}{
		{Selection{}, "[]"},
		{Selection{Types: []string{"a", "b"}}, "[{types [a b]}]"},
		{Selection{Since: at, To: 9}, "[{since [" + utc + "]} {to [9]}]"},
		{
			Selection{Streams: []string{"s-*"}, Types: []string{"t"}, Sources: []string{"x", "y"}, Correlation: "c", Since: at, Until: at, From: 1, To: 2},
			"[{streams [s-*]} {types [t]} {sources [x y]} {correlation [c]} {since [" + utc + "]} {until [" + utc + "]} {from [1]} {to [2]}]",
		},
	} {
		if got := fmt.Sprint(c.of.Criteria()); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
