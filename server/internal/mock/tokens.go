package mock

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/labstack/echo/v4"

	"sesame/server/internal/contract"
	"sesame/server/internal/problem"
	"sesame/server/internal/token"
	"sesame/server/internal/token/atjwt"
)

const clientCredentials = "client_credentials"

// remembered is the number of refresh tokens whose subject and scopes are kept.
const remembered = 10_000

// tokens issues and verifies the mock's tokens, with a key that is not stored.
type tokens struct {
	Options
	issuer *token.Issuer
	scopes contract.Scopes
	grants *lru.Cache[string, grant]
}

// grant is the subject and the scopes of a refresh token.
type grant struct {
	subject, scope string
	methods        []string // as the real server has them; nil for a client's own token
	loggedIn       time.Time
}

func newTokens(o Options) (*tokens, error) {
	key, err := token.GenerateKey(token.ES256)
	if err != nil {
		return nil, err
	}
	ring := token.NewKeyring(key)
	grants, err := lru.New[string, grant](remembered)
	if err != nil {
		return nil, err
	}
	return &tokens{Options: o, issuer: token.NewIssuer(o.PublicURL, o.Audience, ring, o.Now), grants: grants}, nil
}

// schemes returns the code for each security scheme of a document. For oauth2 it verifies the mock's own tokens and their
// scopes; it accepts every other credential if there is one.
func (t *tokens) schemes(doc *openapi3.T) map[string]contract.Scheme {
	schemes := map[string]contract.Scheme{}
	if doc.Components == nil {
		return schemes
	}
	for name, ref := range doc.Components.SecuritySchemes {
		switch s := ref.Value; {
		case s.Type == "oauth2":
			schemes[name] = t.bearer
		case s.Type == "apiKey":
			schemes[name] = presence(func(r *http.Request) string { return apiKey(r, s) })
		case strings.EqualFold(s.Scheme, "basic"):
			schemes[name] = presence(func(r *http.Request) string { return credentials(r, "Basic") })
		case s.Type == "mutualTLS":
			schemes[name] = presence(func(*http.Request) string { return "the mock has no TLS" })
		default: // http bearer, openIdConnect
			schemes[name] = presence(func(r *http.Request) string { return credentials(r, "Bearer") })
		}
	}
	return schemes
}

// caller is the holder of a token.
type caller struct {
	token.Access
	scopes  []string
	checked time.Time
}

// HasScope implements contract.Caller.
func (c caller) HasScope(scope string) bool { return slices.Contains(c.scopes, scope) }

// SignIn implements contract.Authenticated.
func (c caller) SignIn() (acr string, at, checked time.Time) {
	return atjwt.LevelOf(c.Methods), c.AuthTime, c.checked
}

// anyone has every scope.
type anyone struct{}

// HasScope implements contract.Caller.
func (anyone) HasScope(string) bool { return true }

func presence(read func(*http.Request) string) contract.Scheme {
	return func(_ context.Context, r *http.Request) (contract.Caller, error) {
		if read(r) == "" {
			return nil, nil
		}
		return anyone{}, nil
	}
}

func credentials(r *http.Request, scheme string) string {
	kind, rest, _ := strings.Cut(r.Header.Get(echo.HeaderAuthorization), " ")
	if !strings.EqualFold(kind, scheme) {
		return ""
	}
	return rest
}

func apiKey(r *http.Request, s *openapi3.SecurityScheme) string {
	switch s.In {
	case "query":
		return r.URL.Query().Get(s.Name)
	case "cookie":
		if cookie, err := r.Cookie(s.Name); err == nil {
			return cookie.Value
		}
		return ""
	}
	return r.Header.Get(s.Name)
}

func (t *tokens) bearer(_ context.Context, r *http.Request) (contract.Caller, error) {
	text, err := contract.BearerToken(r)
	if err != nil || text.Empty() {
		return nil, err
	}
	access, err := t.issuer.Verify(text.Reveal())
	if err != nil {
		return nil, problem.Wrap(problem.InvalidToken, "The access token is expired, or not one of this mock.", err)
	}
	return caller{access, strings.Fields(access.Scope), t.Now()}, nil
}

// issue responds to a token request (RFC 6749 §5.1), whatever the credentials, with the documented response and real tokens
// in it.
func (t *tokens) issue(header http.Header, form func(string) string, documented *answer) (*answer, error) {
	if form("grant_type") == "" {
		return nil, problem.New(problem.InvalidRequest, "The parameter grant_type is missing.")
	}
	now := t.Now()
	g, known := t.grants.Get(form("refresh_token"))
	if !known {
		g = grant{subject: subject(form("username") + form("client_id")), scope: strings.Join(t.defaults(), " ")}
		if form("grant_type") != clientCredentials {
			g.methods, g.loggedIn = []string{"pwd"}, now
		}
		if form("otp") != "" && g.methods != nil { // any code is the right one
			g.methods = append(g.methods, "otp", atjwt.MultiFactor)
		}
	}
	if asked := form("scope"); asked != "" {
		if g.scope = t.granted(asked); g.scope == "" {
			return nil, problem.New(problem.InvalidScope, "The contract declares none of these scopes.")
		}
	}
	access, err := t.issuer.Sign(token.Access{
		ID: uuid.NewString(), Subject: g.subject, SessionID: uuid.NewString(), ClientID: token.FirstParty,
		Scope: g.scope, AuthTime: g.loggedIn, Methods: g.methods, IssuedAt: now, ExpiresAt: now.Add(t.AccessTTL),
	})
	if err != nil {
		return nil, err
	}
	body := map[string]any{}
	_ = json.Unmarshal(documented.body.Bytes(), &body) // other values have no members to keep
	body["access_token"], body["scope"], body["expires_in"] = access, g.scope, int(t.AccessTTL.Seconds())
	if body["token_type"] == nil {
		body["token_type"] = "bearer"
	}
	if form("grant_type") == clientCredentials { // RFC 6749 §4.4.3
		delete(body, "refresh_token")
	} else {
		refresh := rand.Text()
		t.grants.Add(refresh, g)
		body["refresh_token"] = refresh
	}
	documented.status = http.StatusOK
	documented.setJSON(echo.MIMEApplicationJSON, body)
	header.Set(echo.HeaderCacheControl, "no-store") // RFC 6749 §5.1
	header.Set("Pragma", "no-cache")
	return documented, nil
}

// defaults returns the scopes for a request that names none: those of x-default, or all if the document has no such list.
func (t *tokens) defaults() []string {
	if len(t.scopes.Default) > 0 {
		return t.scopes.Default
	}
	return t.scopes.Declared
}

// granted returns the requested scopes that the document declares.
func (t *tokens) granted(asked string) string {
	var granted []string
	for _, scope := range strings.Fields(asked) {
		if slices.Contains(t.scopes.Declared, scope) && !slices.Contains(granted, scope) {
			granted = append(granted, scope)
		}
	}
	return strings.Join(granted, " ")
}

// subject returns the user id for a name, the same at every login.
func subject(name string) string { return uuid.NewSHA1(uuid.NameSpaceURL, []byte(name)).String() }
