package proof_test

import (
	"bytes"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/proof"
	"github.com/eb901187/annals/storetest/stores"
	"github.com/eb901187/annals/subject/subjecttest"
)

// Hashes are of sealed data: what is proven stays so when a subject is erased, and a
// proof gives away nothing.
func TestErasureChangesNoHash(t *testing.T) {
	keys := subjecttest.Keyring(t)
	store := stores.Memory(t, &annals.Options{Sealer: keys})
	for _, customer := range []string{"customer-7", "customer-8", "customer-7"} {
		e := annals.Event{Type: "T", Attributes: map[string]string{annals.SubjectAttribute: customer}, Data: []byte(`{"name":"secret"}`)}
		if _, err := store.Append(t.Context(), "order", annals.Any, e); err != nil {
			t.Fatal(err)
		}
	}
	show := func() (proof.Root, []byte) {
		tree := proof.NewTree(store, nil)
		root, err := tree.Latest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p, err := tree.Inclusion(t.Context(), 1, root.Size)
		if err != nil || p.Check(root) != nil || p.Event.ContentType != annals.SealedContentType || bytes.Contains(p.Event.Data, []byte("secret")) {
			t.Fatalf("%+v, %v, %v", p, err, p.Check(root))
		}
		return root, p.AppendJSON(nil)
	}
	root, text := show()
	if _, err := keys.Fence(t.Context(), "customer-7"); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Destroy(t.Context(), "customer-7"); err != nil {
		t.Fatal(err)
	}
	for e, err := range store.Stream(t.Context(), "order", nil) {
		if err != nil || e.Erased() != (e.Subject() == "customer-7") {
			t.Fatalf("%+v, %v", e, err)
		}
	}
	after, again := show()
	if after != root || !bytes.Equal(again, text) {
		t.Errorf("%v after the erasure, %v before: %s, %s", after, root, again, text)
	}
	if r, err := proof.Verify(t.Context(), store, root, nil); err != nil || !r.OK() {
		t.Errorf("%+v, %v", r, err)
	}
}
