package cli

import (
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/labstack/echo/v4"

	"sesame/docs"
	"sesame/server/internal/app"
	"sesame/server/internal/config"
	"sesame/server/internal/mock"
	"sesame/server/internal/names"
)

type mockCommand struct {
	Spec     string `placeholder:"FILE" xor:"document" help:"OpenAPI document to mock: 3.0, 3.1 or Swagger 2.0, in YAML or JSON. (default: Sesame's)"`
	Contract string `type:"existingfile" placeholder:"FILE" xor:"document" help:"Your own openapi.yaml, to mock a server with its operations and Sesame's."`
}

// Run serves the mock until the program is interrupted.
func (c *mockCommand) Run(p *program) error {
	document, err := c.document(p)
	if err != nil {
		return err
	}
	if p.ACME == "on" || p.RedirectListen != "" {
		return fmt.Errorf("the mock gets no certificate and redirects nothing; unset %s and %s", config.Variable("acme"), config.Variable("redirect-listen"))
	}
	log := app.NewLog(*p.Settings, p.Stderr)
	defer log.Close()
	listener, err := app.Listen(p.ctx, *p.Settings, log.Logger)
	if err != nil {
		return err
	}
	defer listener.Close()
	*p.Settings = p.InForce(listener.Addr().String())
	options := mock.Options{
		Document: document, PublicURL: p.PublicURL, Audience: p.Audience, AccessTTL: p.AccessTokenTTL.Duration,
		Log: log.Logger, Now: p.Now,
	}
	e := echo.New()
	m, err := mock.Register(e, options)
	if err != nil {
		return err
	}
	if p.Docs == "on" {
		if err = docs.Register(e, document.OpenAPI, p.PublicURL); err != nil {
			return err
		}
	}
	if p.Docs == "on" && c.Spec == "" {
		if err = docs.RegisterCollection(e, document.OpenAPI, p.PublicURL); err != nil {
			return err
		}
	}
	p.introduce(m, listener.Addr())
	return app.Serve(p.ctx, listener, e, log.Logger, func() {}, 0)
}

func (c *mockCommand) document(p *program) (*mock.Document, error) {
	if c.Spec != "" {
		if _, err := os.Stat(c.Spec); err != nil {
			return nil, unreadable("--spec", c.Spec, err)
		}
		return mock.Load(c.Spec)
	}
	text, err := p.document()
	if err != nil {
		return nil, err
	}
	return mock.Read(text)
}

// introduce prints how to use the mock.
func (p *program) introduce(m *mock.Mock, listening net.Addr) {
	fmt.Fprintf(p.Stdout, "\nA mock of %s is ready. It answers with examples and stores nothing.\n\n", names.Visible(m.Document.Title()))
	if p.Docs == "on" {
		fmt.Fprintf(p.Stdout, "  Docs       %s/docs/\n", p.PublicURL)
	}
	fmt.Fprintf(p.Stdout, "  Address    %s://%s\n", p.Scheme(), listening)
	if base := m.Document.Base(); base != "" {
		fmt.Fprintf(p.Stdout, "  Operations %s%s/…\n", p.PublicURL, base)
	}
	fmt.Fprintf(p.Stdout, "  Tokens     %s%s   (any credentials)\n", p.PublicURL, strings.Join(m.TokenPaths(), ", "))
	fmt.Fprintf(p.Stdout, "  Choose     Prefer: code=429, or code=401, example=NAME\n")
	fmt.Fprintf(p.Stdout, "  Stop       Ctrl-C\n\n")
	for _, fault := range m.Faults() {
		fmt.Fprintf(p.Stdout, "  ! %s\n", strings.ReplaceAll(fault.Error(), "\n", "\n    "))
	}
}
