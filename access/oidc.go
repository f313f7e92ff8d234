package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/eb901187/annals"
)

// OIDCOptions say whose tokens an OIDC takes, and for what.
type OIDCOptions struct {
	// Issuer is the address of the issuer, as its tokens name it: https, or http on
	// this machine.
	Issuer string
	// Audience must be among those that a token is for.
	Audience string
	// Roles are what values of claims give. A token that none matches is recognized
	// and has no role.
	Roles []ClaimRoles
	// NameClaim is the claim that holds the Principal's name; "sub" by default. Choose
	// one that its holder can't change.
	NameClaim string
	// Clients are the applications whose tokens are taken, by the claim azp, or
	// client_id without it; all if it is empty.
	Clients []string
	// Clock is time.Now by default. Times of tokens may differ from it by a minute.
	Clock func() time.Time
	// HTTP asks the issuer; by default a client that follows no redirects.
	HTTP *http.Client
}

// ClaimRoles are the roles of whose token has a claim with a value.
type ClaimRoles struct {
	// Claim is the name of a claim, or names separated by dots of one within others.
	Claim string
	// Value is the claim's text, or one of the texts that it lists or separates by
	// spaces.
	Value string
	Roles []Role
}

// ParseClaimRoles reads ClaimRoles that commas separate, each as CLAIM:VALUE=ROLE|ROLE,
// such as "groups:staff=read|append,scope:annals.operate=operate". Error:
// *annals.InvalidError.
func ParseClaimRoles(text string) ([]ClaimRoles, error) {
	var all []ClaimRoles
	for one := range strings.SplitSeq(text, ",") {
		end := strings.LastIndexByte(one, '=')
		if end < 0 {
			return nil, annals.Invalid("roles of claims", "must be like groups:staff=read|append, not %.80q", one)
		}
		left := strings.TrimSpace(one[:end])
		start := 0
		if scheme := strings.Index(left, "://"); scheme >= 0 {
			start = scheme + len("://") // names of claims may be addresses
		}
		colon := strings.IndexByte(left[start:], ':')
		if colon <= 0 || start+colon+1 == len(left) {
			return nil, annals.Invalid("roles of claims", "must name a claim and its value, like groups:staff, not %.80q", left)
		}
		roles, err := ParseRoles(strings.ReplaceAll(one[end+1:], "|", ","))
		if err != nil {
			return nil, err
		}
		all = append(all, ClaimRoles{left[:start+colon], left[start+colon+1:], roles})
	}
	return all, nil
}

// OIDC recognizes the JSON Web Tokens of an OpenID Connect issuer: signed with an
// asymmetric algorithm by one of the keys that the issuer publishes, for the audience,
// and neither expired nor for later. It is safe for concurrent use.
//
// Keys are fetched when they are first needed, when a token names one that is not known,
// and by the first token that comes ten minutes after the last fetch, but not more often
// than each ten seconds; after twenty minutes that token waits for them. While the issuer
// can't be reached, tokens of the keys that are known pass for up to a day; others are an
// error of annals.CodeUnavailable, as nobody can say whether they are good.
type OIDC struct {
	opts OIDCOptions
	keys *issuerKeys
}

// The algorithms that are taken: with a public key nobody can sign.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

const (
	clockSkew = time.Minute
	// longestToken is in bytes. Browsers keep less in a cookie.
	longestToken = 16 << 10
	longestName  = 200
)

