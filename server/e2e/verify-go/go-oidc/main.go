// This program verifies access tokens with go-oidc: one token per line on its standard input, one answer per line on its
// standard output. The test passes the address of the issuer.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

func newVerifier(ctx context.Context, address string) *oidc.IDTokenVerifier {
	keys := oidc.NewRemoteKeySet(ctx, address+"/.well-known/jwks.json")
	return oidc.NewVerifier(address, keys, &oidc.Config{
		ClientID:             address, // go-oidc compares it with aud
		SupportedSigningAlgs: []string{oidc.ES256},
	})
}

func verify(ctx context.Context, verifier *oidc.IDTokenVerifier, accessToken string) (userID string, scopes []string, err error) {
	signed, err := jose.ParseSignedCompact(accessToken, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil || signed.Signatures[0].Header.ExtraHeaders[jose.HeaderType] != "at+jwt" { // go-oidc does not check typ
		return "", nil, errors.New("not an access token")
	}
	token, err := verifier.Verify(ctx, accessToken)
	if err != nil {
		return "", nil, err
	}
	var claims struct {
		Scope string `json:"scope"`
	}
	err = token.Claims(&claims)
	return token.Subject, strings.Fields(claims.Scope), err
}

func main() {
	ctx := context.Background()
	verifier := newVerifier(ctx, os.Args[1])
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		userID, scopes, err := verify(ctx, verifier, input.Text())
		if err != nil {
			fmt.Printf("refused: %q\n", err) // in one line
			continue
		}
		fmt.Println("accepted:", userID, strings.Join(scopes, " "))
	}
}
