package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// github is GitHub, or a GitHub Enterprise Server, whose address is its issuer. It has no ID tokens: the person is who the API says
// for the access token, which comes from GitHub itself and goes nowhere else.
type github struct {
	*Service
	Provider
}

// gitHubIssuer is the issuer of identities at github.com.
const gitHubIssuer = "https://github.com"

func (g github) config() *oauth2.Config {
	return &oauth2.Config{
		ClientID: g.ClientID, ClientSecret: g.secret.Reveal(), RedirectURL: g.RedirectURI(g.Name), Scopes: g.Scopes,
		Endpoint: oauth2.Endpoint{
			AuthURL: g.Issuer + "/login/oauth/authorize", TokenURL: g.Issuer + "/login/oauth/access_token", AuthStyle: oauth2.AuthStyleInParams,
		},
	}
}

func (g github) api(path string) string {
	if g.Issuer == gitHubIssuer {
		return "https://api.github.com" + path
	}
	return g.Issuer + "/api/v3" + path
}

func (g github) address(_ context.Context, f flow) (string, error) {
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(f.Verifier)}
	if f.Again {
		options = append(options, oauth2.SetAuthURLParam("prompt", "select_account"))
	}
	return g.config().AuthCodeURL(f.State, options...), nil
}

func (g github) answersWithIssuer(context.Context) (bool, error) { return false, nil }

func (g github) person(ctx context.Context, f flow, code string) (person Person, err error) {
	tokens, err := g.config().Exchange(oidc.ClientContext(ctx, g.client), code, oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return person, failed(err)
	}
	var user struct {
		ID    int64   `json:"id"` // of the account; the login can be renamed and given to others
		Login string  `json:"login"`
		Name  *string `json:"name"`
	}
	if err = g.get(ctx, tokens, "/user", &user); err != nil {
		return person, failed(err)
	}
	if user.ID <= 0 {
		return person, failed(errors.New("GitHub answered without the id of the account"))
	}
	var addresses []struct {
		Email    string `json:"email"`
		Primary  bool   `json:"primary"`
		Verified bool   `json:"verified"`
	}
	if err = g.get(ctx, tokens, "/user/emails?per_page=100", &addresses); err != nil {
		return person, failed(err)
	}
	claims := map[string]any{"preferred_username": user.Login}
	if user.Name != nil {
		claims["name"] = *user.Name
	}
	for _, address := range addresses {
		if address.Primary {
			claims["email"], claims["email_verified"] = address.Email, address.Verified
		}
	}
	person, err = personOf(strconv.FormatInt(user.ID, 10), claims)
	if login := textOf(user.Login); login != "" {
		person.Label = login
	}
	return person, err
}

// get reads an answer of the API.
func (g github) get(ctx context.Context, tokens *oauth2.Token, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.api(path), nil)
	if err != nil {
		return err
	}
	tokens.SetAuthHeader(request)
	request.Header.Set("Accept", "application/vnd.github+json")
	request.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	response, err := g.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New("GitHub's API answered with " + response.Status)
	}
	return json.NewDecoder(response.Body).Decode(into)
}
