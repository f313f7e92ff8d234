package aggregate_test

import (
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/aggregate"
	"github.com/eb901187/annals/storetest"
	"github.com/eb901187/annals/subject"
	"github.com/eb901187/annals/subject/subjecttest"
)

// sealing is a store with keys of data subjects.
func sealing(t *testing.T) (*annals.Store, *subject.Keyring) {
	t.Helper()
	k := subjecttest.Keyring(t)
	s := annals.New(memory(t), &annals.Options{Sealer: k})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, k
}

func about(name string) *aggregate.CommandOptions {
	if name == "" {
		return nil
	}
	return &aggregate.CommandOptions{Attributes: map[string]string{annals.SubjectAttribute: name}}
}

// wantSnapshots wants the snapshots of account 7 to name these subjects.
func wantSnapshots(t *testing.T, s *annals.Store, subjects ...string) {
	t.Helper()
	all := storetest.Collect(t, s.Stream(t.Context(), aggregate.SnapshotPrefix+"account-7", nil))
	if len(all) != len(subjects) {
		t.Fatalf("there are %d snapshots, want %d", len(all), len(subjects))
	}
	for i := range all {
		if all[i].Subject() != subjects[i] {
			t.Errorf("snapshot %d names %q, want %q", i, all[i].Subject(), subjects[i])
		}
	}
}

func TestSnapshotsNameTheSubjectOfWhatTheyHold(t *testing.T) {
	s, _ := sealing(t)
	repository := func() *bankRepository {
		return aggregate.NewRepository(s, accounts(t, snapshots(aggregate.Every(1))), strict(t, 0))
	}
	mustExecute(t, repository(), "7", deposit(1), nil)
	wantSnapshots(t, s, "")
	mustExecute(t, repository(), "7", deposit(1), about("p1"))
	mustExecute(t, repository(), "7", deposit(1), nil)
	wantSnapshots(t, s, "", "p1", "p1")
	mustExecute(t, repository(), "7", deposit(1), about("p2"))
	mustExecute(t, repository(), "7", deposit(1), about("p1"))
	wantSnapshots(t, s, "", "p1", "p1") // none of the data of two
	if at := mustLoad(t, repository(), "7"); at.State.Balance != 5 || at.Version != 5 {
		t.Fatalf("%+v", at)
	}
}

func TestErasedSnapshotCostsAFullLoadAndErasedEventsAreZero(t *testing.T) {
	s, k := sealing(t)
	r := aggregate.NewRepository(s, accounts(t, snapshots(aggregate.Every(1))), strict(t, 0))
	mustExecute(t, r, "7", deposit(5), nil)
	mustExecute(t, r, "7", deposit(7), about("p1"))
	if _, err := k.Destroy(t.Context(), "p1"); err != nil {
		t.Fatal(err)
	}
	at := mustLoad(t, r, "7")
	if at.State.Balance != 5 || at.State.Count != 2 || at.Version != 2 {
		t.Fatalf("%+v, want the second deposit to be one of nothing", at)
	}
	// What is folded from erased events is nobody's data any more.
	mustExecute(t, r, "7", deposit(1), nil)
	wantSnapshots(t, s, "", "p1", "")
	if at := mustLoad(t, r, "7"); at.State.Balance != 6 || at.Version != 3 {
		t.Fatalf("%+v", at)
	}
}
