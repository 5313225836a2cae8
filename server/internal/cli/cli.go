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
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"sesame/server/internal/app"
	"sesame/server/internal/config"
	"sesame/server/internal/tracing"
)

// CommandLine declares the commands and flags. Settings may come before or after the command.
//
// The tag example is a command line that works; the help, and the answer to a wrong command line, show it. The tag uses names
// the settings that matter most to a command; the help shows those, and not all thirty.
type CommandLine struct {
	config.Settings
	Version kong.VersionFlag `help:"Print the version and the commit."`

	Serve       serveCommand       `cmd:"" default:"withargs" group:"Server" uses:"all" example:"sesame serve --demo" help:"Run the server (the default)."`
	Migrate     migrateCommand     `cmd:"" group:"Server" uses:"database-url,master-key-file" example:"sesame migrate" help:"Migrate the database to this version and exit. (serve does it too.)"`
	Backup      backupCommand      `cmd:"" group:"Server" uses:"database-url" example:"sesame backup sesame-backup.db" help:"Copy the SQLite database to a new file while the server runs, and say what else to keep."`
	Config      configCommand      `cmd:"" group:"Server" example:"sesame config" help:"Print the effective settings, with secrets masked."`
	Healthcheck healthcheckCommand `cmd:"" group:"Server" uses:"listen,tls-cert,acme" example:"sesame healthcheck" help:"Exit with 0 if the server at the listening address is ready."`

	User   userCommands `cmd:"" group:"Accounts, clients and keys" uses:"database-url,master-key-file" help:"Manage accounts."`
	Client struct {
		Contract string `type:"existingfile" placeholder:"FILE" help:"Your own openapi.yaml, if the server has operations beside Sesame's."`

		Create clientCreateCommand `cmd:"" example:"sesame client create shop --redirect-uri https://shop.example/callback" help:"Create a client: an application that people sign in to, or a service. Its secret is printed once."`
		Update clientUpdateCommand `cmd:"" example:"sesame client update 019ad827-b3c1-7d21-9f60-5a4be3a2c7d9 --redirect-uri https://shop.example/callback" help:"Change a client."`
		Secret clientSecretCommand `cmd:"" example:"sesame client secret 019ad827-b3c1-7d21-9f60-5a4be3a2c7d9 --keep-old-for 1h" help:"Replace the secret of a client, and print the new one once."`
		List   clientListCommand   `cmd:"" example:"sesame client list" help:"List the clients."`
		Delete clientDeleteCommand `cmd:"" example:"sesame client delete 0199d1a4-5f0e-7cc3-98c6-4b8e3f1f7a10" help:"Delete a client, and end the sessions that people started through it."`
	} `cmd:"" group:"Accounts, clients and keys" uses:"database-url,master-key-file" help:"Manage clients: applications that people sign in to, and services."`
	Provider struct {
		Add    providerAddCommand    `cmd:"" example:"sesame provider add google --label Google --issuer https://accounts.google.com --client-id ID --client-secret-file google.secret" help:"Let people sign in through an issuer of OpenID Connect, or through GitHub."`
		Update providerUpdateCommand `cmd:"" example:"sesame provider update google --client-secret-file google.secret" help:"Change a provider, but not its issuer."`
		Show   providerShowCommand   `cmd:"" example:"sesame provider show google" help:"Show a provider, with the redirect address to register there."`
		List   providerListCommand   `cmd:"" example:"sesame provider list" help:"List the providers."`
		Remove providerRemoveCommand `cmd:"" example:"sesame provider remove google" help:"Remove a provider. Its identities stay."`
	} `cmd:"" group:"Accounts, clients and keys" uses:"database-url,master-key-file,public-url,private-providers" help:"Manage providers: others through whom people sign in."`
	Webhook struct {
		Add        webhookAddCommand        `cmd:"" example:"sesame webhook add https://shop.example/hooks --kind account_created --kind account_deleted" help:"Send events to a server of yours as they happen. The secret that signs them is printed once."`
		Update     webhookUpdateCommand     `cmd:"" example:"sesame webhook update 019ad827-d0c4-7a11-b3f2-6a5d0c9e8b14 --no-disabled" help:"Change a webhook."`
		Secret     webhookSecretCommand     `cmd:"" example:"sesame webhook secret 019ad827-d0c4-7a11-b3f2-6a5d0c9e8b14 --keep-old-for 24h" help:"Replace the secret of a webhook, and print the new one once."`
		Show       webhookShowCommand       `cmd:"" example:"sesame webhook show 019ad827-d0c4-7a11-b3f2-6a5d0c9e8b14" help:"Show a webhook."`
		List       webhookListCommand       `cmd:"" example:"sesame webhook list" help:"List the webhooks."`
		Deliveries webhookDeliveriesCommand `cmd:"" example:"sesame webhook deliveries 019ad827-d0c4-7a11-b3f2-6a5d0c9e8b14 --state failed" help:"List the deliveries of a webhook."`
		Resend     webhookResendCommand     `cmd:"" example:"sesame webhook resend 019ad827-d0c4-7a11-b3f2-6a5d0c9e8b14 019ad827-a013-7b0e-8a64-2d51e0a7c9f1" help:"Send an event to a webhook again."`
		Test       webhookTestCommand       `cmd:"" example:"sesame webhook test 019ad827-d0c4-7a11-b3f2-6a5d0c9e8b14" help:"Send a test event to a webhook."`
		Remove     webhookRemoveCommand     `cmd:"" example:"sesame webhook remove 019ad827-d0c4-7a11-b3f2-6a5d0c9e8b14" help:"Remove a webhook and its deliveries."`
	} `cmd:"" group:"Accounts, clients and keys" uses:"database-url,master-key-file,private-webhooks" help:"Manage webhooks: servers that receive events."`
	Keys struct {
		List   keysListCommand   `cmd:"" example:"sesame keys list" help:"List the signing keys."`
		Rotate keysRotateCommand `cmd:"" uses:"signing-alg,id-token-alg,database-url,master-key-file" example:"sesame keys rotate" help:"Replace the signing key. Without --now the new key is published first, so that no token is refused."`
	} `cmd:"" group:"Accounts, clients and keys" uses:"database-url,master-key-file" help:"Manage the keys that sign access tokens and ID tokens."`

	Login loginCommand `cmd:"" group:"For developers" example:"sesame login https://login.example.com --client-id 019ad827-b3c1-7d21-9f60-5a4be3a2c7d9" help:"Log in to a server from a command line, with the browser of any device, and print the access token (RFC 8628)."`
	New   newCommand   `cmd:"" group:"For developers" example:"sesame new ../shop --module example.com/shop" help:"Write a small project that uses Sesame as a library."`
	Guard guardCommand `cmd:"" variables:"" group:"For developers" uses:"listen,audience,tls-cert,trusted-proxies,cors-origins" example:"sesame guard --spec openapi.yaml --upstream http://127.0.0.1:9000 --issuer https://login.example.com" help:"Put a login in front of a service: pass on the requests whose access tokens have the scopes that its OpenAPI document requires. Needs no database."`
	Mock  mockCommand  `cmd:"" group:"For developers" uses:"listen,public-url,docs" example:"sesame mock --spec openapi.yaml" help:"Answer with the examples of an OpenAPI document: Sesame's, or any other. Needs no database."`

	Help       helpCommand       `cmd:"" group:"About this program" example:"sesame help user create" help:"Explain a command, or list the settings."`
	Completion completionCommand `cmd:"" group:"About this program" example:"source <(sesame completion bash)" help:"Print a script that completes command lines in bash, zsh or fish."`
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
	ctx    context.Context
	parser *kong.Kong
	given  map[string]bool // the flags on the command line, by name
	// contract is the file of the user's own openapi.yaml, or "".
	contract string
}

