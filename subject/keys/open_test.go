package keys_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/awstest/local"
	"github.com/eb901187/annals/subject"
	"github.com/eb901187/annals/subject/keys"
)

func TestAddresses(t *testing.T) {
	for text, want := range map[string]keys.Address{
		"./keys": {Dir: "./keys"},
		"dynamodb://t?region=eu-central-1&kms=alias/x":                          {Table: "t", Key: "alias/x", Region: "eu-central-1"},
		"dynamodb://t?kms=k&endpoint=http://127.0.0.1:1&kmsendpoint=http://b:2": {Table: "t", Key: "k", Endpoint: "http://127.0.0.1:1", KMSEndpoint: "http://b:2"},
	} {
		if got, err := keys.ParseAddress(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "http://x", "dynamodb://", "dynamodb://t", "dynamodb://t?kms=a&kms=b", "dynamodb://t/x?kms=a", "dynamodb://t?kms=a&color=red", "dynamodb://u:p@t?kms=a"} {
		if _, err := keys.ParseAddress(text); annals.CodeOf(err) != annals.CodeUsage {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func open(t *testing.T, address keys.Address, opts *keys.Options) *subject.Keyring {
	t.Helper()
	k, err := keys.Open(t.Context(), address, opts)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func seal(t *testing.T, k *subject.Keyring) annals.Event {
	t.Helper()
	e := annals.Event{ID: "1", Type: "t", Stream: "s", Data: []byte(`"x"`), Attributes: map[string]string{annals.SubjectAttribute: "p1"}}
	if err := k.Seal(t.Context(), "s", &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func wantOpen(t *testing.T, k *subject.Keyring, e annals.Event) {
	t.Helper()
	if err := k.Open(t.Context(), &e); err != nil || string(e.Data) != `"x"` {
		t.Fatalf("it opens as %+v, %v", e, err)
	}
}

func TestDirectoryOfKeys(t *testing.T) {
	address := keys.Address{Dir: filepath.Join(t.TempDir(), "a", "keys")}
	if _, err := keys.Open(t.Context(), address, nil); !errors.Is(err, annals.ErrNotFound) {
		t.Fatalf("before there are any: %v", err)
	}
	if err := keys.Create(t.Context(), address, nil); err != nil {
		t.Fatal(err)
	}
	master := filepath.Join(address.Dir, "master.key")
	text, err := os.ReadFile(master)
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.Create(t.Context(), address, nil); !errors.Is(err, annals.ErrConflict) {
		t.Fatalf("twice: %v", err)
	}
	e := seal(t, open(t, address, nil))
	wantOpen(t, open(t, address, nil), e)
	if again, err := os.ReadFile(master); err != nil || !bytes.Equal(again, text) {
		t.Fatalf("the master key was changed: %v", err)
	}
	for mode, want := range map[os.FileMode]annals.Code{0o600: "", 0o400: "", 0o640: annals.CodeForbidden, 0o604: annals.CodeForbidden} {
		if err := os.Chmod(master, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := keys.Open(t.Context(), address, nil); annals.CodeOf(err) != want {
			t.Errorf("mode %#o: %v", mode, err)
		}
	}
	if err := os.Chmod(master, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "secret!", string(text[:40]), string(text[:63]) + "x"} {
		if err := os.WriteFile(master, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := keys.Open(t.Context(), address, nil)
		if err == nil || bad != "" && bytes.Contains([]byte(err.Error()), []byte(bad)) {
			t.Errorf("a master key of %q: %v", bad, err)
		}
	}
}

// What was destroyed is in no file, and neither is any key in clear.
func TestDestroyedKeyIsInNoFile(t *testing.T) {
	address := keys.Address{Dir: filepath.Join(t.TempDir(), "keys")}
	if err := keys.Create(t.Context(), address, nil); err != nil {
		t.Fatal(err)
	}
	now := &keys.Options{Keyring: &subject.Options{Wait: func(context.Context, time.Duration) error { return nil }}}
	k := open(t, address, now)
	seal(t, k)
	before, err := k.Record(t.Context(), "p1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Destroy(t.Context(), "p1"); err != nil {
		t.Fatal(err)
	}
	text, err := before.Encode()
	if err != nil {
		t.Fatal(err)
	}
	wrapped := text[bytes.Index(text, []byte(`"wrapped":"`))+11:][:40]
	for _, part := range [][]byte{wrapped, before.Wrapped[:12], []byte(hex.EncodeToString(before.Wrapped[:12]))} {
		found := false
		err := filepath.WalkDir(address.Dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			file, err := os.ReadFile(path)
			found = found || bytes.Contains(file, part)
			return err
		})
		if err != nil || found {
			t.Fatalf("%q is still there, %v", part, err)
		}
	}
}

const childVariable = "ANNALS_TEST_KEYS_CHILD"

// Two processes make one key for a subject, whoever comes first.
func TestTwoProcessesMakeOneKey(t *testing.T) {
	if dir := os.Getenv(childVariable); dir != "" {
		e := seal(t, open(t, keys.Address{Dir: dir}, nil))
		fmt.Printf("sealed %x\n", e.Data)
		return
	}
	dir := filepath.Join(t.TempDir(), "keys")
	if err := keys.Create(t.Context(), keys.Address{Dir: dir}, nil); err != nil {
		t.Fatal(err)
	}
	outs, children := make([]bytes.Buffer, 4), make([]*exec.Cmd, 4)
	for i := range children {
		c := exec.Command(os.Args[0], "-test.run=^TestTwoProcessesMakeOneKey$")
		c.Env, c.Stdout = append(os.Environ(), childVariable+"="+dir), &outs[i]
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		children[i] = c
	}
	want := fmt.Sprintf("sealed %x\n", seal(t, open(t, keys.Address{Dir: dir}, nil)).Data)
	for i, c := range children {
		if err := c.Wait(); err != nil || !bytes.Contains(outs[i].Bytes(), []byte(want)) {
			t.Fatalf("process %d said %s, %v; want %s", i, outs[i].Bytes(), err, want)
		}
	}
}

// amazon is a place for keys in DynamoDB, with a key of KMS.
func amazon(t *testing.T) (keys.Address, *keys.Options, *kms.Client) {
	t.Helper()
	config := aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("id", "secret", "")}
	address := keys.Address{Table: "keys", Endpoint: awstest.DynamoDB(t), KMSEndpoint: local.KMS(t)}
	client := kms.NewFromConfig(config, func(o *kms.Options) { o.BaseEndpoint = &address.KMSEndpoint })
	made, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	address.Key = *made.KeyMetadata.KeyId
	opts := &keys.Options{Config: &config, Keyring: &subject.Options{Wait: func(context.Context, time.Duration) error { return nil }}}
	if err := keys.Create(t.Context(), address, opts); err != nil {
		t.Fatal(err)
	}
	return address, opts, client
}

func TestKeysInDynamoDBByKMS(t *testing.T) {
	address, opts, client := amazon(t)
	k := open(t, address, opts)
	e := seal(t, k)
	other := open(t, address, opts)
	wantOpen(t, other, e)
	record, err := k.Record(t.Context(), "p1")
	if err != nil || len(record.Wrapped) < subject.KeyBytes {
		t.Fatalf("%+v, %v", record, err)
	}
	// The encryption context ties a wrapped key to its subject.
	if _, err := client.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: record.Wrapped, KeyId: &address.Key, EncryptionContext: map[string]string{"annals:subject": "p2"}}); err == nil {
		t.Fatal("KMS unwraps the key for another subject")
	}
	wrapper := keys.KMS(client, address.Key)
	for name, wrapped := range map[string][]byte{"p2": record.Wrapped, "p1": append(bytes.Clone(record.Wrapped[:len(record.Wrapped)-1]), record.Wrapped[len(record.Wrapped)-1]^1)} {
		if _, err := wrapper.Unwrap(t.Context(), name, wrapped); !errors.Is(err, annals.ErrDamaged) {
			t.Fatalf("unwrapping for %s: %v", name, err)
		}
	}
	if _, _, err := keys.KMS(client, "alias/none").Generate(t.Context(), "p1"); !errors.Is(err, annals.ErrUnavailable) {
		t.Fatalf("a key that is not there: %v", err)
	}
	if record, err = other.Destroy(t.Context(), "p1"); err != nil || record.State != subject.Destroyed {
		t.Fatalf("%+v, %v", record, err)
	}
	gone := open(t, address, opts)
	if err := gone.Open(t.Context(), &e); err != nil || !e.Erased() {
		t.Fatalf("%+v, %v", e, err)
	}
}

// From a laptop to AWS, and there to another key of KMS in the same table.
func TestKeysAreCopiedToKMS(t *testing.T) {
	address, opts, client := amazon(t)
	laptop := keys.Address{Dir: filepath.Join(t.TempDir(), "keys")}
	if err := keys.Create(t.Context(), laptop, nil); err != nil {
		t.Fatal(err)
	}
	from := open(t, laptop, nil)
	e := seal(t, from)
	made, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	next := address
	next.Key = *made.KeyMetadata.KeyId
	for _, to := range []keys.Address{address, next} {
		if got, err := from.Copy(t.Context(), open(t, to, opts)); err != nil || got != (subject.Copied{Keys: 1}) {
			t.Fatalf("copied %+v, %v", got, err)
		}
		from = open(t, to, opts)
		wantOpen(t, from, e)
	}
	old := open(t, address, opts)
	if err := old.Open(t.Context(), &e); !errors.Is(err, annals.ErrDamaged) {
		t.Fatalf("the old key of KMS still opens: %v", err)
	}
}
