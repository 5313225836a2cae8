package login_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/labstack/echo/v4"

	"sesame/server/login"
)

// greetings is the contract of a service: one operation, which needs a token with the scope greetings:read. Every person
// has that scope.
const greetings = `openapi: 3.0.3
info: { title: Greetings, version: '1' }
paths:
  /greeting:
    get:
      operationId: getGreeting
      security: [{ OAuth2Password: ['greetings:read'] }]
      responses: { '200': { description: A greeting., content: { text/plain: { schema: { type: string } } } } }
components:
  securitySchemes:
    OAuth2Password:
      type: oauth2
      flows:
        password:
          tokenUrl: /token
          scopes: { 'greetings:read': Be greeted }
          x-default: ['greetings:read']
`

// A server with one operation of its own. A program passes os.Environ() to FromEnv, and the context of signal.NotifyContext
// to Open and Serve.
func Example() {
	folder, _ := os.MkdirTemp("", "greetings")
	defer os.RemoveAll(folder)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	settings, err := login.FromEnv([]string{"SESAME_LISTEN=127.0.0.1:0", "SESAME_DATABASE_URL=sqlite:" + filepath.Join(folder, "greetings.db")})
	if err != nil {
		fmt.Println(err)
		return
	}
	app, err := login.Open(ctx, settings, login.Output(io.Discard))
	if err != nil {
		fmt.Println(err)
		return
	}
	e := echo.New()
	if err = app.Mount(e, []byte(greetings)); err != nil {
		fmt.Println(err)
		return
	}
	e.HTTPErrorHandler = app.AnswerError
	e.GET("/greeting", func(c echo.Context) error {
		person, ok := login.Person(c.Request().Context())
		if !ok {
			return login.Forbidden("Greetings are for people, and a service client is none.")
		}
		return c.String(http.StatusOK, "Hello, "+person.Username+".")
	})
	served := make(chan error)
	go func() { served <- app.Serve(ctx, e) }()

	call(app.URL()+"/greeting", "") // without a token
	post(app.URL()+"/users", "application/json", `{"username":"ann","password":"a wooden horse"}`)
	answer := post(app.URL()+"/token", "application/x-www-form-urlencoded", "grant_type=password&username=ann&password=a+wooden+horse")
	_, token, _ := strings.Cut(answer, `"access_token":"`)
	token, _, _ = strings.Cut(token, `"`)
	call(app.URL()+"/greeting", token)

	stop()
	fmt.Println(errors.Join(<-served, app.Close()))
	// Output:
	// 401 Unauthorized
	// 200 OK Hello, ann.
	// <nil>
}

func call(url, token string) {
	request, _ := http.NewRequest(http.MethodGet, url, nil)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode == http.StatusOK {
		fmt.Println(response.Status, string(body))
	} else {
		fmt.Println(response.Status)
	}
}

func post(url, contentType, body string) string {
	response, err := http.Post(url, contentType, strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	answer, _ := io.ReadAll(response.Body)
	return string(answer)
}
