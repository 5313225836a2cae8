// Command sesame is the login server and its tools: sesame serve, mock, user, client, keys, migrate,
// config, healthcheck. Run it with --help to see them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"sesame/server/config"
	"sesame/server/secret"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], world{
		getenv: os.Getenv, environ: os.Environ(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, now: time.Now,
	})
	stop()
	os.Exit(code)
}

// commandLine is all that can be typed. Settings come before or after the command.
type commandLine struct {
	config.Settings

	Serve  serveCommand `cmd:"" default:"withargs" help:"Run the server (the default)."`
	User   userCommands `cmd:"" help:"Manage accounts."`
	Client struct {
		Create clientCreateCommand `cmd:"" help:"Make a service client. Its secret is shown this once."`
		List   clientListCommand   `cmd:"" help:"List the service clients."`
		Delete clientDeleteCommand `cmd:"" help:"Delete a service client, and end the sessions that people have through it."`
	} `cmd:"" help:"Manage the services that may have tokens of their own."`
	Keys struct {
		List   keysListCommand   `cmd:"" help:"List the signing keys."`
		Rotate keysRotateCommand `cmd:"" help:"Replace the signing key. Without --now the new one is published first, and no token is refused."`
	} `cmd:"" help:"Manage the keys that sign access tokens."`
	Mock        mockCommand        `cmd:"" help:"Stand in for a server from its OpenAPI document alone: ours, or any other. Needs no database."`
	Migrate     migrateCommand     `cmd:"" help:"Bring the database up to date and stop. (serve does it too.)"`
	Config      configCommand      `cmd:"" help:"Print the settings in force, secrets masked."`
	Healthcheck healthcheckCommand `cmd:"" help:"Exit with 0 if the server at the listening address is ready."`
}

// world is all that the program touches outside itself, files and the network aside; a test brings
// its own.
type world struct {
	getenv         func(string) string
	environ        []string // NAME=value of all variables
	stdin          io.Reader
	stdout, stderr io.Writer
	now            func() time.Time
}

// program is what a command works with.
type program struct {
	*config.Settings
	world
	ctx   context.Context
	flags []*kong.Flag // of the settings
}

// run is the whole program; its result is the exit code.
func run(ctx context.Context, args []string, w world) int {
	var line commandLine
	exit := -1
	var flags []*kong.Flag
	parser, err := kong.New(&line,
		kong.Name("sesame"), kong.Writers(w.stdout, w.stderr), kong.Exit(func(code int) { exit = code }),
		kong.Description("A login server that starts from its contract. Every setting below can also be given as a variable: --public-url is SESAME_PUBLIC_URL."),
		kong.Resolvers(variables(w.getenv, &flags)), kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	)
	w.stdout, w.stderr = &visibleWriter{to: w.stdout}, &visibleWriter{to: w.stderr}
	if err != nil {
		fmt.Fprintln(w.stderr, "sesame:", err)
		return 2
	}
	flags = settings(parser)
	command, err := parser.Parse(args)
	if exit >= 0 { // --help
		return exit
	}
	if err != nil {
		fmt.Fprintln(w.stderr, "sesame:", err)
		return 2
	}
	if err = errors.Join(checkVariables(w.environ, flags), line.Check()); err != nil {
		fmt.Fprintf(w.stderr, "sesame: some settings are wrong:\n  %s\n", strings.ReplaceAll(err.Error(), "\n", "\n  "))
		return 2
	}
	if err = command.Run(&program{&line.Settings, w, ctx, flags}); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(w.stderr, "sesame:", err)
		return 1
	}
	return 0
}

// settings are the flags that stand for a setting.
func settings(parser *kong.Kong) []*kong.Flag {
	return slices.DeleteFunc(slices.Clone(parser.Model.Flags), func(f *kong.Flag) bool { return f.Name == "help" })
}

// checkVariables finds variables that are no settings, and in every setting what cannot be part of a value.
func checkVariables(environ []string, flags []*kong.Flag) error {
	known := make([]string, len(flags))
	var texts []error
	for i, flag := range flags {
		known[i] = variable(flag.Name)
		switch value := flag.Target.Interface().(type) {
		case string:
			texts = append(texts, config.CheckText(known[i], value))
		case config.List:
			texts = append(texts, config.CheckText(known[i], string(value)))
		case secret.Text:
			texts = append(texts, config.CheckText(known[i], value.Reveal()))
		}
	}
	return errors.Join(append(config.CheckNames(environ, known), texts...)...)
}

// variables reads settings from the environment: --public-url from SESAME_PUBLIC_URL. Flags of a command, such
// as --demo or --revoke, are said each time.
func variables(getenv func(string) string, settings *[]*kong.Flag) kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		if value := getenv(variable(flag.Name)); value != "" && slices.Contains(*settings, flag) {
			return value, nil
		}
		return nil, nil
	})
}

func variable(flag string) string {
	return config.Prefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}
