package login

import (
	"context"
	"errors"
	"fmt"

	"github.com/labstack/echo/v4"

	"sesame"
	"sesame/docs"
	"sesame/server/internal/admin"
	"sesame/server/internal/app"
	"sesame/server/internal/config"
	"sesame/server/internal/contract"
	"sesame/server/internal/httpapi"
	"sesame/server/internal/keys"
	"sesame/server/internal/openapi"
	"sesame/server/internal/store"
	"sesame/server/internal/web"
)

// Mount puts Sesame's operations and pages on e, and the middleware that enforces the contract: Sesame's and openAPI,
// your openapi.yaml, as one. The contract is served at /openapi.yaml and /openapi.json and shown at /docs/ and /redoc.
// openAPI may be nil. A server is mounted once.
//
// Register your handlers after Mount, in any way. Your routes, middleware and error handler are left alone; the error
// handler gets what your handlers return, and AnswerError is one that answers as Sesame does. Where e has no IPExtractor,
// it gets one that believes X-Forwarded-For from SESAME_TRUSTED_PROXIES alone.
//
// Mount fails when the two documents collide or yours changes what is Sesame's, when the contract leaves open who may
// call an operation, and when e already has a route of Sesame's. What it has put on e until then does not serve.
func (a *App) Mount(e *echo.Echo, openAPI []byte) error {
	if a.closed.Load() {
		return errClosed
	}
	if a.contract != nil {
		return errors.New("Mount was called before; one login server serves on one Echo server")
	}
	document, services, err := a.compile(openAPI)
	if err != nil {
		return err
	}
	before := routesOf(e)
	_, socket := a.app.Socket()
	options := httpapi.Options{
		Contract: a.contract, Identity: services.Identity, Accounts: services.Accounts, OAuth: services.OAuth, Upstream: services.Upstream, Audit: services.Audit,
		Mails: services.Mails, Webhooks: services.Webhooks, Keys: []*keys.Keys{a.app.Keys, a.app.IDKeys}, Info: a.info,
		PublicURL: a.app.PublicURL, CheckResponses: a.app.CheckResponses == "on", CORSOrigins: a.app.CorsOrigins.Items(),
		ClientIP: httpapi.ClientAddress(a.app.Proxies(), socket, a.log), Log: a.log, Ready: a.app.DB.Ready,
		Site:     web.Site{Name: a.app.ServiceName(a.contract.Title), Home: a.app.HomeURL, MinLength: a.app.PasswordMinLength.Value, Look: a.look},
		FirstRun: a.app.FirstRun(),
		Shared:   openAPI != nil, IsPage: a.isPage, Measure: a.app.Metrics.Request, Tracer: a.app.Tracer,
	}
	if e.IPExtractor == nil { // Echo's own would believe any X-Forwarded-For
		e.IPExtractor = options.ClientIP
	}
	if a.demo {
		e.Pre(a.onlyLocally)
	}
	server, err := httpapi.Register(e, options)
	if err != nil {
		return err
	}
	if err = a.pages(e, document, admin.Options{
		PublicURL: a.app.PublicURL, Name: options.Site.Name, Logo: options.Site.Logo(), Colors: options.Site.Colors(), FirstRun: server.OffersFirstRun,
	}); err != nil {
		return err
	}
	if err = a.addRoutes(before, routesOf(e)); err != nil {
		return err
	}
	a.app.Metrics.SetRoutes(a.measuredRoutes())
	if err = a.begin(context.Background(), services); err != nil {
		return err
	}
	a.http, a.echo, a.accounts = server, e, services.Accounts
	if openAPI == nil {
		e.HTTPErrorHandler = a.AnswerError
	}
	return nil
}

// pages puts the documentation and the page of administrators on e, unless a setting removes them.
func (a *App) pages(e *echo.Echo, document []byte, page admin.Options) error {
	if a.app.Docs == "on" {
		if err := errors.Join(docs.Register(e, document, a.app.PublicURL), docs.RegisterCollection(e, document, a.app.PublicURL)); err != nil {
			return err
		}
	}
	if a.app.Admin == "on" {
		return admin.Register(e, page)
	}
	return nil
}

// begin brings the database up to what the settings ask for, before the first request.
func (a *App) begin(ctx context.Context, services *app.Services) error {
	if err := services.Identity.ApplyPolicy(ctx); err != nil {
		return fmt.Errorf("the policy of second factors: %w", err)
	}
	if err := a.app.Demo(ctx, a.demo); err != nil {
		return fmt.Errorf("the demo accounts: %w", err)
	}
	if a.declared != nil {
		if err := a.declared.Apply(ctx, services.Accounts, services.OAuth, services.Upstream, a.log); err != nil {
			return fmt.Errorf("%s: %w", config.Variable("bootstrap-file"), err)
		}
	}
	if err := errors.Join(services.Upstream.Start(ctx), services.Webhooks.Start(ctx)); err != nil {
		return fmt.Errorf("the secrets of providers and webhooks: %w", err)
	}
	return nil
}

// info describes the server for administrators.
func (a *App) info(ctx context.Context) (httpapi.Info, error) {
	settings, err := a.app.List()
	if err != nil {
		return httpapi.Info{}, err
	}
	schema, err := a.app.DB.SchemaVersion(ctx)
	return httpapi.Info{Version: a.app.VersionName(), Engine: a.app.DB.Engine(), SchemaVersion: schema, StartedAt: a.app.StartedAt, Settings: settings}, err
}

// compile makes one contract of Sesame's and the service's, and the domain that it needs.
func (a *App) compile(openAPI []byte) (document []byte, services *app.Services, err error) {
	document = sesame.OpenAPI
	if openAPI != nil {
		if document, err = openapi.AddLogin(openapi.Document{Name: "openapi.yaml", Text: openAPI}); err != nil {
			return nil, nil, err
		}
	}
	schemes := &httpapi.Schemes{}
	if a.contract, err = contract.CompileShared(document, schemes.ByName(), httpapi.Serves); err != nil {
		return nil, nil, err
	}
	if err = a.app.CheckScopes(a.contract); err != nil {
		return nil, nil, err
	}
	services = a.app.MakeServices(a.contract)
	schemes.Identity, schemes.OAuth = services.Identity, services.OAuth
	return document, services, nil
}

// AnswerError answers an error as Sesame's operations do, with application/problem+json (RFC 9457). Set it as
// Echo's HTTPErrorHandler, if you have none of your own. An error of the database is 503 where trying again may
// help; any other error that is not known is 500, and its text goes to the log alone.
func (a *App) AnswerError(err error, c echo.Context) {
	if a.http == nil { // a request before Mount, or after it has failed
		m := httpapi.Middleware{Log: a.log, Operation: func(echo.Context) *contract.Operation { return nil }}
		m.AnswerError(store.Classify(err), c)
		return
	}
	a.http.AnswerError(store.Classify(err), c)
}
