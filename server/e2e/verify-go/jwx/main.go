// This program verifies access tokens with jwx: one token per line on its standard input, one answer per line on its
// standard output. The test passes the address of the issuer.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/lestrrat-go/httprc/v3"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

func fetchKeys(ctx context.Context, address string) (jwk.Set, error) {
	cache, err := jwk.NewCache(ctx, httprc.NewClient())
	if err != nil {
		return nil, err
	}
	url := address + "/.well-known/jwks.json"
	// A new key is published ten minutes before it signs the first token.
	if err = cache.Register(ctx, url, jwk.WithConstantInterval(5*time.Minute)); err != nil {
		return nil, err
	}
	return cache.CachedSet(url)
}

func verify(keys jwk.Set, address, accessToken string) (userID string, scopes []string, err error) {
	signed, err := jws.ParseString(accessToken)
	if err != nil {
		return "", nil, err
	}
	if typ, _ := signed.Signatures()[0].ProtectedHeaders().Type(); typ != "at+jwt" { // jwx does not check typ
		return "", nil, errors.New("not an access token")
	}
	token, err := jwt.ParseString(accessToken, jwt.WithKeySet(keys), jwt.WithIssuer(address), jwt.WithAudience(address),
		jwt.WithRequiredClaim(jwt.ExpirationKey), jwt.WithRequiredClaim(jwt.SubjectKey))
	if err != nil {
		return "", nil, err
	}
	var scope string
	userID, _ = token.Subject()
	err = token.Get("scope", &scope)
	return userID, strings.Fields(scope), err
}

func main() {
	ctx := context.Background()
	address := os.Args[1]
	keys, err := fetchKeys(ctx, address)
	if err != nil {
		panic(err)
	}
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		userID, scopes, err := verify(keys, address, input.Text())
		if err != nil {
			fmt.Printf("refused: %q\n", err) // in one line
			continue
		}
		fmt.Println("accepted:", userID, strings.Join(scopes, " "))
	}
}
