package access

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/eb901187/annals"
)

const (
	refetchAfter = 10 * time.Minute // of keys that are known
	refetchPause = 10 * time.Second // between two fetches, whatever tokens say
	keysLast     = 24 * time.Hour   // while the issuer can't be reached
	issuerTime   = 5 * time.Second  // that a fetch may take
	largestKeys  = 1 << 20          // bytes of what the issuer says
)

// issuerKeys are the public keys of an issuer.
type issuerKeys struct {
	issuer string
	client *http.Client
	clock  func() time.Time

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time // when keys came
	tried   time.Time // when they were asked for last
	failed  error     // how that ended
	under   *fetching // nil while nobody fetches
}

// fetching is a fetch under way.
type fetching struct{ ended chan struct{} }

// verify is the payload of a token that one of the keys has signed.
func (k *issuerKeys) verify(ctx context.Context, token string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil || len(jws.Signatures) != 1 {
		return nil, refusedToken("is no signed JSON Web Token")
	}
	header := jws.Signatures[0].Header
	keys, err := k.of(ctx, header.KeyID, header.Algorithm)
	if err != nil {
		return nil, err
	}
	for i := range keys {
		if payload, err := jws.Verify(&keys[i]); err == nil {
			return payload, nil
		}
	}
	return nil, refusedToken("is not signed by the issuer")
}

// of are the keys that may have signed a token with this header.
func (k *issuerKeys) of(ctx context.Context, id, algorithm string) ([]jose.JSONWebKey, error) {
	for {
		k.mu.Lock()
		now := k.clock()
		found := k.matching(id, algorithm, now)
		// Keys that nobody asked for in a while may have been withdrawn meanwhile.
		forgotten := now.Sub(k.fetched) >= 2*refetchAfter && k.failed == nil
		if len(found) > 0 && !forgotten {
			if k.under == nil && now.Sub(k.fetched) >= refetchAfter && now.Sub(k.tried) >= refetchPause {
				k.begin(now)
			}
			k.mu.Unlock()
			return found, nil
		}
		if k.under == nil && !forgotten && !k.tried.IsZero() && now.Sub(k.tried) < refetchPause {
			err := k.failed
			k.mu.Unlock()
			if err == nil {
				err = refusedToken("is signed by a key that the issuer does not publish")
			}
			return nil, err
		}
		if k.under == nil {
			k.begin(now)
		}
		under := k.under
		k.mu.Unlock()
		select {
		case <-under.ended:
		case <-ctx.Done():
			return nil, k.unavailable(context.Cause(ctx))
		}
	}
}

// matching are the keys that are known and fit. k.mu is held.
func (k *issuerKeys) matching(id, algorithm string, now time.Time) (found []jose.JSONWebKey) {
	if now.Sub(k.fetched) >= keysLast {
		return nil
	}
	for _, key := range k.keys {
		if (id == "" || key.KeyID == id) && (key.Algorithm == "" || key.Algorithm == algorithm) {
			found = append(found, key)
		}
	}
	return found
}

// fetch fetches the keys now, unless that is under way.
func (k *issuerKeys) fetch(ctx context.Context) error {
	k.mu.Lock()
	if k.under == nil {
		k.begin(k.clock())
	}
	under := k.under
	k.mu.Unlock()
	select {
	case <-under.ended:
	case <-ctx.Done():
		return k.unavailable(context.Cause(ctx))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failed
}

// begin fetches the keys in the background: not the request that happens to need them
// decides how long that may take. k.mu is held.
func (k *issuerKeys) begin(now time.Time) {
	under := &fetching{make(chan struct{})}
	k.under, k.tried = under, now
	go func() {
		defer close(under.ended)
		ctx, cancel := context.WithTimeout(context.Background(), issuerTime)
		defer cancel()
		keys, err := k.ask(ctx)
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.under, k.failed = nil, err; err == nil {
			k.keys, k.fetched = keys, now
		}
	}()
}

// ask asks the issuer where its keys are, and for them.
func (k *issuerKeys) ask(ctx context.Context) ([]jose.JSONWebKey, error) {
	var found struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := k.get(ctx, strings.TrimSuffix(k.issuer, "/")+"/.well-known/openid-configuration", &found); err != nil {
		return nil, err
	}
	if found.Issuer != k.issuer {
		return nil, k.unavailable(fmt.Errorf("it calls itself %.200q", found.Issuer))
	}
	at, err := url.Parse(found.Keys)
	if err != nil || at.Host == "" || at.User != nil || !guarded(at) {
		return nil, k.unavailable(fmt.Errorf("its keys are at no address of https"))
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := k.get(ctx, found.Keys, &set); err != nil {
		return nil, err
	}
	var keys []jose.JSONWebKey
	for _, text := range set.Keys {
		var key jose.JSONWebKey
		// Keys of kinds that are not known are for others.
		if json.Unmarshal(text, &key) == nil && key.Valid() && key.IsPublic() && (key.Use == "" || key.Use == "sig") {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, k.unavailable(fmt.Errorf("it publishes no key that signs"))
	}
	return keys, nil
}

func (k *issuerKeys) get(ctx context.Context, address string, v any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return k.unavailable(err)
	}
	r.Header.Set("Accept", "application/json")
	answer, err := k.client.Do(r)
	if err != nil {
		return k.unavailable(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, largestKeys+1))
	switch {
	case err != nil:
		return k.unavailable(err)
	case answer.StatusCode != http.StatusOK:
		return k.unavailable(fmt.Errorf("%s answers %d", address, answer.StatusCode))
	case len(text) > largestKeys:
		return k.unavailable(fmt.Errorf("%s answers more than 1 MiB", address))
	}
	if err := json.Unmarshal(text, v); err != nil {
		return k.unavailable(fmt.Errorf("%s answers no JSON of that kind", address))
	}
	return nil
}

func (k *issuerKeys) unavailable(err error) error {
	return &annals.Error{
		Code: annals.CodeUnavailable, Err: err, Message: "the keys of the issuer " + k.issuer + " can't be fetched",
		Hint: "try again; see that the issuer answers, and that its address is the one that its tokens name",
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
