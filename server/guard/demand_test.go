package guard_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"sesame/server/guard"
)

// demand gives the operation createNote a demand, and a 401.
func demand(extensions string) func(*guard.Options) {
	return func(o *guard.Options) {
		replace("operationId: createNote\n", "operationId: createNote\n      "+extensions+"\n")(o)
		o.OpenAPI = []byte(strings.Replace(string(o.OpenAPI), "'201': { description: ok }", "'201': { description: ok }, '401': { description: sign in }", 1))
	}
}

// stepUp is the challenge for a token that is not enough (RFC 9470 §3).
func stepUp(who, parameters string) string {
	return `Bearer realm="sesame", error="insufficient_user_authentication", error_description="This operation needs a person who has ` + who + `. Sign in again."` + parameters
}

// F12: with x-requires-acr and x-requires-max-age, a token is enough only if it says so itself; a token without the claims,
// such as a client's own, never is. For net/http and Echo, with and without the validation of requests, in YAML and JSON.
func TestTheGuardEnforcesDemands(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	now := time.Now()
	challenge := stepUp("signed in with a second factor within the last 300 seconds", `, acr_values="2", max_age="300"`)
	for name, c := range map[string]struct {
		claims object
		want   string
	}{
		"two factors, now":          {object{"acr": "2", "auth_time": now.Unix()}, ""},
		"two factors, in time":      {object{"acr": "2", "auth_time": now.Unix() - 299}, ""},
		"two factors, too long ago": {object{"acr": "2", "auth_time": now.Unix() - 301}, challenge},
		"one factor":                {object{"acr": "1", "auth_time": now.Unix()}, challenge},
		"no acr":                    {object{"auth_time": now.Unix()}, challenge},
		"no acr, but mfa":           {object{"auth_time": now.Unix(), "amr": []string{"mfa"}}, challenge},
		"no auth_time":              {object{"acr": "2"}, challenge},
		"auth_time 0":               {object{"acr": "2", "auth_time": 0}, challenge},
		"a client":                  {object{"sub": "c", "client_id": "c"}, challenge},
		"an acr of others":          {object{"acr": "urn:x", "auth_time": now.Unix()}, challenge},
	} {
		for _, validate := range []bool{false, true} {
			g := newGuard(t, i, func(o *guard.Options) {
				demand("x-requires-acr: '2'\n      x-requires-max-age: 300")(o)
				o.ValidateRequests, o.Now = validate, func() time.Time { return now }
			})
			e := echo.New()
			e.Use(g.Echo())
			e.POST("/v1/notes", func(c echo.Context) error { whoCalls(c.Response(), c.Request()); return nil })
			token := i.token(t, "first", nil, object{"scope": "notes:read notes:write"}.with(c.claims))
			for router, h := range map[string]http.Handler{"net/http": g.Handler(http.HandlerFunc(whoCalls)), "echo": e} {
				t.Run(fmt.Sprint(name, " ", router, " ", validate), func(t *testing.T) {
					if c.want == "" {
						want(t, call(h, "POST /v1/notes", token, `{"text":"a"}`), 200, "", "")
						return
					}
					want(t, call(h, "POST /v1/notes", token, `{"text":"a"}`), 401, "insufficient_user_authentication", c.want)
					if router == "net/http" {
						want(t, call(h, "GET /v1/notes", token, ""), 200, "", "")
					}
				})
			}
			want(t, call(e, "POST /v1/notes", "", `{"text":"a"}`), 401, "unauthenticated", missing)
		}
	}
	for _, claims := range []object{{"acr": 2}, {"amr": "mfa"}} { // RFC 9068 §2.2.1: acr is a text, amr a list
		want(t, call(served(t, i, nil), "GET /v1/notes", i.token(t, "first", nil, claims), ""), 401, "invalid_token", invalid)
	}
}

// A demand in JSON, or of one kind alone, is enforced like one in YAML.
func TestDemandsInEveryFormat(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	weak := i.token(t, "first", nil, object{"scope": "a", "acr": "1", "auth_time": time.Now().Unix() - 3600})
	for _, version := range []string{"3.0.3", "3.1.0"} {
		for extension, challenge := range map[string]string{
			`"x-requires-acr":"2"`:     stepUp("signed in with a second factor", `, acr_values="2"`),
			`"x-requires-max-age":600`: stepUp("signed in within the last 600 seconds", `, max_age="600"`),
		} {
			h := served(t, i, func(o *guard.Options) {
				o.OpenAPI = []byte(`{"openapi":"` + version + `","info":{"title":"t","version":"1"},"paths":{"/a":{"get":{"operationId":"a","security":[{"L":["a"]}],` + extension + `,"responses":{"200":{"description":"ok"},"default":{"description":"no"}}}}},` +
					`"components":{"securitySchemes":{"L":{"type":"oauth2","flows":{"password":{"tokenUrl":"https://login.example/token","scopes":{"a":"A"}}}}}}}`)
			})
			want(t, call(h, "GET /a", weak, ""), 401, "insufficient_user_authentication", challenge)
		}
	}
	_, err := guard.New(t.Context(), guard.Options{OpenAPI: []byte(strings.Replace(notes, "operationId: about\n", "operationId: about\n      x-requires-acr: '2'\n", 1)), Issuer: i.URL, Audience: audience})
	if err == nil || !strings.Contains(err.Error(), "GET /about (about): it can be called without a token") || !strings.Contains(err.Error(), "401") {
		t.Errorf("got %v", err)
	}
}

// A handler sees how and when the person has signed in.
func TestHandlersSeeTheSignIn(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	h := newGuard(t, i, nil).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := guard.CallerFrom(r.Context())
		fmt.Fprint(w, c.ACR, " ", c.AMR, " ", c.AuthTime.Unix(), " ", c.AuthTime.IsZero())
	}))
	for want, claims := range map[string]object{
		"2 [pwd otp mfa] 1700000000 false": {"acr": "2", "amr": []string{"pwd", "otp", "mfa"}, "auth_time": 1700000000},
		" [] -62135596800 true":            nil,
	} {
		if got := call(h, "GET /v1/notes", i.token(t, "first", nil, claims), "").Body.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
