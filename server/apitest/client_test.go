package apitest

import (
	"context"
	"net/http"
	"testing"

	"github.com/oapi-codegen/nullable"

	"sesame/gen/client"
)

// The generated client does what a person does: register, log in, look, change, refresh, leave.
func TestTheGeneratedClient(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ctx, token := t.Context(), ""
		c, err := client.NewClientWithResponses(s.url, client.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			return nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		must := func(status int, want int, err error) {
			t.Helper()
			if err != nil || status != want {
				t.Fatalf("status %d, want %d: %v", status, want, err)
			}
		}
		plain, name := horse, "ann"
		created, err := c.CreateUserWithResponse(ctx, client.UserCreate{Username: name, Password: plain})
		must(created.StatusCode(), 201, err)
		wrong := "not the password"
		refused, err := c.CreateTokenWithFormdataBodyWithResponse(ctx, client.TokenRequest{
			GrantType: client.TokenRequestGrantTypePassword, Username: &name, Password: &wrong,
		})
		must(refused.StatusCode(), 400, err)
		if refused.JSON400.Error != client.OAuthErrorCodeInvalidGrant {
			t.Errorf("the error is %q", refused.JSON400.Error)
		}
		login, err := c.CreateTokenWithFormdataBodyWithResponse(ctx, client.TokenRequest{
			GrantType: client.TokenRequestGrantTypePassword, Username: &name, Password: &plain,
		})
		must(login.StatusCode(), 200, err)
		token = login.JSON200.AccessToken
		updated, err := c.UpdateMeWithResponse(ctx, client.UserUpdate{FullName: nullable.NewNullableWithValue("Ann")})
		must(updated.StatusCode(), 200, err)
		me, err := c.GetMeWithResponse(ctx)
		must(me.StatusCode(), 200, err)
		if me.JSON200.ID != created.JSON201.ID || me.JSON200.FullName.MustGet() != "Ann" {
			t.Errorf("got %+v", me.JSON200)
		}
		refreshed, err := c.CreateTokenWithFormdataBodyWithResponse(ctx, client.TokenRequest{
			GrantType: client.TokenRequestGrantTypeRefreshToken, RefreshToken: &login.JSON200.RefreshToken,
		})
		must(refreshed.StatusCode(), 200, err)
		ended, err := c.EndSessionsWithResponse(ctx)
		must(ended.StatusCode(), 204, err)
		gone, err := c.GetMeWithResponse(ctx)
		must(gone.StatusCode(), 401, err)
		if gone.ApplicationProblemJSON401.Code != client.ErrorCodeInvalidToken {
			t.Errorf("the code is %q", gone.ApplicationProblemJSON401.Code)
		}
	})
}
