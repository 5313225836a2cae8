package guard_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"sesame/server/guard"
)

const wellKnown = "/.well-known/oauth-protected-resource"

// D38: the guard serves the metadata of its service (RFC 9728), under the path of the resource, and names it in every challenge for an
// access token.
func TestTheMetadataIsServedAndNamed(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for audience, at := range map[string]string{
		"https://notes.example": wellKnown, "https://notes.example/": wellKnown,
		"https://notes.example:8443/api/v1": wellKnown + "/api/v1", "http://127.0.0.1:8090/a%20b/": wellKnown + "/a%20b/",
	} {
		g := newGuard(t, i, func(o *guard.Options) { o.Audience, o.Metadata = audience, true })
		e := echo.New()
		e.Use(g.Echo())
		e.GET("/v1/notes", func(c echo.Context) error { whoCalls(c.Response(), c.Request()); return nil })
		scheme, rest, _ := strings.Cut(audience, "://")
		host, _, _ := strings.Cut(rest, "/")
		named := `, resource_metadata="` + scheme + "://" + host + at + `"`
		reader := i.token(t, "first", nil, object{"aud": audience})
		for name, h := range map[string]http.Handler{"net/http": g.Handler(http.HandlerFunc(whoCalls)), "a mux": g.Handler(http.NewServeMux()), "echo": e} {
			w := call(h, "GET "+at, "", "")
			var got map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
				t.Fatalf("%s, %s: %d %s", name, audience, w.Code, w.Body)
			}
			wanted := map[string]any{
				"resource": audience, "authorization_servers": []any{i.URL}, "scopes_supported": []any{"notes:read", "notes:write"},
				"bearer_methods_supported": []any{"header"}, "resource_name": "notes",
			}
			if !reflect.DeepEqual(got, wanted) {
				t.Errorf("%s: got %v, want %v", name, got, wanted)
			}
			if h := w.Header(); h.Get("Content-Type") != "application/json" || h.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s: %v", name, h)
			}
			if w = call(h, "POST "+at, "", ""); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s: %d %v", name, w.Code, w.Header())
			}
			if w = call(h, "HEAD "+at, "", ""); w.Code != 200 {
				t.Errorf("%s: %d", name, w.Code)
			}
			want(t, call(h, "GET "+at+"x", "", ""), 404, "not_found", "")
			want(t, call(h, "GET /v1/notes", "", ""), 401, "unauthenticated", missing+named)
			want(t, call(h, "GET /v1/notes", "garbage", ""), 401, "invalid_token", invalid+named)
			want(t, call(h, "GET /v1/notes", i.token(t, "first", nil, object{"aud": audience, "scope": "x"}), ""), 403, "insufficient_scope", lacks("notes:read")+named)
			if name != "a mux" { // which has no such route
				want(t, call(h, "GET /v1/notes", reader, ""), 200, "", "")
			}
		}
	}
}

// Without Metadata nothing changes; an operation of the document at the same path is the service's own.
func TestTheMetadataOfAServiceOfItsOwn(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	want(t, call(served(t, i, nil), "GET "+wellKnown, "", ""), 404, "not_found", "")
	want(t, call(served(t, i, nil), "GET /v1/notes", "", ""), 401, "unauthenticated", missing)
	own := strings.Replace(strings.Replace(notes, "/v1'", "'", 1), "/about:", wellKnown+":", 1)
	h := served(t, i, func(o *guard.Options) { o.OpenAPI, o.Metadata = []byte(own), true })
	if w := call(h, "GET "+wellKnown, "", ""); w.Code != 200 || w.Body.String() != "a stranger" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// The metadata must name an address that the client has reached, and the tokens that it gets for it must be accepted here.
func TestMetadataNeedsTheAddressOfTheService(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, audience := range []string{"notes", "urn:example:notes", i.URL, "https://notes.example?x=1", "https://notes.example#x", `https://notes".example`, "https://user@notes.example", "https:///v1"} {
		_, err := guard.New(t.Context(), guard.Options{OpenAPI: []byte(notes), Issuer: i.URL, Audience: audience, Metadata: true})
		if err == nil || !strings.Contains(err.Error(), "Metadata") {
			t.Errorf("%s: %v", audience, err)
		}
	}
}
