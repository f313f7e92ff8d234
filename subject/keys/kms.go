package keys

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/subject"
)

// contextName is the name of the subject in the encryption context, which shows in
// CloudTrail.
const contextName = "annals:subject"

type kmsWrapper struct {
	client *kms.Client
	key    string
}

// KMS makes a Wrapper by a key of AWS KMS, named by its id, ARN or alias. Each subject's
// key takes a request when it is made, and one whenever a process reads it anew.
func KMS(client *kms.Client, key string) subject.Wrapper { return &kmsWrapper{client, key} }

func (w *kmsWrapper) Name() string { return "kms:" + w.key }

func about(name string) map[string]string { return map[string]string{contextName: name} }

func (w *kmsWrapper) Generate(ctx context.Context, name string) (key, wrapped []byte, err error) {
	out, err := w.client.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &w.key, KeySpec: types.DataKeySpecAes256, EncryptionContext: about(name)})
	if err != nil {
		return nil, nil, w.failed("making a key for a subject", err)
	}
	return out.Plaintext, out.CiphertextBlob, nil
}

func (w *kmsWrapper) Wrap(ctx context.Context, name string, key []byte) ([]byte, error) {
	out, err := w.client.Encrypt(ctx, &kms.EncryptInput{KeyId: &w.key, Plaintext: key, EncryptionContext: about(name)})
	if err != nil {
		return nil, w.failed("wrapping the key of a subject", err)
	}
	return out.CiphertextBlob, nil
}

func (w *kmsWrapper) Unwrap(ctx context.Context, name string, wrapped []byte) ([]byte, error) {
	out, err := w.client.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: wrapped, EncryptionContext: about(name), KeyId: aws.String(w.key)})
	var other *types.IncorrectKeyException
	var invalid *types.InvalidCiphertextException
	switch {
	case errors.As(err, &other) || errors.As(err, &invalid):
		return nil, subject.NotWrapped(w, err)
	case err != nil:
		return nil, w.failed("reading the key of a subject", err)
	}
	return out.Plaintext, nil
}

func (w *kmsWrapper) failed(doing string, err error) error {
	if code := annals.CodeOf(err); code == annals.CodeCanceled || code == annals.CodeTimeout {
		return err
	}
	return &annals.Error{
		Code: annals.CodeUnavailable, Err: err, Message: fmt.Sprintf("%s by %s failed", doing, w.Name()),
		Hint: "check that the key is there and enabled, and that this process may kms:GenerateDataKey and kms:Decrypt, and to copy keys kms:Encrypt",
	}
}
