package app

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"sync"
	"time"

	"sesame/server/internal/config"
	"sesame/server/secret"
)

// certificate is the certificate of SESAME_TLS_CERT and its key. It is loaded again when one of the files has changed, as
// certbot, acme.sh and Kubernetes renew them. The files are looked at in each handshake, which costs a hundred times as much.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu     sync.Mutex
	loaded *tls.Certificate
	seen   [2]stamp // of the files at the last attempt
}

// stamp tells two versions of a file apart, also where a link leads to another file, or where an operator has corrected who
// may read it.
type stamp struct {
	changed time.Time
	size    int64
	mode    fs.FileMode
	file    any // the device, the inode and the owners, on systems that have them
}

func stampOf(name string) (stamp, error) {
	info, err := os.Stat(name)
	if err != nil {
		return stamp{}, err
	}
	return stamp{info.ModTime(), info.Size(), info.Mode(), fileID(info)}, nil
}

// withTLS puts TLS on a listener if the settings name a certificate.
func withTLS(listener net.Listener, s config.Settings, log *slog.Logger) (net.Listener, error) {
	if s.TLSCert == "" {
		return listener, nil
	}
	c := &certificate{certFile: s.TLSCert, keyFile: s.TLSKey, log: log}
	if err := c.load(); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	c.warn(s.PublicURL, time.Now())
	return secured{tls.NewListener(listener, &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil },
	}), func() time.Time { return c.current().Leaf.NotAfter }}, nil
}

// secured is a listener with a certificate from files.
type secured struct {
	net.Listener
	expiry func() time.Time // of the certificate
}

// current returns the certificate for a handshake. If the new files cannot be used, the server goes on with those that it has:
// programs that renew a certificate write one file after the other.
func (c *certificate) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	cert, certErr := stampOf(c.certFile)
	key, keyErr := stampOf(c.keyFile)
	if certErr == nil && keyErr == nil && [2]stamp{cert, key} == c.seen {
		return c.loaded
	}
	unseen := c.seen
	if err := c.load(); err != nil {
		if c.seen != unseen { // once for each state of the files
			c.log.Warn("the new certificate cannot be used; the server goes on with the one that it has", "error", err)
		}
		return c.loaded
	}
	c.log.Info("the certificate was loaded again", "file", c.certFile, "valid_until", c.loaded.Leaf.NotAfter)
	return c.loaded
}

// load reads both files. The stamps are taken first, so that a change during the reading is seen by the next handshake.
func (c *certificate) load() error {
	cert, certErr := stampOf(c.certFile)
	key, keyErr := stampOf(c.keyFile)
	c.seen = [2]stamp{cert, key}
	if err := errors.Join(fileError("tls-cert", certErr), fileError("tls-key", keyErr)); err != nil {
		return err
	}
	if info, err := os.Stat(c.keyFile); err == nil && secret.OpenToOthers(info) {
		return fmt.Errorf("%s: every user of this machine has access to the private key %s (mode %04o); run: chmod 640 %s, and give the file the group of this server",
			config.Variable("tls-key"), c.keyFile, info.Mode().Perm(), c.keyFile)
	}
	certPEM, certErr := os.ReadFile(c.certFile)
	keyPEM, keyErr := os.ReadFile(c.keyFile)
	if err := errors.Join(fileError("tls-cert", certErr), fileError("tls-key", keyErr)); err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return fmt.Errorf("%s and %s do not fit together, or are not PEM files of a certificate and its unencrypted private key: %w",
			config.Variable("tls-cert"), config.Variable("tls-key"), err)
	}
	c.loaded = &pair
	return nil
}

// fileError names the setting whose file cannot be read.
func fileError(flag string, err error) error {
	file, ok := errors.AsType[*fs.PathError](err)
	switch {
	case err == nil:
		return nil
	case ok && errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no file %s, which %s names", file.Path, config.Variable(flag))
	}
	return fmt.Errorf("%s: %w", config.Variable(flag), err)
}

// warn logs what clients will refuse. The server starts all the same, since the certificate may be renewed while it runs.
func (c *certificate) warn(publicURL string, now time.Time) {
	leaf := c.loaded.Leaf
	if now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
		c.log.Warn("clients refuse the certificate, because it is not valid now; renew it", "file", c.certFile, "valid_from", leaf.NotBefore, "valid_until", leaf.NotAfter)
	}
	u, err := url.Parse(publicURL)
	if err != nil || u.Hostname() == "" {
		return
	}
	if err = leaf.VerifyHostname(u.Hostname()); err != nil {
		names, _ := errors.AsType[x509.HostnameError](err)
		c.log.Warn("clients refuse the certificate, because it is not for the host of the public URL", "file", c.certFile, "public_url", publicURL,
			"names", names.Certificate.DNSNames)
	}
}
