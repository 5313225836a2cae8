//go:build linux

package main

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"os"
	"runtime"

	"github.com/labstack/echo/v4"
	"golang.org/x/crypto/argon2"

	"sesame/gen/api"
)

// bare serves the least that the same work could cost: an Echo route that encodes the same struct, which is in the
// variable BENCH_USER, and one argon2id hash with Sesame's parameters, as many at a time as there are cores.
func bare(address string) error {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	var user api.User
	if err := json.Unmarshal([]byte(os.Getenv("BENCH_USER")), &user); err != nil {
		return err
	}
	e.GET("/users/me", func(c echo.Context) error { return c.JSON(http.StatusOK, user) })
	e.GET("/readyz", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	cores, salt := make(chan struct{}, runtime.GOMAXPROCS(0)), make([]byte, 16)
	rand.Read(salt)
	e.POST("/token", func(c echo.Context) error {
		cores <- struct{}{}
		defer func() { <-cores }()
		return c.JSON(http.StatusOK, len(argon2.IDKey([]byte(c.FormValue("password")), salt, 2, 19<<10, 1, 32)))
	})
	return e.Start(address)
}

// bareServer runs this program as the one to compare with.
func (b *bench) bareServer(user string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := b.start(self, []string{address}, "http://"+address, "BENCH_USER="+user)
	if err != nil {
		return nil, err
	}
	return p, p.wait("/readyz", "")
}
