package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/eb901187/annals"
)

// An issuer is one of OpenID Connect, whose keys can change, and which can be down.
type issuer struct {
	*httptest.Server

	mu        sync.Mutex
	published map[string]any // private, by id
	asked     int            // for the keys
	down      bool
	name      string // what it calls itself; its address if it is empty
	padding   int    // bytes in front of its keys
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{published: map[string]any{}}
	i.Server = httptest.NewServer(i)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.down:
		http.Error(w, "down", http.StatusBadGateway)
	case r.URL.Path == "/.well-known/openid-configuration":
		name := i.name
		if name == "" {
			name = i.URL
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": name, "jwks_uri": i.URL + "/keys"})
	case r.URL.Path == "/keys":
		i.asked++
		var set jose.JSONWebKeySet
		for id, key := range i.published {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: publicOf(key), KeyID: id, Use: "sig"})
		}
		_, _ = w.Write([]byte(strings.Repeat(" ", i.padding)))
		_ = json.NewEncoder(w).Encode(set)
	default:
		http.NotFound(w, r)
	}
}

func publicOf(key any) any {
	if key, is := key.(*rsa.PrivateKey); is {
		return &key.PublicKey
	}
	return &key.(*ecdsa.PrivateKey).PublicKey
}

func (i *issuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

func signed(t *testing.T, algorithm jose.SignatureAlgorithm, key any, id string, claims map[string]any) string {
	t.Helper()
	opts := new(jose.SignerOptions).WithType("JWT")
	if id != "" {
		opts = opts.WithHeader("kid", id)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func ellipticKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// An oidcWorld is an OIDC of an issuer with one elliptic and one RSA key.
type oidcWorld struct {
	*issuer
	*OIDC
	now      time.Time
	elliptic *ecdsa.PrivateKey
	rsa      *rsa.PrivateKey
}

func newOIDCWorld(t *testing.T, change func(*OIDCOptions)) *oidcWorld {
	t.Helper()
	w := &oidcWorld{issuer: newIssuer(t), now: noon, elliptic: ellipticKey(t)}
	var err error
	if w.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	w.published["e"], w.published["r"] = w.elliptic, w.rsa
	roles, err := ParseClaimRoles("groups:ops=operate, groups:staff=read|append,scope:annals.read=read,realm.roles:admin=operate")
	if err != nil {
		t.Fatal(err)
	}
	opts := OIDCOptions{Issuer: w.URL, Audience: "annals", Roles: roles, Clock: func() time.Time { return w.now }}
	if change != nil {
		change(&opts)
	}
	if w.OIDC, err = NewOIDC(opts); err != nil {
		t.Fatal(err)
	}
	return w
}

// claims are good ones but for change: a nil value leaves one out.
func (w *oidcWorld) claims(change map[string]any) map[string]any {
	c := map[string]any{"iss": w.URL, "aud": "annals", "sub": "u-7", "exp": w.now.Add(time.Hour).Unix(), "groups": []string{"staff"}}
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

type claim = map[string]any

func TestOIDCTakesGoodTokens(t *testing.T) {
	w := newOIDCWorld(t, nil)
	at := func(d time.Duration) int64 { return w.now.Add(d).Unix() }
	for name, c := range map[string]struct {
		change claim
		roles  string
	}{
		"a group":                {nil, "[read append]"},
		"two groups":             {claim{"groups": []string{"ops", "staff", "others"}}, "[operate read append]"},
		"a group as a text":      {claim{"groups": "ops"}, "[operate]"},
		"a scope among others":   {claim{"groups": nil, "scope": "openid annals.read"}, "[read]"},
		"a claim within others":  {claim{"groups": nil, "realm": claim{"roles": []string{"admin"}}}, "[operate]"},
		"the same role twice":    {claim{"scope": "annals.read"}, "[read append]"},
		"no role":                {claim{"groups": []any{7, "staffs", nil}}, "[]"},
		"one group of two words": {claim{"groups": []string{"friends of ops"}}, "[]"},
		"several audiences":      {claim{"aud": []string{"other", "annals"}, "azp": "other"}, "[read append]"},
		"just expired":           {claim{"exp": at(-50 * time.Second)}, "[read append]"},
		"valid in a moment":      {claim{"nbf": at(50 * time.Second)}, "[read append]"},
	} {
		for algorithm, key := range map[jose.SignatureAlgorithm]any{jose.ES256: w.elliptic, jose.RS256: w.rsa, jose.PS512: w.rsa} {
			for _, id := range []string{map[bool]string{true: "e", false: "r"}[algorithm == jose.ES256], ""} {
				who, err := w.Authenticate(t.Context(), signed(t, algorithm, key, id, w.claims(c.change)))
				if err != nil || who.Name != "u-7" || fmt.Sprint(who.Roles) != c.roles {
					t.Errorf("%s with %s: %+v, %v", name, algorithm, who, err)
				}
			}
		}
	}
	if w.asked != 1 {
		t.Errorf("the issuer was asked for its keys %d times", w.asked)
	}
}

func TestOIDCRefusesBadTokens(t *testing.T) {
	w := newOIDCWorld(t, nil)
	at := func(d time.Duration) int64 { return w.now.Add(d).Unix() }
	good := signed(t, jose.ES256, w.elliptic, "e", w.claims(nil))
	parts := strings.Split(good, ".")
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	bad := map[string]string{
		"": "", "one word": "abc", "dots": "..", "no base64": "a.b.c", "five parts": good + ".a.b", "too long": good + strings.Repeat("A", longestToken),
		"alg none":                        part(claim{"alg": "none"}) + "." + parts[1] + ".",
		"alg none with a signature":       part(claim{"alg": "none", "kid": "e"}) + "." + parts[1] + "." + parts[2],
		"other claims":                    parts[0] + "." + part(w.claims(claim{"groups": []string{"ops"}})) + "." + parts[2],
		"no signature":                    parts[0] + "." + parts[1] + ".",
		"HS256 with the public key":       signed(t, jose.HS256, slices.Concat(w.elliptic.X.Bytes(), w.elliptic.Y.Bytes()), "e", w.claims(nil)),
		"HS256 with the public RSA key":   signed(t, jose.HS256, w.rsa.N.Bytes(), "r", w.claims(nil)),
		"another key under a known id":    signed(t, jose.ES256, ellipticKey(t), "e", w.claims(nil)),
		"another key without an id":       signed(t, jose.ES256, ellipticKey(t), "", w.claims(nil)),
		"the id of another key":           signed(t, jose.ES256, w.elliptic, "r", w.claims(nil)),
		"an id that is not published":     signed(t, jose.ES256, w.elliptic, "x", w.claims(nil)),
		"a critical header":               part(claim{"alg": "ES256", "kid": "e", "crit": []string{"x"}, "x": 1}) + "." + parts[1] + "." + parts[2],
		"a key of its own":                part(claim{"alg": "ES256", "jwk": jose.JSONWebKey{Key: &w.elliptic.PublicKey}}) + "." + part(w.claims(claim{"sub": "x"})) + "." + parts[2],
		"claims of a claim of elsewhere":  signed(t, jose.ES256, w.elliptic, "e", w.claims(claim{"_claim_names": claim{"groups": "x"}})),
		"claims that are no object":       signed(t, jose.ES256, w.elliptic, "e", nil),
		"for a program that was not made": "\x00.\xff.{}",
	}
	for name, change := range map[string]claim{
		"another issuer": {"iss": "https://evil.example"}, "no issuer": {"iss": nil}, "another audience": {"aud": "other"}, "no audience": {"aud": nil}, "an empty audience": {"aud": []string{}},
		"expired": {"exp": at(-2 * time.Minute)}, "no expiry": {"exp": nil}, "for ever as a text": {"exp": "never"}, "not valid yet": {"nbf": at(2 * time.Minute)},
		"no name": {"sub": nil}, "an empty name": {"sub": ""}, "a number as a name": {"sub": 7}, "two names": {"sub": []string{"a", "b"}}, "a name with a line": {"sub": "a\nb"},
		"a long name": {"sub": strings.Repeat("x", longestName+1)}, "the name of a local user": {"sub": "local:root"}, "the name of nobody": {"sub": "local"},
		"what looks like the name of nobody": {"sub": " local"}, "a name that turns what follows around": {"sub": "ann\u202e"}, "nothing to see": {"sub": "\u200b"},
	} {
		bad[name] = signed(t, jose.ES256, w.elliptic, "e", w.claims(change))
	}
	for name, token := range bad {
		who, err := w.Authenticate(t.Context(), token)
		if annals.CodeOf(err) != annals.CodeUnauthorized || who.Name != "" || who.Roles != nil {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
		if token != "" && len(token) > 5 && strings.Contains(err.Error(), token) {
			t.Errorf("%s: the error holds the token: %v", name, err)
		}
	}
}

func TestOIDCNamesAndClients(t *testing.T) {
	w := newOIDCWorld(t, func(o *OIDCOptions) { o.NameClaim, o.Clients = "email", []string{"shop", "console"} })
	for name, c := range map[string]struct {
		change claim
		code   annals.Code
	}{
		"azp":                    {claim{"azp": "shop"}, ""},
		"client_id":              {claim{"client_id": "console"}, ""},
		"another azp":            {claim{"azp": "other", "client_id": "shop"}, annals.CodeUnauthorized},
		"neither":                {nil, annals.CodeUnauthorized},
		"no claim with the name": {claim{"azp": "shop", "email": nil}, annals.CodeUnauthorized},
	} {
		change := claim{"email": "ann@example.com"}
		maps.Copy(change, c.change)
		who, err := w.Authenticate(t.Context(), signed(t, jose.ES256, w.elliptic, "e", w.claims(change)))
		if c.code == "" && (err != nil || who.Name != "ann@example.com") || c.code != "" && annals.CodeOf(err) != c.code {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
}

func TestOIDCOptionsAreChecked(t *testing.T) {
	roles, err := ParseClaimRoles("a:b=read")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []OIDCOptions{
		{}, {Issuer: "https://h", Audience: "a"}, {Issuer: "https://h", Roles: roles}, {Issuer: "http://h", Audience: "a", Roles: roles},
		{Issuer: "https://user:secret@h", Audience: "a", Roles: roles}, {Issuer: "https://h?x", Audience: "a", Roles: roles}, {Issuer: "h", Audience: "a", Roles: roles},
	} {
		if _, err := NewOIDC(o); annals.CodeOf(err) != annals.CodeInvalid || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for _, text := range []string{"", "groups", "groups:staff", "groups=read", ":x=read", "groups:=read", "groups:x=own", "groups:x=", "groups:x=read,"} {
		if all, err := ParseClaimRoles(text); annals.CodeOf(err) != annals.CodeInvalid {
			t.Errorf("%q: %v, %v", text, all, err)
		}
	}
	all, err := ParseClaimRoles("https://example.com/roles:a:b=c=read")
	if err != nil || len(all) != 1 || all[0].String() != "https://example.com/roles:a:b=c=[read]" {
		t.Errorf("%v, %v", all, err)
	}
}
