// Package bootstrap creates the accounts, clients and providers that an operator declares in a YAML file, where there is no shell for
// the command line, or where they belong to a repository.
//
//	file, err := bootstrap.Read("bootstrap.yaml")        // before anything is opened
//	err = file.Apply(ctx, accounts, clients, providers, log)        // before the first request
//
// The way through it: read.go turns the file into entries, with the line of each; apply.go declares them. Both report every fault
// that they can find at once. Passwords and secrets are not in the file: it has hashes of them, or names files, which are read only
// for what has to be created or updated. The rules are in package account (Declare) and package oauth (Declare).
package bootstrap

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"sesame/server/secret"
)

// File is a bootstrap file that has been read.
type File struct {
	name      string
	users     []user
	clients   []client
	providers []provider
}

type user struct {
	line                     int
	username, email, name    string
	emailVerified            bool
	disabled                 *bool
	fullName                 *string
	scopes                   []string // nil if the entry has none
	passwordHash             secret.Text
	passwordFile             string // absolute, or ""
	passwordLine, scopesLine int
	update                   bool
}

type client struct {
	line                             int
	id, name                         string
	scopes                           []string
	passwordGrant                    bool
	public, thirdParty, optionalPKCE bool
	device                           bool
	logoutURI                        string
	redirects, signOuts              []string
	secretHash                       string // or
	secretFile                       string
	secretLine                       int
	logoFile                         string
	logoLine                         int
	update                           bool
}

// maxSecret is the longest file of a password or a secret, in bytes.
const maxSecret = 4 << 10

// ReadSecret reads the one line of a file, without its line break. Its errors do not contain the text.
func ReadSecret(file string) (text secret.Text, err error) {
	opened, err := os.Open(file)
	if err != nil {
		return text, err // which names the file
	}
	defer opened.Close()
	info, err := opened.Stat()
	switch {
	case err != nil:
		return text, err
	case info.IsDir():
		return text, fmt.Errorf("%s is a folder", file)
	case secret.OpenToOthers(info):
		return text, fmt.Errorf("every user of this machine has access to %s (mode %04o); run: chmod 600 %s, or mount the secret with mode 0440",
			file, info.Mode().Perm(), file)
	}
	content, err := io.ReadAll(io.LimitReader(opened, maxSecret+1))
	if err != nil {
		return text, err
	}
	line := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	switch {
	case len(content) > maxSecret:
		return text, fmt.Errorf("%s has more than %d bytes", file, maxSecret)
	case line == "":
		return text, fmt.Errorf("%s is empty", file)
	case strings.ContainsAny(line, "\n\r"):
		return text, fmt.Errorf("%s has more than one line; it must have the secret alone", file)
	}
	return secret.New(line), nil
}

// at is an error at a line of the file.
func (f *File) at(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", f.name, line, fmt.Errorf(format, args...))
}

// path resolves the name of a file, which is relative to the folder of the bootstrap file.
func (f *File) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(f.name), name)
}

// errAll joins faults, or returns nil.
func errAll(faults []error) error { return errors.Join(faults...) }
