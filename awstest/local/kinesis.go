package local

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eb901187/annals/awstest"
)

// kinesalite listens where the program of that name can't be told to: on
// 127.0.0.1 alone, at a port that the system picks.
const kinesalite = `
const streams = require(process.argv[1])({
  createStreamMs: 0, deleteStreamMs: 0, updateStreamMs: 0, shardLimit: 500,
})
const server = streams.listen(0, '127.0.0.1', () => {
  console.log('listening on http://127.0.0.1:' + server.address().port)
})
`

// Kinesis starts a Kinesis that has no streams, for this test alone, and returns
// its URL. It takes any credentials, keeps everything in memory and is killed when
// the test ends.
//
// It knows provisioned streams only, resharded by SplitShard and MergeShards.
// Nothing throttles, retention doesn't end, and what is put is readable at once.
func Kinesis(t testing.TB) string {
	t.Helper()
	library := awstest.Tool(t, "kinesalite-3.3.3/node_modules/kinesalite")
	library, err := filepath.Abs(library)
	if err != nil {
		t.Fatal(err)
	}
	return awstest.Serve(t, exec.Command("node", "--eval", kinesalite, "--", library), listening)
}

func listening(line string) (url string, ok bool) { return strings.CutPrefix(line, "listening on ") }
