package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/labstack/echo/v4"

	"sesame"
	"sesame/docs"
	"sesame/server/internal/app"
	"sesame/server/login"
)

type serveCommand struct {
	Demo   bool   `help:"Create the accounts johndoe and admin, an administrator, with the password knock-knock; only on loopback."`
	Follow string `hidden:"" type:"existingfile" help:"Show this openapi.yaml on the pages, as it is being written; for make dev, only on loopback."`
}

// Run serves Sesame's own operations until the program is interrupted.
func (c *serveCommand) Run(p *program) error {
	if sesame.Stale() {
		return errors.New("openapi.yaml has changed since the code was generated from it; run: make generate")
	}
	if c.Follow != "" && !p.Loopback() {
		return fmt.Errorf("--follow shows a file that is being written, so the server must be on loopback alone; %s", p.Reach())
	}
	app.TuneCollector()
	a, err := login.Open(p.ctx, *p.Settings, login.Output(p.Stderr), login.Clock(p.Now), login.Demo(c.Demo),
		login.Internal(func(o *app.Options) { o.Tests, o.Stdout, o.Version = p.Tests, p.Stdout, version() }))
	if err != nil {
		return err
	}
	defer a.Close()
	e := echo.New()
	if err = a.Mount(e, nil); err != nil {
		return err
	}
	if c.Follow != "" && p.Docs == "on" {
		if err = docs.Follow(e, c.Follow, a.URL()); err != nil {
			return err
		}
	}
	greeting := p.Stdout
	if p.EventsToStdout() { // a program reads it
		greeting = p.Stderr
	}
	a.Greet(greeting, "New user   "+programName()+" user create NAME   (asks for the password)")
	return a.Serve(p.ctx, e)
}

// programName is how this program is started again.
func programName() string {
	if name := os.Args[0]; !strings.Contains(name, "go-build") {
		return name
	}
	return "go run ./server"
}
