package apitest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"sesame"
	"sesame/server/internal/app"
	"sesame/server/internal/auth"
	"sesame/server/internal/cli"
	"sesame/server/internal/contract"
	"sesame/server/internal/postgrestest"
)

// rules is the contract that every answer is compared with.
var rules *contract.Contract

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" { // see process
		if uid, err := strconv.Atoi(os.Getenv(asUser)); err == nil {
			if err := syscall.Setuid(uid); err != nil {
				panic(err)
			}
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		code := cli.Run(ctx, os.Args[1:], cli.Env{
			Getenv: os.Getenv, Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Now: time.Now,
			Tests: app.Tests{CheapHashes: true, Every: 50 * time.Millisecond},
		})
		stop()
		os.Exit(code)
	}
	runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0))) // see gate.during
	var err error
	if rules, err = contract.Compile(sesame.OpenAPI, map[string]contract.Scheme{"OAuth2Password": noScheme, "ClientBasic": noScheme}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err = postgrestest.StopShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// noScheme stands for the server's security schemes where nothing is served.
func noScheme(context.Context, *http.Request) (contract.Caller, error) { return nil, nil }

// domainScopes are the scopes of the contract, for tests that make the domain themselves.
func domainScopes() auth.Scopes {
	s := rules.Scopes()
	return auth.Scopes{
		Declared: s.Declared, Default: s.Default, OnRequest: s.OnRequest, PeopleOnly: s.PeopleOnly,
		Admin: rules.Operation("updateUser").Scopes()[0],
	}
}

// skipIfShort skips a test that takes long: with many requests at once, processes of its own or a build.
func skipIfShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short")
	}
}
