package embedded

import (
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
	"github.com/eb901187/annals/subject/subjecttest"
)

func TestContractOfSubjects(t *testing.T) {
	storetest.RunSubjects(t, subjecttest.Keeper, func(t *testing.T, sealer annals.Sealer) (sealing, bare *annals.Store) {
		d := testDriver(t, t.TempDir(), Options{})
		sealing, bare = annals.New(d, &annals.Options{Sealer: sealer}), annals.New(d, nil)
		t.Cleanup(func() { mustClose(t, sealing) })
		return sealing, bare
	})
	t.Run("a store without keys takes nothing in clear", func(t *testing.T) {
		storetest.RunUnsealed(t, func(t *testing.T, dir string) annals.Driver { return testDriver(t, dir, Options{}) })
	})
}