// Main runs the program with the arguments and the environment of the process. An interrupt ends it.
func Main() int {
	ctx, stop := Interruptible()
	defer stop()
	return Run(ctx, os.Args[1:], Env{
		Getenv: os.Getenv, Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Now: time.Now,
	})
}

// Interruptible returns a context that the first interrupt cancels, so that the server finishes what it is answering. A second
// interrupt ends the process at once, as if the program did not handle the signal.
func Interruptible() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
		}
		signal.Stop(signals) // before the server sees the first one
		cancel()
	}()
	return ctx, cancel
}

// settingless is a command that works with invalid settings too.
type settingless interface{ needsNoSettings() }

// Run runs one command and returns the exit code: 0, 1 if the command failed, or 2 if it was not understood.
func Run(ctx context.Context, args []string, w Env) int {
	w.Stdout, w.Stderr = &app.VisibleWriter{To: w.Stdout}, &app.VisibleWriter{To: w.Stderr}
	var line CommandLine
	exit := -1
	parser, err := kong.New(&line,
		kong.Name("sesame"), kong.Writers(w.Stdout, w.Stderr), kong.Exit(func(code int) { exit = code }),
		kong.Description("A login server that starts from its contract."),
		kong.Vars{"version": version()}, config.Variables(w.Getenv), kong.Help(printHelp),
	)
	p := &program{Settings: &line.Settings, Env: w, ctx: ctx, parser: parser, given: map[string]bool{}}
	if err != nil {
		return p.fail(err)
	}
	parser.Model.HelpFlag.Help = "Print this help."
	if len(args) > 0 && args[0] == completeCommand {
		p.complete(args[1:])
		return 0
	}
	command, err := parser.Parse(args)
	if exit >= 0 { // --help, --version
		return exit
	}
	if err != nil {
		return p.fail(explainUsage(parser, args, err))
	}
	for _, step := range command.Path {
		if step.Flag != nil && !step.Resolved {
			p.given[step.Flag.Name] = true
		}
	}
	line.Traces = tracing.ReadVariables(w.Getenv)
	line.Remember(config.Flags(parser), p.given, w.Getenv)
	selected := command.Selected()
	if _, ok := selected.Target.Addr().Interface().(settingless); !ok {
		if err = errors.Join(config.CheckVariables(w.Environ, parser), line.Check()); err != nil {
			return p.fail(invalidSettings(err))
		}
	}
	p.contract = cmp.Or(line.User.Contract, line.Client.Contract, line.Mock.Contract)
	err = command.Run(p)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		if selected == parser.Model.DefaultCmd || selected.Name == "mock" || selected.Name == "guard" { // an interrupt is how they end
			return 0
		}
		err = errors.New("interrupted before it was done")
	}
	return p.fail(err)
}
