package local

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// A service is a stand-in that speaks AWS's JSON protocol.
type service struct {
	address string
	target  string // what X-Amz-Target begins with
	signs   string // the name that requests are signed for
	content string // the type of bodies
	client  *http.Client
}

// A serviceError is what a service answers instead.
type serviceError struct {
	Operation     string `json:"-"`
	Type, Message string
}

func (e *serviceError) Error() string { return e.Operation + ": " + e.Type + ": " + e.Message }

// call sends an operation and reads the answer into out, unless it is nil.
func (s *service) call(ctx context.Context, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", s.content)
	r.Header.Set("X-Amz-Target", s.target+"."+operation)
	r.Header.Set("X-Amz-Date", time.Now().UTC().Format("20060102T150405Z"))
	// Nobody checks it, but it has to be there.
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=id/20260101/us-east-1/"+s.signs+"/aws4_request, SignedHeaders=host;x-amz-date;x-amz-target, Signature=0")
	answer, err := s.client.Do(r)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	defer answer.Body.Close()
	payload, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	if answer.StatusCode != http.StatusOK {
		var e struct {
			Type    string `json:"__type"`
			Message string `json:"message"`
		}
		if err := json.Unmarshal(payload, &e); err != nil {
			e.Type, e.Message = answer.Status, string(payload)
		}
		return &serviceError{operation, e.Type, e.Message}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(payload, out); err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	return nil
}
