package mock

import (
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
)

const demanding = `
openapi: 3.0.3
info: { title: t, version: '1' }
security: [{ OAuth2: [] }]
paths:
  /transfers:
    post:
      operationId: transfer
      x-requires-acr: '2'
      x-requires-max-age: 300
      responses: { '204': { description: ok }, default: { description: no, content: { application/problem+json: { schema: { type: object } } } } }
components: { securitySchemes: { OAuth2: { type: oauth2, flows: { password: { tokenUrl: /token, scopes: {} } } } } }
`

// The mock demands what the document demands, so that a front end can be built against it: a login with a code of any digits has a
// second factor.
func TestTheMockObeysDemands(t *testing.T) {
	t.Parallel()
	document, err := Read([]byte(demanding))
	if err != nil {
		t.Fatal(err)
	}
	e := echo.New()
	m, err := Register(e, Options{Document: document, PublicURL: "http://127.0.0.1", Audience: "x", AccessTTL: time.Minute, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if faults := m.Faults(); len(faults) > 0 {
		t.Errorf("got the faults %v", faults)
	}
	tokens := func(form string) (access, refresh string) {
		r, recorder := httptest.NewRequest("POST", "/token", strings.NewReader(form)), httptest.NewRecorder()
		r.Header.Set(echo.HeaderContentType, echo.MIMEApplicationForm)
		e.ServeHTTP(recorder, r)
		var issued struct {
			Access  string `json:"access_token"`
			Refresh string `json:"refresh_token"`
		}
		if err := json.Unmarshal(recorder.Body.Bytes(), &issued); err != nil {
			t.Fatal(err)
		}
		return issued.Access, issued.Refresh
	}
	weak, _ := tokens("grant_type=password&username=ann&password=x")
	strong, refresh := tokens("grant_type=password&username=ann&password=x&otp=123456")
	refreshed, _ := tokens("grant_type=refresh_token&refresh_token=" + refresh)
	service, _ := tokens("grant_type=client_credentials&client_id=c&client_secret=x&otp=123456")
	for name, c := range map[string]struct {
		token  string
		status int
	}{"one factor": {weak, 401}, "two factors": {strong, 204}, "a refresh": {refreshed, 204}, "a client": {service, 401}} {
		r := httptest.NewRequest("POST", "/transfers", nil)
		r.Header.Set("Authorization", "Bearer "+c.token)
		recorder := httptest.NewRecorder()
		e.ServeHTTP(recorder, r)
		challenge := recorder.Header().Get("WWW-Authenticate")
		demanded := strings.Contains(challenge, `error="insufficient_user_authentication"`) && strings.HasSuffix(challenge, `, acr_values="2", max_age="300"`)
		if recorder.Code != c.status || demanded != (c.status == 401) {
			t.Errorf("%s: %d %s", name, recorder.Code, challenge)
		}
	}
}
