// This program uses the client that OpenAPI Generator generates, as the guide shows it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"example/sesame"

	"golang.org/x/oauth2"
)

func use(ctx context.Context, address string) {
	config := oauth2.Config{Endpoint: oauth2.Endpoint{TokenURL: address + "/token"}}
	token, err := config.PasswordCredentialsToken(ctx, "johndoe", "knock-knock")
	if err != nil {
		panic(err)
	}
	ctx = context.WithValue(ctx, sesame.ContextOAuth2, config.TokenSource(ctx, token)) // refreshes when the time is up
	client := sesame.NewAPIClient(sesame.NewConfiguration())                           // which knows the server's address

	update := sesame.NewUserUpdate()
	update.SetFullNameNil() // null clears
	user, _, err := client.AccountsAPI.UpdateMe(ctx).UserUpdate(*update).Execute()
	if err != nil {
		panic(err)
	}
	change := sesame.NewPasswordChange("a guess", "a wooden horse")
	_, err = client.AccountsAPI.ChangePassword(ctx).PasswordChange(*change).Execute()
	if refused := (*sesame.GenericOpenAPIError)(nil); errors.As(err, &refused) {
		problem := refused.Model().(sesame.Problem)
		fmt.Println(user.Username, problem.Code, problem.Errors[0].Pointer) // johndoe wrong_password /current_password
	}
	beyondTheGuide(ctx, client)
}

func main() {
	use(context.Background(), os.Args[1])
}

func beyondTheGuide(ctx context.Context, client *sesame.APIClient) {
	tokens := func() sesame.ApiCreateTokenRequest { return client.TokensAPI.CreateToken(context.Background()) }
	granted, _, err := tokens().GrantType("password").Username("johndoe").Password("knock-knock").Execute()
	check(err)
	renewed, _, err := tokens().GrantType("refresh_token").RefreshToken(granted.GetRefreshToken()).Execute()
	check(err)
	holds(renewed.GetRefreshToken() != granted.GetRefreshToken(), "the refresh token is the old one")

	_, _, err = tokens().GrantType("password").Username("johndoe").Password("knock-knack").Execute()
	var refused *sesame.GenericOpenAPIError
	holds(errors.As(err, &refused), err)
	holds(refused.Model().(sesame.OAuthError).Error == sesame.INVALID_GRANT, refused.Model())

	me, _, err := client.AccountsAPI.GetMe(ctx).Execute()
	check(err)
	_, set := me.GetFullNameOk()
	holds(set && me.FullName.Get() == nil, me)
	events, _, err := client.EventsAPI.ListMyEvents(ctx).Execute()
	check(err)
	holds(len(events.Items) > 0, events)
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
