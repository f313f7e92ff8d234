// Package access says who may do what with a store, and keeps what operators did.
//
// A Principal is somebody with Roles: to read, to append, to operate. An
// Authenticator makes one of a token; the faces of a store (httpapi and its console)
// put it into the request's context, and refuse what its roles don't allow. Tokens is
// an Authenticator over a file that holds the hashes of tokens, which NewToken makes;
// OIDC recognizes the JSON Web Tokens of an OpenID Connect issuer; Either is both, and
// Limited lets nobody ask too often.
//
// Record appends what an operator did to Stream, where Actions reads it.
package access
