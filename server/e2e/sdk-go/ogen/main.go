// This program uses the client that ogen generates, as the guide shows it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"example/sesame"

	"github.com/ogen-go/ogen/ogenerrors"
	"github.com/ogen-go/ogen/validate"
	"golang.org/x/oauth2"
)

type login struct{ tokens oauth2.TokenSource }

func (l login) OAuth2Password(context.Context, sesame.OperationName) (sesame.OAuth2Password, error) {
	token, err := l.tokens.Token() // refreshes when the time is up
	if err != nil {
		return sesame.OAuth2Password{}, err
	}
	return sesame.OAuth2Password{Token: token.AccessToken}, nil
}

func (login) ClientBasic(context.Context, sesame.OperationName) (sesame.ClientBasic, error) {
	return sesame.ClientBasic{}, ogenerrors.ErrSkipClientSecurity // for service clients alone
}

func use(ctx context.Context, address string) {
	config := oauth2.Config{Endpoint: oauth2.Endpoint{TokenURL: address + "/token"}}
	token, err := config.PasswordCredentialsToken(ctx, "johndoe", "knock-knock")
	if err != nil {
		panic(err)
	}
	client, err := sesame.NewClient(address, login{config.TokenSource(ctx, token)})
	if err != nil {
		panic(err)
	}

	user, err := client.UpdateMe(ctx, &sesame.UserUpdate{FullName: sesame.OptNilFullName{Set: true, Null: true}}) // null clears
	if err != nil {
		panic(err)
	}
	refused, err := client.ChangePassword(ctx, &sesame.PasswordChange{CurrentPassword: "a guess", NewPassword: "a wooden horse"})
	if err != nil {
		panic(err)
	}
	if problem, ok := refused.(*sesame.ChangePasswordUnprocessableEntity); ok { // a type for each response
		fmt.Println(user.(*sesame.User).Username, problem.Code, problem.Errors[0].Pointer) // johndoe wrong_password /current_password
	}
	beyondTheGuide(ctx, client)
}

func main() {
	use(context.Background(), os.Args[1])
}

func beyondTheGuide(ctx context.Context, client *sesame.Client) {
	login := sesame.TokenRequest{Username: sesame.NewOptString("johndoe"), Password: sesame.NewOptString("knock-knock")}
	login.GrantType.SetTo(sesame.TokenRequestGrantTypePassword)
	form, err := client.CreateToken(ctx, &login)
	check(err)
	granted := form.(*sesame.TokenHeaders).Response

	renewal := sesame.TokenRequest{RefreshToken: sesame.NewOptString(granted.RefreshToken.Value)}
	renewal.GrantType.SetTo(sesame.TokenRequestGrantTypeRefreshToken)
	answer, err := client.CreateToken(ctx, &renewal)
	check(err)
	holds(answer.(*sesame.TokenHeaders).Response.RefreshToken != granted.RefreshToken, "the refresh token is the old one")

	login.Password.SetTo("knock-knack")
	answer, err = client.CreateToken(ctx, &login)
	check(err)
	holds(answer.(*sesame.OAuthRefusedHeaders).Response.Error == sesame.OAuthErrorCodeInvalidGrant, answer)

	me, err := client.GetMe(ctx)
	check(err)
	holds(me.(*sesame.User).FullName.Null, me)
	sessions, err := client.ListSessions(ctx)
	check(err)
	holds(len(sessions.(*sesame.SessionPage).Items) > 0, sessions)

	_, err = client.UpdateMe(ctx, &sesame.UserUpdate{FullName: sesame.NewOptNilFullName(sesame.FullName(strings.Repeat("x", 201)))})
	var invalid *validate.Error
	holds(errors.As(err, &invalid) && invalid.Fields[0].Name == "full_name", err)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func holds(ok bool, otherwise any) {
	if !ok {
		panic(fmt.Sprint(otherwise))
	}
}
