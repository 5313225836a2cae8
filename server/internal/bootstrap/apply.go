package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"

	"sesame/server/internal/account"
	"sesame/server/internal/oauth"
	"sesame/server/internal/problem"
	"sesame/server/internal/upstream"
	"sesame/server/secret"
)

// Apply creates what the file declares and does not exist, and updates what exists where an entry says so. It checks every entry
// before it writes anything, as far as that needs neither the database nor the files of secrets.
func (f *File) Apply(ctx context.Context, accounts *account.Service, clients *oauth.Service, providers *upstream.Service, log *slog.Logger) error {
	faults := f.checkProviders(providers)
	for _, u := range f.users {
		if err := accounts.CheckDeclared(f.declaredUser(u)); err != nil {
			faults = append(faults, f.at(u.lineOf(err), "%w", err))
		}
	}
	for _, c := range f.clients {
		if err := clients.CheckDeclared(f.declaredClient(c)); err != nil {
			faults = append(faults, f.at(c.line, "%w", err))
		}
	}
	if len(faults) > 0 {
		return errAll(faults)
	}
	for _, u := range f.users {
		outcome, err := accounts.Declare(ctx, f.declaredUser(u))
		if err != nil {
			faults = append(faults, f.explain(u.lineOf(err), err))
			continue
		}
		f.logUser(log, u, outcome)
	}
	for _, c := range f.clients {
		created, updated, err := clients.Declare(ctx, f.declaredClient(c))
		if err != nil {
			faults = append(faults, f.explain(c.line, err))
			continue
		}
		if created || updated {
			log.Info("the bootstrap file has "+map[bool]string{true: "created", false: "updated"}[created]+" a client", "client_id", c.id, "name", c.name)
		}
	}
	return errAll(append(faults, f.applyProviders(ctx, providers, log)...))
}

func (f *File) declaredUser(u user) account.Declared {
	d := account.Declared{ImportedUser: account.ImportedUser{
		Username: u.username, Email: u.email, EmailVerified: u.emailVerified, FullName: u.name, Disabled: u.disabled != nil && *u.disabled,
		PasswordHash: u.passwordHash, Scopes: u.scopes,
	}}
	if u.passwordFile != "" {
		d.Password = func() (secret.Text, error) {
			text, err := ReadSecret(u.passwordFile)
			return text, f.wrapFile(u.passwordLine, "password_file", err)
		}
	}
	if u.update {
		d.Update = &account.UserChange{FullName: u.fullName, Disabled: u.disabled, Scopes: u.scopes}
	}
	return d
}

func (f *File) declaredClient(c client) oauth.DeclaredClient {
	return oauth.DeclaredClient{
		ID: c.id, NewClient: oauth.NewClient{
			Name: c.name, Scopes: c.scopes, PasswordGrant: c.passwordGrant, Public: c.public, ThirdParty: c.thirdParty,
			PKCEOptional: c.optionalPKCE, RedirectURIs: c.redirects, SignOutURIs: c.signOuts, DeviceGrant: c.device, LogoutURI: c.logoutURI,
		}, Update: c.update,
		ReadLogo: func() ([]byte, error) {
			if c.logoFile == "" {
				return nil, nil
			}
			logo, err := oauth.ReadLogo(c.logoFile)
			return logo, f.wrapFile(c.logoLine, "logo_file", err)
		},
		SecretHash: func() (string, error) {
			if c.secretFile == "" {
				return c.secretHash, nil
			}
			text, err := ReadSecret(c.secretFile)
			if err != nil {
				return "", f.wrapFile(c.secretLine, "secret_file", err)
			}
			hash, err := oauth.HashDeclaredSecret(text)
			if err != nil {
				err = placed{f.at(c.secretLine, "the secret in %s %w", c.secretFile, err)}
			}
			return hash, err
		},
	}
}

// placed is an error that names its line.
type placed struct{ error }

// Unwrap returns the reason.
func (p placed) Unwrap() error { return p.error }

// wrapFile explains why a file of a secret, or of a logo, cannot be used.
func (f *File) wrapFile(line int, key string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		file, _ := errors.AsType[*fs.PathError](err)
		err = fmt.Errorf("there is no file %s; create it, or correct %s", file.Path, key)
	}
	return placed{f.at(line, "%w", err)}
}

// explain adds the line to an error, unless it has one.
func (f *File) explain(line int, err error) error {
	if _, ok := errors.AsType[placed](err); ok {
		return err
	}
	if p, ok := errors.AsType[*problem.Error](err); ok && p.Cause == nil {
		return f.at(line, "%s", strings.TrimSuffix(p.Detail, "."))
	}
	return f.at(line, "%w", err)
}

// lineOf is the line of the key at fault, as far as it is known.
func (u user) lineOf(err error) int {
	refusal, ok := errors.AsType[*account.Refusal](err)
	switch {
	case ok && (refusal.Field == "password_hash" || refusal.Field == "password"):
		return u.passwordLine
	case ok && refusal.Field == "scopes":
		return u.scopesLine
	}
	return u.line
}

func (f *File) logUser(log *slog.Logger, u user, outcome account.Outcome) {
	place := fmt.Sprintf("%s:%d", f.name, u.line)
	switch outcome {
	case account.Created, account.Updated:
		log.Info("the bootstrap file has "+string(outcome)+" an account", "username", u.username)
	case account.Foreign:
		log.Warn("the bootstrap file leaves an account as it is that it has not created: somebody may have registered the name; "+
			"look at it with: sesame user show", "username", u.username, "entry", place)
	case account.Deleted:
		log.Warn("the bootstrap file does not create an account again that was deleted in the last 30 days; remove the entry", "username", u.username, "entry", place)
	}
}
