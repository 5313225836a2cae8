package oauth

import (
	"encoding/json"
	"slices"
	"strings"

	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/internal/token/atjwt"
)

// scopeOf has the claims about a person, and the scope that asks for each (OpenID Connect Core §5.4). A client may ask for them
// one by one, too, with the parameter claims (§5.5).
var scopeOf = map[string]string{
	"preferred_username": "profile", "name": "profile", "updated_at": "profile", "user_metadata": "profile",
	"email": "email", "email_verified": "email",
}

// inIDToken are the claims that a scope puts into the ID token, since applications decide by them whether to let a person in. A
// scope asks for the others at UserInfo alone (§5.4), so that a person's name and address are not in a token that clients keep
// and pass on.
var inIDToken = []string{"email_verified", "user_metadata"}

// The places of a claim, in the parameter and in what a session keeps of it: userinfo:name id_token:email.
const (
	atUserInfo = "userinfo:"
	atIDToken  = "id_token:"
)

// claimsParameter is the parameter claims (§5.5). Other members are for claims that this server does not know.
type claimsParameter struct {
	UserInfo map[string]*claimRequest `json:"userinfo"`
	IDToken  map[string]*claimRequest `json:"id_token"`
}

// claimRequest is how a client wants a claim (§5.5.1); nil for any way. A value is a wish, except for sub and acr.
type claimRequest struct {
	Essential bool  `json:"essential"`
	Value     any   `json:"value"`
	Values    []any `json:"values"`
}

// allows reports whether a level is at least one of those that are asked for.
func (r *claimRequest) allows(acr string) bool {
	if r == nil || r.Value == nil && len(r.Values) == 0 {
		return true
	}
	return slices.ContainsFunc(append(slices.Clone(r.Values), r.Value), func(wanted any) bool {
		level, _ := wanted.(string)
		return slices.Contains(Levels, level) && atjwt.IsAtLeast(acr, level)
	})
}

// readClaims reads the parameter claims. A request without the scope openid is not one of OpenID Connect, and has none.
func (a *Authorization) readClaims() *problem.Error {
	if a.Claims == "" || !hasScope(a.Scope, "openid") {
		return nil
	}
	var p claimsParameter
	if err := json.Unmarshal([]byte(a.Claims), &p); err != nil {
		return problem.New(problem.InvalidRequest, "claims must be a JSON object as in OpenID Connect Core 5.5.")
	}
	for place, members := range map[string]map[string]*claimRequest{atUserInfo: p.UserInfo, atIDToken: p.IDToken} {
		for claim := range members {
			if scopeOf[claim] != "" {
				a.claims = append(a.claims, place+claim)
			}
		}
		if sub := members["sub"]; sub != nil && sub.Value != nil {
			id, ok := sub.Value.(string)
			if !ok || a.hint.Subject != "" && a.hint.Subject != id {
				return problem.New(problem.InvalidRequest, "claims asks for another person than id_token_hint, or for none.")
			}
			a.hint.Subject = id
		}
	}
	slices.Sort(a.claims)
	if acr := p.IDToken["acr"]; acr != nil && acr.Essential {
		a.acr = acr
	}
	return nil
}

// consentTo returns scopes and those of the claims of a session, which a person agrees to by scope.
func consentTo(scopes, claims []string) []string {
	all := slices.Clone(scopes)
	for _, placed := range claims {
		_, claim, _ := strings.Cut(placed, ":")
		if scope := scopeOf[claim]; !slices.Contains(all, scope) {
			all = append(all, scope)
		}
	}
	return all
}

// UserInfo returns the claims about a person at the UserInfo endpoint: those of the scopes of the token, and those that the client
// has asked for.
func UserInfo(user store.User, scopes []string, claims string) token.Person {
	placed := strings.Fields(claims)
	return personOf(user, func(claim string) bool {
		return slices.Contains(scopes, scopeOf[claim]) || slices.Contains(placed, atUserInfo+claim)
	})
}

// inIDTokenOf returns the claims about a person in the ID token of a session. The access token of a session for another resource
// is refused at UserInfo, so the claims of the scopes are here then.
func inIDTokenOf(session store.Session, user store.User, scopes []string) token.Person {
	placed := strings.Fields(session.Claims)
	return personOf(user, func(claim string) bool {
		byScope := session.Resource != "" || slices.Contains(inIDToken, claim)
		return byScope && slices.Contains(scopes, scopeOf[claim]) || slices.Contains(placed, atIDToken+claim)
	})
}

// personOf returns those of the claims about a person that has reports, as far as the account has them.
func personOf(user store.User, has func(claim string) bool) (p token.Person) {
	if has("preferred_username") {
		p.PreferredUsername = user.Username
	}
	if has("name") {
		p.Name = user.FullName
	}
	if has("updated_at") {
		p.UpdatedAt = user.UpdatedAt.Unix()
	}
	if has("user_metadata") && user.Metadata != "" {
		p.Metadata = json.RawMessage(user.Metadata)
	}
	if has("email") {
		p.Email = user.Email
	}
	if has("email_verified") && user.Email != "" {
		p.EmailVerified = &user.EmailVerified
	}
	return p
}

// neededConsent returns the scopes that a person must have agreed to before a client gets scopes and claims; nil for a client of
// the operator's own.
func neededConsent(client Client, scopes, claims []string) []string {
	if !client.ThirdParty {
		return nil
	}
	return consentTo(scopes, claims)
}
