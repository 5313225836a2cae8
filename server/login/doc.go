// Package login puts accounts, login and access tokens into a server of your own. Sesame's operations and those of your
// openapi.yaml become one contract, which is enforced, documented and served as one.
//
//	settings, err := login.FromEnv(os.Environ()) // those of `sesame serve`
//	app, err := login.Open(ctx, settings)        // the database, the keys and the listener
//	defer app.Close()
//	e := echo.New()
//	err = app.Mount(e, openAPI)                  // Sesame's operations and pages, and the enforcement of your openapi.yaml
//	e.HTTPErrorHandler = app.AnswerError
//	api.RegisterHandlers(e, api.NewStrictHandler(notes, nil))
//	err = app.Serve(ctx, e)                      // until ctx ends
//
// `sesame new` writes such a program, and package logintest tests one over HTTP.
//
// # The contract
//
// Each operation of your document says in security who may call it: [{ OAuth2Password: ['notes:read'] }] wants an access
// token with that scope, [{ ClientBasic: [] }] the id and secret of a service client, [] nothing. An operation that says
// nothing, where the document has no default, stops the start. Declare your scopes under OAuth2Password, as Sesame does
// its own: in x-default, every person has a scope; in x-on-request, a login must ask for it; in x-people-only, no service
// client has it; in none of them, it is granted with `sesame user grant`. A document cannot change who has a scope of
// Sesame's, nor Sesame's operations.
//
// Before a handler runs, its caller is authorized, and the parameters and a JSON or form body of at most 64 KiB are
// checked. That holds for every request that your document has an operation for, whatever its handler is and wherever it
// is registered. A route at a path of the document with a method that it does not declare answers 405. All your other
// routes are left alone: anyone can call them, so give them middleware of their own. Serve fails, and names the route,
// where an operation has no handler, where a request for an operation would be led to another handler, and where the
// method that handles an operation is registered at a path outside the document as well.
//
// # Middleware
//
// Middleware that you register with Use before Mount runs before the contract is enforced, and after Mount, after it, so
// that Person knows the caller. Register what changes the method or the path of a request with Pre; with Use, the request
// is refused. To let pages of other origins call the operations, set SESAME_CORS_ORIGINS, or register CORS middleware of
// your own before Mount.
//
// # Errors
//
// A handler returns NotFound, Forbidden or Invalid for its caller to see. AnswerError answers any other error as 503,
// where the database is the cause and trying again may help, or as 500, and writes its text to the log alone.
//
// # The database
//
// DB runs your SQL on SQLite and PostgreSQL. Your tables may refer to users (id); give them names that begin with that of
// your service, since a later version of Sesame may add tables. On SQLite one transaction writes at a time: keep it
// short, use only its tx in it, and close rows.
//
// # Traces
//
// If OTEL_EXPORTER_OTLP_ENDPOINT names a collector, each request that the contract or a page of Sesame's is for has a span,
// which the context of its handler holds: trace.SpanFromContext(ctx).TracerProvider() makes spans that go to the same
// collector. Sesame neither sets nor uses OpenTelemetry's global provider. If middleware of yours has begun a span, Sesame's
// are below it; without the variable, only those of hashes and statements, and they go where yours go.
//
// # Signals
//
// If SESAME_EVENT_LOG names a file, Serve handles SIGHUP, which opens the file again. Unless the program passes a logger
// with Log, Serve handles SIGUSR1, which switches debug lines on and off. Your program handles the others.
//
// # Limits
//
// A request ends after twenty seconds: its context does, and after thirty its connection. A handler must return when its
// context ends, because Serve waits for it. At most twelve kibibytes of headers are read.
package login