// NewOIDC makes an OIDC; it asks the issuer nothing yet. Error: *annals.InvalidError.
func NewOIDC(opts OIDCOptions) (*OIDC, error) {
	issuer, err := url.Parse(opts.Issuer)
	switch {
	case err != nil || issuer.Host == "" || issuer.User != nil || issuer.RawQuery != "" || issuer.Fragment != "":
		return nil, annals.Invalid("issuer", "must be an address such as https://login.example.com, without a password, query or fragment")
	case !guarded(issuer):
		return nil, annals.Invalid("issuer", "must be an address of https: its keys decide who gets in")
	case opts.Audience == "":
		return nil, annals.Invalid("audience", "must not be empty: tokens for other programs are not for this one")
	case len(opts.Roles) == 0:
		return nil, annals.Invalid("roles of claims", "must not be empty: nobody could do anything")
	}
	if opts.NameClaim == "" {
		opts.NameClaim = "sub"
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.HTTP == nil {
		opts.HTTP = &http.Client{
			Transport:     http.DefaultTransport.(*http.Transport).Clone(),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return &OIDC{opts: opts, keys: &issuerKeys{issuer: opts.Issuer, client: opts.HTTP, clock: opts.Clock}}, nil
}

// Fetch fetches the issuer's keys, so that a mistake shows before the first token
// comes. An error of annals.CodeUnavailable may pass by itself.
func (o *OIDC) Fetch(ctx context.Context) error { return o.keys.fetch(ctx) }

// verification is an oidc.KeySet that keeps why it failed, which package oidc flattens.
type verification struct {
	keys *issuerKeys
	err  error
}

// VerifySignature implements oidc.KeySet.
func (v *verification) VerifySignature(ctx context.Context, token string) (payload []byte, err error) {
	payload, v.err = v.keys.verify(ctx, token)
	return payload, v.err
}

// Authenticate implements Authenticator.
func (o *OIDC) Authenticate(ctx context.Context, token string) (Principal, error) {
	if len(token) > longestToken || strings.Count(token, ".") != 2 {
		return Principal{}, refusedToken("is no signed JSON Web Token of at most 16 KiB")
	}
	now := o.opts.Clock()
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = string(a)
	}
	v := &verification{keys: o.keys}
	verifier := oidc.NewVerifier(o.opts.Issuer, v, &oidc.Config{
		ClientID: o.opts.Audience, SupportedSigningAlgs: names, Now: func() time.Time { return now.Add(-clockSkew) },
	})
	good, err := verifier.Verify(ctx, token)
	if v.err != nil {
		return Principal{}, v.err
	}
	var expired *oidc.TokenExpiredError
	switch {
	case errors.As(err, &expired):
		return Principal{}, refusedToken("has expired")
	case err != nil:
		return Principal{}, refusedToken("is not signed as it must be, or is not from " + o.opts.Issuer + " for the audience " + o.opts.Audience)
	}
	var claims map[string]any
	if err := good.Claims(&claims); err != nil {
		return Principal{}, refusedToken("holds no claims")
	}
	return o.principal(claims, now)
}

// principal is who a token's claims name.
func (o *OIDC) principal(claims map[string]any, now time.Time) (p Principal, err error) {
	if from, is := claims["nbf"].(float64); is && from > float64(now.Add(clockSkew).Unix()) {
		return p, refusedToken("is not valid yet")
	}
	if len(o.opts.Clients) > 0 {
		client, is := claims["azp"].(string)
		if !is {
			client, _ = claims["client_id"].(string)
		}
		if !slices.Contains(o.opts.Clients, client) {
			return p, refusedToken("was not made for one of the applications that are let in")
		}
	}
	name := claimTexts(claims, o.opts.NameClaim)
	if len(name) != 1 {
		return p, refusedToken("has no claim " + o.opts.NameClaim + " with a name")
	}
	if p.Name = name[0]; len(p.Name) > longestName || strings.ContainsFunc(p.Name, unprintable) || strings.TrimSpace(p.Name) != p.Name || isLocal(p.Name) {
		return Principal{}, refusedToken("has a claim " + o.opts.NameClaim + " that can't be a name")
	}
	for _, give := range o.opts.Roles {
		if !hasValue(claims, give.Claim, give.Value) {
			continue
		}
		for _, r := range give.Roles {
			if !slices.Contains(p.Roles, r) {
				p.Roles = append(p.Roles, r)
			}
		}
	}
	return p, nil
}

// unprintable tells runes that would make a name look like another one.
func unprintable(r rune) bool { return !unicode.IsPrint(r) || r == '\ufffd' }

func hasValue(claims map[string]any, claim, value string) bool {
	if slices.Contains(claimTexts(claims, claim), value) {
		return true
	}
	words, _ := claimValue(claims, claim).(string) // as scope; a text of a list is one name
	return slices.Contains(strings.Fields(words), value)
}

// claimValue is a claim, by its name or by the names on the way to it; nil for none.
func claimValue(claims map[string]any, name string) any {
	value, is := claims[name]
	if outer, inner, dotted := strings.Cut(name, "."); !is && dotted {
		within, _ := claims[outer].(map[string]any)
		return claimValue(within, inner)
	}
	return value
}

// claimTexts are the texts of a claim.
func claimTexts(claims map[string]any, name string) []string {
	switch v := claimValue(claims, name).(type) {
	case string:
		if v != "" {
			return []string{v}
		}
	case []any:
		var texts []string
		for _, one := range v {
			if text, is := one.(string); is {
				texts = append(texts, text)
			}
		}
		return texts
	}
	return nil
}

// refusedToken says what is wrong with a token, of which it holds nothing.
func refusedToken(problem string) error {
	return &annals.Error{Code: annals.CodeUnauthorized, Message: "the token " + problem, Hint: "get another one from the issuer"}
}

// guarded reports whether nobody between here and u can change what u says.
func guarded(u *url.URL) bool {
	return u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname())
}

// Either is an Authenticator of two: it takes texts with the two dots of a JSON Web Token
// to jwt, and others to static.
func Either(static, jwt Authenticator) Authenticator { return either{static, jwt} }

type either struct{ static, jwt Authenticator }

// Authenticate implements Authenticator.
func (e either) Authenticate(ctx context.Context, token string) (Principal, error) {
	if strings.Count(token, ".") == 2 && !strings.HasPrefix(token, TokenPrefix) {
		return e.jwt.Authenticate(ctx, token)
	}
	return e.static.Authenticate(ctx, token)
}

func (r ClaimRoles) String() string { return fmt.Sprintf("%s:%s=%v", r.Claim, r.Value, r.Roles) }
