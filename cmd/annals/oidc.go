package main

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
)

// oidcFlags say which issuer's tokens are taken; none where issuer is empty.
type oidcFlags struct {
	issuer, audience, roles, name string
	clients                       []string
}

func (f *oidcFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.issuer, "oidc-issuer", "", "address of an OpenID Connect issuer whose tokens are let in, beside those of --tokens")
	c.Flags().StringVar(&f.audience, "oidc-audience", "", "with --oidc-issuer: what the tokens must be for")
	c.Flags().StringVar(&f.roles, "oidc-roles", "", "with --oidc-issuer: what claims give, as CLAIM:VALUE=ROLE|ROLE, separated by commas: groups:staff=read|append,groups:ops=operate")
	c.Flags().StringVar(&f.name, "oidc-name", "", `with --oidc-issuer: the claim that holds who it is (default "sub")`)
	c.Flags().StringSliceVar(&f.clients, "oidc-clients", nil, "with --oidc-issuer: the applications whose tokens are taken, by azp or client_id; all by default")
}

// open is the OIDC of the flags.
func (a *app) openOIDC(ctx context.Context, f *oidcFlags) (*access.OIDC, error) {
	if f.audience == "" || f.roles == "" {
		return nil, usage("--oidc-issuer needs --oidc-audience and --oidc-roles", "docs/access.md has an example")
	}
	roles, err := access.ParseClaimRoles(f.roles)
	if err != nil {
		return nil, err
	}
	o, err := access.NewOIDC(access.OIDCOptions{Issuer: f.issuer, Audience: f.audience, Roles: roles, NameClaim: f.name, Clients: f.clients, Clock: a.clock})
	if err != nil {
		return nil, err
	}
	if err := o.Fetch(ctx); err != nil && ctx.Err() == nil {
		a.logger.Warn("nobody gets in by the issuer's tokens yet", "error", err)
	}
	return o, nil
}

// authenticator is who tells the server whose a token is; nil where it asks nobody.
func (a *app) authenticator(ctx context.Context, store *annals.Store, s *service) (access.Authenticator, error) {
	if s.oidc.issuer == "" && (s.oidc.audience != "" || s.oidc.roles != "" || s.oidc.name != "" || len(s.oidc.clients) > 0) {
		return nil, usage("--oidc-audience, --oidc-roles, --oidc-name and --oidc-clients need --oidc-issuer", "docs/access.md has an example")
	}
	rate, err := s.limits.each()
	if err != nil {
		return nil, err
	}
	if !s.asks() {
		if s.limits.rate != "" {
			return nil, usage("--max-rate needs --tokens or --oidc-issuer: without them nobody has a name", "add one, or limit the server with --max-requests")
		}
		return nil, nil
	}
	var known access.Authenticator
	if s.tokens != "" {
		tokens, err := access.OpenTokens(s.tokens, a.logger)
		if err != nil {
			return nil, err
		}
		tokens.Changed = func(added, removed []string) { a.noteTokens(ctx, store, s.tokens, added, removed) }
		known = tokens
	}
	if s.oidc.issuer != "" {
		issuer, err := a.openOIDC(ctx, &s.oidc)
		switch {
		case err != nil:
			return nil, err
		case known == nil:
			known = issuer
		default:
			known = access.Either(known, issuer)
		}
	}
	return access.NewLimited(known, access.Limits{Each: rate, Strangers: strangers}, a.clock), nil
}

// noteTokens notes that the file of tokens has changed. Who changed it, nobody knows.
func (a *app) noteTokens(ctx context.Context, store *annals.Store, file string, added, removed []string) {
	var changes []string
	for word, lines := range map[string][]string{"added": added, "removed": removed} {
		for _, line := range lines {
			changes = append(changes, word+" "+line)
		}
	}
	slices.Sort(changes)
	a.note(ctx, store, access.Action{Who: access.Local().Name, What: "tokens.change", Target: filepath.Base(file), Detail: strings.Join(changes, "; ")})
}
