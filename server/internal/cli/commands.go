package cli

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"sesame"
	"sesame/server/internal/app"
	"sesame/server/internal/config"
	"sesame/server/internal/contract"
	"sesame/server/internal/httpapi"
	"sesame/server/internal/openapi"
)

// document is the contract: Sesame's, merged with the user's own document if --contract names one.
func (p *program) document() ([]byte, error) {
	if p.contract == "" {
		return sesame.OpenAPI, nil
	}
	text, err := os.ReadFile(p.contract)
	if err != nil {
		return nil, err
	}
	return openapi.AddLogin(openapi.Document{Name: p.contract, Text: text})
}

// rules is the compiled contract, for commands that check arguments against it.
func (p *program) rules() (*contract.Contract, error) {
	document, err := p.document()
	if err != nil {
		return nil, err
	}
	return contract.CompileShared(document, map[string]contract.Scheme{"OAuth2Password": nobody, "ClientBasic": nobody}, httpapi.Serves)
}

// nobody takes the place of the security schemes where nothing is served.
func nobody(context.Context, *http.Request) (contract.Caller, error) { return nil, nil }

type migrateCommand struct {
	DryRun bool  `help:"List the migrations that would run, and change nothing." xor:"what"`
	To     int64 `placeholder:"N" help:"Migrate up or down to this schema version. Going down deletes what later migrations have added: make a backup first." xor:"what"`
}

// Run migrates the database.
func (c *migrateCommand) Run(p *program) error {
	switch {
	case c.DryRun:
		return p.planMigration()
	case p.given["to"]:
		if err := app.MigrateTo(p.ctx, p.options(), c.To); err != nil {
			return err
		}
		_, err := fmt.Fprintf(p.Stdout, "The database has schema version %d.\n", c.To)
		return err
	}
	a, err := app.Create(p.ctx, p.options())
	if err != nil {
		return err
	}
	fmt.Fprintln(p.Stdout, "The database is up to date.")
	return a.Close()
}

// planMigration lists the migrations that would run.
func (p *program) planMigration() error {
	pending, err := app.PendingMigrations(p.ctx, p.options())
	if err != nil {
		return err
	}
	if len(pending) == 0 {
		fmt.Fprintln(p.Stdout, "The database is up to date.")
		return nil
	}
	for _, m := range pending {
		fmt.Fprintf(p.Stdout, "%d  %s\n", m.Version, m.Name)
	}
	return nil
}

type configCommand struct {
	JSON bool `help:"Print JSON."`
}

// Run prints the effective settings as variables, with secrets masked.
func (c configCommand) Run(p *program) error {
	effective := p.InForce(p.Listen)
	settings, err := effective.List()
	if err != nil {
		return err
	}
	object := map[string]string{}
	for _, setting := range settings {
		object[setting.Name] = setting.Value
		if !c.JSON {
			fmt.Fprintf(p.Stdout, "%s=%s\n", setting.Name, setting.Value)
		}
	}
	if c.JSON {
		return json.NewEncoder(p.Stdout).Encode(object)
	}
	return nil
}

type healthcheckCommand struct{}

// Run requests /readyz at the listening address.
func (healthcheckCommand) Run(p *program) error {
	network := "unix"
	address, ok := p.Socket()
	if !ok {
		host, port, err := net.SplitHostPort(p.Listen)
		if err != nil {
			return err
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		network, address = "tcp", net.JoinHostPort(host, port)
	}
	request, err := http.NewRequestWithContext(p.ctx, http.MethodGet, p.Scheme()+"://localhost/readyz", nil)
	if err != nil {
		return err
	}
	if ok {
		request.Header.Set("X-Forwarded-For", "127.0.0.1") // as a proxy sends: the server warns of one that does not
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
		// The certificate is for the public name, and the request contains nothing secret. An address as the name of the server
		// is not sent, so the server answers even without a certificate.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "127.0.0.1"}, //nolint:gosec // see above
	}}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("not ready: no server answers at %s, which %s names: %w", p.Listen, config.Variable("listen"), err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: status %d", response.StatusCode)
	}
	fmt.Fprintln(p.Stdout, "ready")
	return nil
}
