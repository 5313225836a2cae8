package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"

	"github.com/labstack/echo/v4"
	"golang.org/x/crypto/argon2"

	"sesame/gen/api"
)

// The programs that Sesame is compared with are this one, started again with a hidden argument.
const (
	childBare = "child-bare" // then the JSON of the user to answer
	childHash = "child-hash"
)

// runChild serves on a free port, whose address it prints first.
func runChild(args []string, stdout io.Writer) error {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	switch {
	case args[0] == childBare && len(args) == 2:
		var user api.User
		if err := json.Unmarshal([]byte(args[1]), &user); err != nil {
			return fmt.Errorf("read the user to answer: %w", err)
		}
		e.GET("/users/me", func(c echo.Context) error { return c.JSON(http.StatusOK, user) })
	case args[0] == childHash:
		e.POST("/token", bareHash())
	default:
		return fmt.Errorf("no such child: %q", args[0])
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	fmt.Fprintln(stdout, listener.Addr())
	e.Listener = listener
	if err := e.Start(""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// bareHash is the least that a login can be: one argon2id hash with Sesame's default parameters, on
// as many requests at a time as there are cores.
func bareHash() echo.HandlerFunc {
	const passes, memory, lanes, saltBytes, hashBytes = 2, 19 << 10, 1, 16, 32
	cores := make(chan struct{}, runtime.GOMAXPROCS(0))
	salt := make([]byte, saltBytes)
	rand.Read(salt) // never fails, by its documentation
	return func(c echo.Context) error {
		cores <- struct{}{}
		defer func() { <-cores }()
		sum := argon2.IDKey([]byte(c.FormValue("password")), salt, passes, memory, lanes, hashBytes)
		return c.JSON(http.StatusOK, len(sum))
	}
}
