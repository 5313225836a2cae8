package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/crypto/acme"

	"sesame/server/internal/certificates"
	"sesame/server/internal/config"
)

// Secure puts TLS on the listener if SESAME_ACME is on: the certificate is in the database, which is open only now.
func (a *App) Secure(ctx context.Context, listener net.Listener) (net.Listener, error) {
	if files, ok := listener.(secured); ok {
		a.expiry = files.expiry
	}
	if a.ACME != "on" {
		return listener, nil
	}
	m, err := certificates.New(a.DB, a.master, certificates.Settings{
		Directory: a.ACMEDirectory, Host: a.Host(), HTTP: a.RedirectListener != nil, Now: a.Now, Every: a.every(), Log: a.Log,
		Client: a.Tests.Authority, Attempted: func(outcome string) { a.Metrics.acmeAttempts.Add(1, outcome) },
	})
	if err == nil {
		err = m.Start(ctx)
	}
	if err != nil {
		return nil, err
	}
	a.certificates, a.expiry = m, m.Expiry
	return tls.NewListener(listener, &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1", acme.ALPNProto}, GetCertificate: m.GetCertificate,
	}), nil
}

// ListenForRedirects listens at SESAME_REDIRECT_LISTEN; it returns nil where that is not set.
func ListenForRedirects(ctx context.Context, s config.Settings) (net.Listener, error) {
	if s.RedirectListen == "" {
		return nil, nil //nolint:nilnil // no listener is what the settings ask for
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.RedirectListen)
	if err != nil {
		return nil, fmt.Errorf("cannot redirect at %s; choose another address with %s (ports below 1024 need more rights): %w",
			s.RedirectListen, config.Variable("redirect-listen"), err)
	}
	return listener, nil
}

// serveRedirects answers plain HTTP until ctx ends.
func (a *App) serveRedirects(ctx context.Context) {
	handler := redirect(a.PublicURL)
	if a.certificates != nil {
		handler = a.certificates.AnswerHTTP(handler)
	}
	server := &http.Server{
		Handler: handler, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(a.Log.Handler(), slog.LevelDebug),
		ReadTimeout: 5 * time.Second, WriteTimeout: 15 * time.Second, IdleTimeout: 15 * time.Second, DisableGeneralOptionsHandler: true,
	}
	a.Log.Info("redirecting plain HTTP", "address", "http://"+a.RedirectListener.Addr().String(), "to", a.PublicURL)
	a.workers.Go(func() {
		end := context.AfterFunc(ctx, func() { _ = server.Close() }) // a redirect takes no time
		defer end()
		if err := server.Serve(a.RedirectListener); !errors.Is(err, http.ErrServerClosed) {
			a.Log.Error("plain HTTP is no longer redirected: its listener failed", "error", err)
		}
	})
}

// redirect leads GET and HEAD to the same path of the public host, whatever host the request names. Any other request fails: a
// client with the wrong URL would otherwise go on to send passwords unencrypted first.
func redirect(publicURL string) http.Handler {
	u, err := url.Parse(publicURL)
	if err != nil { // impossible: Check has parsed it
		u = &url.URL{}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "This request was not encrypted. Send it to "+publicURL+", and replace the secrets that it contained.", http.StatusForbidden)
			return
		}
		target := url.URL{Scheme: "https", Host: u.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
		http.Redirect(w, r, target.String(), http.StatusPermanentRedirect)
	})
}
