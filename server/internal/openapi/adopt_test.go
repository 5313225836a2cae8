package openapi

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"sesame"
)

// document is an OpenAPI document with one operation. The lines of more are its other members, and those of operation
// the operation's.
func document(more, operation string) string {
	return "openapi: 3.0.3 # of the team\ninfo: { title: Things, version: '1' }\n" + more +
		"paths:\n  /things:\n    get:\n      operationId: listThings\n" + operation +
		"      responses: { '200': { description: The things. }, default: { description: An error. } }\n"
}

// schemes are the components of a document with security schemes.
func schemes(text string) string { return "components:\n  securitySchemes:\n    " + text + "\n" }

// adopt adopts a document, and checks that it can be served with Sesame's.
func adopt(t *testing.T, text string) (*openapi3.T, string) {
	t.Helper()
	adopted, notes, err := Adopt(Document{"things.yaml", []byte(text)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Merge(Document{"things.yaml", adopted}, Document{"Sesame's openapi.yaml", sesame.OpenAPI}); err != nil {
		t.Errorf("%v\n%s", err, adopted)
	}
	doc, err := openapi3.NewLoader().LoadFromData(adopted)
	if err != nil {
		t.Fatalf("%v\n%s", err, adopted)
	}
	return doc, strings.Join(notes, "\n")
}

func TestAdoptReplacesTheLogin(t *testing.T) {
	const (
		bearer = "Bearer: { type: http, scheme: Bearer, bearerFormat: JWT }"
		oauth2 = "OAuth: { type: oauth2, flows: { authorizationCode: { authorizationUrl: 'https://a.example', tokenUrl: 'https://a.example/t', scopes: { 'things:read': Read things } } } }"
		oidc   = "Connect: { type: openIdConnect, openIdConnectUrl: 'https://a.example/.well-known/openid-configuration' }"
	)
	for name, c := range map[string]struct {
		text   string
		want   []string // the security of the operation or, without one, of the document
		scopes []string
		notes  []string
	}{
		"no security": {
			document("", ""),
			[]string{"map[OAuth2Password:[]]"},
			nil,
			[]string{"operations without security need an access token now"},
		},
		"a bearer token": {
			document("security: [{ Bearer: [] }]\n"+schemes(bearer), ""),
			[]string{"map[OAuth2Password:[]]"},
			nil,
			[]string{"the security scheme Bearer is OAuth2Password now"},
		},
		"OAuth 2 with scopes": {
			document(schemes(oauth2), "      security: [{ OAuth: ['things:read'] }]\n"),
			[]string{"map[OAuth2Password:[things:read]]"},
			[]string{"things:read"},
			[]string{"OAuth is OAuth2Password now", "nobody has the scopes things:read yet"},
		},
		"OpenID Connect": {
			document("security: [{ Connect: [things] }]\n"+schemes(oidc), ""),
			[]string{"map[OAuth2Password:[things]]"},
			[]string{"things"},
			[]string{"Connect is OAuth2Password now"},
		},
		"Sesame's own scheme": {
			document("security: [{ OAuth2Password: [a] }]\n"+schemes("OAuth2Password: { type: oauth2, flows: { password: { tokenUrl: /login, scopes: { a: A, b: B }, x-default: [b] } } }"), ""),
			[]string{"map[OAuth2Password:[a]]"},
			[]string{"a", "b"},
			nil,
		},
		"Sesame's scheme without its declaration": {
			document("", "      security: [{ OAuth2Password: [a] }]\n"), []string{"map[OAuth2Password:[a]]"}, []string{"a"}, nil,
		},
		"two schemes together": {
			document("security: [{ Bearer: [], OAuth: ['things:read'] }]\n"+schemes(bearer+"\n    "+oauth2), ""), []string{"map[OAuth2Password:[things:read]]"}, []string{"things:read"}, nil,
		},
		"two alternatives": {
			document("security: [{ Bearer: [] }, { OAuth: ['things:read'] }]\n"+schemes(bearer+"\n    "+oauth2), ""),
			[]string{"map[OAuth2Password:[]]", "map[OAuth2Password:[things:read]]"},
			[]string{"things:read"},
			nil,
		},
		"public operations": {
			document("security: [{ Bearer: [] }]\n"+schemes(bearer), "      security: []\n"), nil, nil, nil,
		},
		"service clients": {
			document(schemes("ClientBasic: { type: http, scheme: basic }"), "      security: [{ ClientBasic: [] }]\n"), []string{"map[ClientBasic:[]]"}, nil, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			doc, notes := adopt(t, c.text)
			security := &doc.Security
			if own := doc.Paths.Value("/things").Get.Security; own != nil {
				security = own
			}
			var got []string
			for _, alternative := range *security {
				got = append(got, fmt.Sprint(map[string][]string(alternative)))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("the security is %v, want %v", got, c.want)
			}
			flow := doc.Components.SecuritySchemes["OAuth2Password"].Value.Flows.Password
			if flow.TokenURL != "/token" || len(flow.Scopes) != len(c.scopes) {
				t.Errorf("got the login %+v", flow)
			}
			for _, scope := range c.scopes {
				if _, declared := flow.Scopes[scope]; !declared {
					t.Errorf("the scope %s is not declared", scope)
				}
			}
			for _, note := range c.notes {
				if !strings.Contains(notes, note) {
					t.Errorf("no note says %q:\n%s", note, notes)
				}
			}
		})
	}
}

func TestAdoptKeepsTheListsOfScopes(t *testing.T) {
	doc, notes := adopt(t, document(schemes("Login: { type: oauth2, flows: { password: { tokenUrl: /t, scopes: { a: A }, x-default: [a], x-people-only: [a] } } }"), ""))
	flow := doc.Components.SecuritySchemes["OAuth2Password"].Value.Flows.Password
	if fmt.Sprint(flow.Extensions["x-default"], flow.Extensions["x-people-only"]) != "[a] [a]" || strings.Contains(notes, "nobody has") {
		t.Errorf("got %v\n%s", flow.Extensions, notes)
	}
}

func TestAdoptMovesTheServer(t *testing.T) {
	for servers, path := range map[string]string{
		"":                        "/things",
		"servers: [{ url: / }]\n": "/things",
		"servers: [{ url: 'https://api.example.com' }]\n":                                                           "/things",
		"servers: [{ url: 'https://api.example.com/v1/' }, { url: 'https://test.example.com/' }]\n":                 "/v1/things",
		"servers: [{ url: /api }]\n":                                                                                "/api/things",
		"servers: [{ url: 'https://{host}/{base}', variables: { host: { default: a }, base: { default: v2 } } }]\n": "/v2/things",
		"servers: [{ url: 'https://{host}/v1' }]\n":                                                                 "/v1/things",
		"servers: [{ url: //api.example.com/v1 }]\n":                                                                "/v1/things",
		"servers: [{ url: ./v1 }]\n":                                                                                "/v1/things",
		"servers: [{ url: v1 }]\n":                                                                                  "/v1/things",
		"servers: [{ url: '{scheme}://a.example/v1', variables: { scheme: { default: https } } }]\n":                "/v1/things",
	} {
		doc, notes := adopt(t, document(servers, ""))
		if doc.Paths.Value(path) == nil {
			t.Errorf("%s: got the paths %v", servers, doc.Paths.Keys())
		}
		if len(doc.Servers) > 0 && (len(doc.Servers) > 1 || doc.Servers[0].URL != "/") {
			t.Errorf("%s: got the server %s", servers, doc.Servers[0].URL)
		}
		if moved := path != "/things"; moved != strings.Contains(notes, "each path begins with") {
			t.Errorf("%s: got the notes\n%s", servers, notes)
		}
	}
}

func TestAdoptMakesJSONReadable(t *testing.T) {
	text := `{"openapi":"3.0.0","info":{"title":"Things","version":"1.0"},"paths":{"/things":{"get":{"operationId":"listThings","responses":{"204":{"description":"no: nothing"}}}}}}`
	adopted, _, err := Adopt(Document{"things.json", []byte(text)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(adopted), "\n"); lines < 15 || strings.Contains(string(adopted), "{") && !strings.Contains(string(adopted), "scopes: {}") {
		t.Errorf("got %d lines:\n%s", lines, adopted)
	}
	adopt(t, text) // and the version is still a string
}

func TestAdoptKeepsComments(t *testing.T) {
	adopted, _, err := Adopt(Document{"things.yaml", []byte(document("", ""))}, nil)
	if err != nil || !strings.Contains(string(adopted), "# of the team") {
		t.Errorf("%v\n%s", err, adopted)
	}
}

func TestAdoptRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"an API key":  {document("security: [{ Key: [] }]\n"+schemes("Key: { type: apiKey, in: header, name: X-Key }"), ""), "things.yaml, line 6, #/components/securitySchemes/Key: Sesame does not support the security scheme Key (apiKey)"},
		"passwords":   {document(schemes("Password: { type: http, scheme: basic }"), ""), "line 5, #/components/securitySchemes/Password: Sesame does not support the security scheme Password (http basic)"},
		"OpenAPI 3.1": {strings.Replace(document("", ""), "3.0.3", "3.1.0", 1), "things.yaml, line 1, #/openapi: the document is OpenAPI 3.1.0, and the server enforces 3.0 alone; convert it"},
		"Swagger 1":   {"swagger: '1.2'\n", `line 1, #/swagger: the document is Swagger "1.2"; convert it`},
		"a variable":  {document("servers: [{ url: 'https://{host}/{base}' }]\n", ""), "line 3: the variables of the server's URL must have a default, and these have none: base"},
		"a list":      {"[]", "it is not a mapping"},
	} {
		if _, _, err := Adopt(Document{"things.yaml", []byte(c.text)}, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}
