package login_test

import (
	"errors"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/labstack/echo/v4"

	"sesame/server/login"
	"sesame/server/login/logintest"
)

// goroutines gives the stack of every goroutine of the process, by its id.
func goroutines() map[string]string {
	text := make([]byte, 16<<20)
	stacks := map[string]string{}
	for stack := range strings.SplitSeq(string(text[:runtime.Stack(text, true)]), "\n\n") {
		id, _, _ := strings.Cut(strings.TrimPrefix(stack, "goroutine "), " ")
		stacks[id] = stack
	}
	return stacks
}

// leaked fails the test for every goroutine that is not of before and runs code of the program's own.
func leaked(t *testing.T, before map[string]string) {
	t.Helper()
	for id, stack := range goroutines() {
		if before[id] == "" && strings.Contains(stack, "sesame/server/internal/") {
			t.Errorf("a goroutine is left:\n%s", stack)
		}
	}
}

// Wherever a start ends, Close ends all that it has begun. Mistakes in the order of calls are errors. (Not in parallel:
// the goroutines of others would be in sight.)
func TestEveryEndIsAnEnd(t *testing.T) {
	opened := func(t *testing.T, settings ...string) (*login.App, error) {
		parsed, err := login.FromEnv(append([]string{"SESAME_LISTEN=127.0.0.1:0", sqlite(t)}, settings...))
		if err != nil {
			t.Fatal(err)
		}
		return login.Open(t.Context(), parsed, login.Output(&logintest.Log{}))
	}
	for name, use := range map[string]func(t *testing.T, app *login.App, e *echo.Echo) error{
		"nothing":     func(*testing.T, *login.App, *echo.Echo) error { return nil },
		"a bad mount": func(_ *testing.T, app *login.App, e *echo.Echo) error { return app.Mount(e, []byte("openapi: 3.1.0")) },
		"a mount without handlers": func(t *testing.T, app *login.App, e *echo.Echo) error {
			return errors.Join(app.Mount(e, []byte(things)), app.Serve(t.Context(), e))
		},
		"serve before mount": func(t *testing.T, app *login.App, e *echo.Echo) error { return app.Serve(t.Context(), e) },
		"two mounts": func(_ *testing.T, app *login.App, e *echo.Echo) error {
			return errors.Join(app.Mount(e, nil), app.Mount(echo.New(), nil))
		},
		"a mount after a bad one": func(_ *testing.T, app *login.App, e *echo.Echo) error {
			e.GET("/redoc", nothing)
			return errors.Join(app.Mount(e, []byte(things)), app.Mount(echo.New(), nil))
		},
		"another Echo server": func(t *testing.T, app *login.App, e *echo.Echo) error {
			return errors.Join(app.Mount(e, nil), app.Serve(ended(t), echo.New()))
		},
		"an ended context": func(t *testing.T, app *login.App, e *echo.Echo) error {
			return errors.Join(app.Mount(e, nil), app.Serve(ended(t), e))
		},
		"two serves": func(t *testing.T, app *login.App, e *echo.Echo) error {
			return errors.Join(app.Mount(e, nil), app.Serve(ended(t), e), app.Serve(ended(t), e))
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := goroutines()
			app, err := opened(t)
			if err != nil {
				t.Fatal(err)
			}
			err = use(t, app, echo.New())
			if fails := name != "nothing" && name != "an ended context"; (err != nil) != fails {
				t.Errorf("got %v", err)
			}
			if err := errors.Join(app.Close(), app.Close()); err != nil {
				t.Errorf("close: %v", err)
			}
			leaked(t, before)
		})
	}
	t.Run("a bad open", func(t *testing.T) {
		before := goroutines()
		_, err := opened(t, "SESAME_MAIL_TEMPLATES=/nowhere")
		if err == nil {
			t.Error("it opens")
		}
		if _, err = opened(t, "SESAME_MASTER_KEY_FILE=/nowhere/key"); err == nil {
			t.Error("it opens")
		}
		leaked(t, before)
	})
}

// Nothing panics for a program that uses a server before it is mounted, or after it is closed.
func TestUseOutOfOrder(t *testing.T) {
	app := open(t)
	e := echo.New()
	e.HTTPErrorHandler = app.AnswerError
	e.GET("/", func(echo.Context) error { return login.NotFound("There is no such thing.") })
	app.Greet(&logintest.Log{})
	recorded := get(e, "/")
	if recorded.Code != 404 || !strings.Contains(recorded.Body.String(), "There is no such thing.") {
		t.Errorf("%d %s", recorded.Code, recorded.Body)
	}
	if recorded = get(e, "/nowhere"); recorded.Code != 404 {
		t.Errorf("%d %s", recorded.Code, recorded.Body)
	}
	if person, ok := login.Person(t.Context()); ok || person.HasScope("me:read") {
		t.Error("there is a person")
	}
	db := app.DB()
	if err := app.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Migrate(t.Context(), fstest.MapFS{"00001_x.sql": {Data: []byte("-- +goose Up\nCREATE TABLE x (id TEXT);\n")}}); err == nil {
		t.Error("a closed database is migrated")
	}
	if _, err := db.ExecContext(t.Context(), `SELECT 1`); err == nil {
		t.Error("a closed database answers")
	}
	if err := app.Mount(echo.New(), nil); err == nil {
		t.Error("a closed server is mounted")
	}
}

// A server of no settings does not start, and the demo account is for this machine alone.
func TestOpenRefuses(t *testing.T) {
	if _, err := login.Open(t.Context(), login.Settings{}); err == nil {
		t.Error("it opens without settings")
	}
	settings, err := login.FromEnv([]string{"SESAME_LISTEN=127.0.0.1:0", "SESAME_PUBLIC_URL=https://login.example.com", sqlite(t)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = login.Open(t.Context(), settings, login.Demo(true), login.Output(&logintest.Log{})); err == nil || !strings.Contains(err.Error(), "demo") {
		t.Errorf("got %v", err)
	}
	for _, name := range []string{"SESAME_LISTN=:1", "SESAME_=", "SESAME_LISTEN=x"} {
		if _, err = login.FromEnv([]string{name}); err == nil || !strings.Contains(err.Error(), strings.Split(name, "=")[0]) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err = login.FromEnv([]string{"sesame_listen=:1", "=C:=x", "", "SESAME_LISTEN"}); err != nil {
		t.Error(err)
	}
}

// Serve finishes the requests in flight, and only then does their work with the database end.
func TestServeFinishesRequests(t *testing.T) {
	app := open(t)
	e := echo.New()
	if err := app.Mount(e, []byte(things)); err != nil {
		t.Fatal(err)
	}
	entered, release := make(chan struct{}), make(chan struct{})
	handle(e, func(c echo.Context) error {
		close(entered)
		<-release
		var n int
		return app.DB().QueryRowContext(c.Request().Context(), `SELECT COUNT(*) FROM users`).Scan(&n)
	})
	stop, served := startServing(t, app, e)
	answered := make(chan int, 1)
	go func() {
		response, err := http.Get(app.URL() + "/open")
		if err != nil {
			answered <- 0
			return
		}
		response.Body.Close()
		answered <- response.StatusCode
	}()
	<-entered
	stop()
	close(release)
	if status := <-answered; status != 204 {
		t.Errorf("it answers %d", status)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
