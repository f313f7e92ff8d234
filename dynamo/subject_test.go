package dynamo

import (
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
	"github.com/eb901187/annals/subject/subjecttest"
)

func TestContractOfSubjects(t *testing.T) {
	open := opener(func() *Options { return &Options{Poll: 2 * time.Millisecond} })
	storetest.RunSubjects(t, subjecttest.Keeper, func(t *testing.T, sealer annals.Sealer) (sealing, bare *annals.Store) {
		d := open(t, t.TempDir())
		sealing, bare = annals.New(d, &annals.Options{Sealer: sealer}), annals.New(d, nil)
		t.Cleanup(func() {
			if err := sealing.Close(); err != nil {
				t.Error(err)
			}
		})
		return sealing, bare
	})
	t.Run("a store without keys takes nothing in clear", func(t *testing.T) { storetest.RunUnsealed(t, open) })
}
