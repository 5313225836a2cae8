package apitest

import (
	"strings"
	"testing"
)

// The bootstrap file creates providers, and updates them where it says so.
func TestProvidersOfABootstrapFile(t *testing.T) {
	t.Parallel()
	for engine, databaseURL := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			dbURL := databaseURL(t)
			d := declare(t, `
providers:
  - name: corp
    label: Example Corp
    issuer: https://sso.example.com/realms/corp
    client_id: sesame
    secret_file: corp.secret
  - { name: github, github: true, client_id: x, secret_file: corp.secret, update: true, link_verified_addresses: true }
`)
			d.write(t, "corp.secret", secretAtIssuer+"\n")
			shown := func() (page, rows string) {
				s := d.start(t, dbURL)
				page = string(s.newBrowser().send(t, get("/sign-in")).want(200).body)
				s.stop()
				return page, s.value(t, `SELECT COUNT(*) || ' providers, ' || MIN(client_secret) FROM providers WHERE client_secret <> ''`)
			}
			page, first := shown()
			if !strings.Contains(page, "Continue with Example Corp") || !strings.HasPrefix(first, "2 providers, ") || strings.Contains(first, secretAtIssuer) {
				t.Error(first, page)
			}
			if _, again := shown(); again != first {
				t.Error("a second start changes something")
			}
			d.write(t, "bootstrap.yaml", "providers:\n"+
				"  - { name: corp, label: Renamed, issuer: 'https://sso.example.com/realms/corp', client_id: sesame }\n"+
				"  - { name: github, label: Octopus, github: true, client_id: x, secret_file: corp.secret, update: true }\n")
			if next, _ := shown(); !strings.Contains(next, "Continue with Example Corp") || !strings.Contains(next, "Continue with Octopus") || strings.Contains(next, "Renamed") {
				t.Error(next)
			}
			for text, reason := range map[string]string{
				"providers: [{ name: corp, client_id: x }]":                                                                                                     "FILE:1: an entry of providers has no issuer",
				"providers: [{ name: Corp, client_id: x, issuer: 'https://a.example.com' }]":                                                                    "name must have 1 to 64 lowercase letters",
				"providers: [{ name: c, client_id: x, issuer: 'http://a.example.com' }]":                                                                        "issuer must begin with https://",
				"providers: [{ name: c, client_id: x, github: true }]":                                                                                          "secret_file is required by GitHub",
				"providers: [{ name: c, client_id: x, client_secret: y, issuer: 'https://a.example.com' }]":                                                     "keep secrets out of this file",
				"providers: [{ name: c, client_id: x, secret_file: none, issuer: 'https://a.example.com' }]":                                                    "there is no file",
				"providers: [{ name: github, client_id: x, issuer: 'https://a.example.com', update: true }]":                                                    "an issuer cannot change",
				"providers: [{ name: other, client_id: x, issuer: 'https://sso.example.com/realms/corp' }]":                                                     "nother provider has this name or this issuer",
				"providers:\n- { name: c, client_id: x, issuer: 'https://a.example.com' }\n- { name: c, client_id: x, github: true, secret_file: corp.secret }": "remove one",
			} {
				d.write(t, "bootstrap.yaml", text+"\n")
				d.refused(t, dbURL, reason)
			}
		})
	}
}
