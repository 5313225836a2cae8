package apitest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"sesame"
	"sesame/server/internal/account"
	"sesame/server/internal/app"
	"sesame/server/internal/cli"
	"sesame/server/internal/contract"
	"sesame/server/internal/identity"
	"sesame/server/internal/oauth"
	"sesame/server/internal/password"
	"sesame/server/internal/postgrestest"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
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
		ctx, stop := cli.Interruptible()
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
	if err = recorded.open(os.Getenv(recordAnswers)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err = recorded.close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err = postgrestest.StopShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// noScheme stands for the server's security schemes where nothing is served.
func noScheme(context.Context, *http.Request) (contract.Caller, error) { return nil, nil }

// domain makes the domain as the program does, with the scopes of the contract, for tests that need it without HTTP.
func domain(db *store.DB, hasher *password.Hasher, issuer *token.Issuer, settings identity.Settings) (*identity.Service, *account.Service, *oauth.Service) {
	settings.Scopes, settings.AdminScope = identity.Scopes(rules.Scopes()), rules.Operation("updateUser").Scopes()[0]
	id := identity.New(db, hasher, issuer, settings)
	return id, account.New(db, hasher, id, account.Settings{}), oauth.New(db, issuer, nil, token.MasterKey{}, id, oauth.Settings{AccessTTL: time.Minute})
}

// skipIfShort skips a test that takes long: with many requests at once, processes of its own or a build.
func skipIfShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short")
	}
}
