// Package cli is the command line: it reads the settings and runs one command.
//
// Run parses the arguments into CommandLine. Each command is a struct with a method Run, which gets a program: the
// settings, the standard streams and the clock. A command that needs accounts, clients or keys opens them with package
// app; serve uses package login, as any other program would.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"sesame/server/internal/app"
	"sesame/server/internal/config"
)

// CommandLine declares the commands and flags. Settings may come before or after the command.
type CommandLine struct {
	config.Settings

	Serve  serveCommand `cmd:"" default:"withargs" help:"Run the server (the default)."`
	User   userCommands `cmd:"" help:"Manage accounts."`
	Client struct {
		Contract string `type:"existingfile" placeholder:"FILE" help:"Your own openapi.yaml, if the server has operations beside Sesame's."`

		Create clientCreateCommand `cmd:"" help:"Create a service client, and print its secret once."`
		List   clientListCommand   `cmd:"" help:"List the service clients."`
		Delete clientDeleteCommand `cmd:"" help:"Delete a service client, and revoke the sessions that people started through it."`
	} `cmd:"" help:"Manage service clients, which get tokens of their own."`
	Keys struct {
		List   keysListCommand   `cmd:"" help:"List the signing keys."`
		Rotate keysRotateCommand `cmd:"" help:"Replace the signing key. Without --now the new key is published first, so that no token is refused."`
	} `cmd:"" help:"Manage the keys that sign access tokens."`
	New         newCommand         `cmd:"" help:"Write a small project that uses Sesame as a library."`
	Mock        mockCommand        `cmd:"" help:"Answer with the examples of an OpenAPI document: Sesame's, or any other. Needs no database."`
	Migrate     migrateCommand     `cmd:"" help:"Migrate the database to this version and exit. (serve does it too.)"`
	Config      configCommand      `cmd:"" help:"Print the effective settings, with secrets masked."`
	Healthcheck healthcheckCommand `cmd:"" help:"Exit with 0 if the server at the listening address is ready."`
}

// Env is what the program uses of its process: variables, standard streams and the clock. A test passes its own.
type Env struct {
	Getenv         func(string) string
	Environ        []string // NAME=value of all variables
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Now            func() time.Time
	Tests          app.Tests
}

// options are what the wiring takes from the command line.
func (p *program) options() app.Options {
	return app.Options{Settings: *p.Settings, Now: p.Now, Tests: p.Tests, Warn: func(text string) { fmt.Fprintln(p.Stderr, "sesame:", text) }}
}

// program is the argument of every command.
type program struct {
	*config.Settings
	Env
	ctx   context.Context
	flags []*kong.Flag // of the settings
	// contract is the file of the user's own openapi.yaml, or "".
	contract string
}

// Main runs the program with the arguments and the environment of the process. An interrupt ends it.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return Run(ctx, os.Args[1:], Env{
		Getenv: os.Getenv, Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Now: time.Now,
	})
}

// Run runs one command and returns the exit code: 0, 1 if the command failed, or 2 if it was not understood.
func Run(ctx context.Context, args []string, w Env) int {
	var line CommandLine
	exit := -1
	parser, err := kong.New(&line,
		kong.Name("sesame"), kong.Writers(w.Stdout, w.Stderr), kong.Exit(func(code int) { exit = code }),
		kong.Description("A login server that starts from its contract. Every setting below is also an environment variable: --public-url is SESAME_PUBLIC_URL."),
		config.Variables(w.Getenv), kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	)
	w.Stdout, w.Stderr = &app.VisibleWriter{To: w.Stdout}, &app.VisibleWriter{To: w.Stderr}
	if err != nil {
		fmt.Fprintln(w.Stderr, "sesame:", err)
		return 2
	}
	flags := config.Flags(parser)
	command, err := parser.Parse(args)
	if exit >= 0 { // --help
		return exit
	}
	if err != nil {
		fmt.Fprintln(w.Stderr, "sesame:", err)
		return 2
	}
	if err = errors.Join(config.CheckVariables(w.Environ, flags), line.Check()); err != nil {
		fmt.Fprintf(w.Stderr, "sesame: invalid settings:\n  %s\n", strings.ReplaceAll(err.Error(), "\n", "\n  "))
		return 2
	}
	if err = command.Run(&program{&line.Settings, w, ctx, flags, cmp.Or(line.User.Contract, line.Client.Contract, line.Mock.Contract)}); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(w.Stderr, "sesame:", err)
		return 1
	}
	return 0
}
