package apitest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sesame/gen/api"
	"sesame/server/internal/store"
)

const (
	billing       = "0199d1a4-5f0e-7cc3-98c6-4b8e3f1f7a10"
	billingSecret = "8c1f0e6b5a7d4f3e9b2a1c0d7e8f6a5b4c3d2e1f"
)

// declarations is a folder with a bootstrap file and the files of secrets that it names.
type declarations struct{ folder string }

func declare(t *testing.T, text string) declarations {
	t.Helper()
	d := declarations{t.TempDir()}
	d.write(t, "bootstrap.yaml", text)
	d.write(t, "root.password", horse+"\n")
	d.write(t, "billing.secret", billingSecret+"\n")
	return d
}

func (d declarations) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(d.folder, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (d declarations) file() string { return filepath.Join(d.folder, "bootstrap.yaml") }

func (d declarations) setting() string { return "SESAME_BOOTSTRAP_FILE=" + d.file() }

// start starts a server whose tokens are valid after a restart, too.
func (d declarations) start(t *testing.T, databaseURL string) *server {
	t.Helper()
	return start(t, databaseURL, d.setting(), "SESAME_PUBLIC_URL=https://login.example")
}

// refused starts a server that must not start.
func (d declarations) refused(t *testing.T, databaseURL, reason string) {
	t.Helper()
	e := environment{
		"SESAME_DATABASE_URL": databaseURL, "SESAME_MASTER_KEY": testKey(), "SESAME_LISTEN": "127.0.0.1:0",
		"SESAME_LOG_LEVEL": "error", "SESAME_BOOTSTRAP_FILE": d.file(),
	}
	fails(t, "", e, strings.ReplaceAll(reason, "FILE:", d.file()+":"), "serve")
}

const firstAdministrator = `
users:
  - username: root
    email: root@example.com
    email_verified: true
    scopes: [users:read, users:write]
    password_file: root.password
clients:
  - client_id: ` + billing + `
    name: billing
    scopes: [users:read]
    password_grant: true
    secret_file: billing.secret
`

// An operator without a shell gets an administrator and a client. A later start changes nothing, even if the files of the
// secrets are gone, and no secret is logged.
func TestABootstrapFileCreatesWhatIsMissing(t *testing.T) {
	t.Parallel()
	hash, plain := vectorHash(t, "$2b$")
	for engine, databaseURL := range engines {
		t.Run(engine, func(t *testing.T) {
			d := declarations{t.TempDir()}
			d.write(t, "bootstrap.yaml", strings.Replace(firstAdministrator, "clients:", "  - { username: imported, password_hash: '"+hash+"', disabled: false }\nclients:", 1))
			d.write(t, "root.password", horse+"\n")
			d.write(t, "billing.secret", billingSecret)
			s := d.start(t, databaseURL(t))
			root := decode[api.Token](s.do(t, passwordGrant("root@example.com", horse)).want(200))
			if got := s.me(t, root.AccessToken); got.Username != "root" || !slices.Contains(got.Scopes, "users:write") {
				t.Errorf("got %+v", got)
			}
			s.do(t, passwordGrant("imported", plain)).want(200)
			client := serviceClient{ID: billing, Secret: billingSecret}
			if got := decode[api.Token](s.do(t, client.sends(clientGrant(""))).want(200)).Scope; got != "users:read" {
				t.Errorf("the client has %s", got)
			}
			s.do(t, serviceClient{ID: billing, Secret: billingSecret + "x"}.sends(clientGrant(""))).want(401, "invalid_client")

			s.do(t, changePassword(root.AccessToken, horse, "a bigger wooden horse")).want(204)
			s.do(t, request{method: "PATCH", path: "/users/me", token: root.AccessToken, json: map[string]string{"full_name": "Ann"}}).want(200)
			log := s.wholeLog()
			for _, name := range []string{"root.password", "billing.secret"} {
				if err := os.Remove(filepath.Join(d.folder, name)); err != nil {
					t.Fatal(err)
				}
			}
			again := d.start(t, s.dbURL)
			again.do(t, passwordGrant("root", horse)).want(400, "invalid_grant")
			changed := decode[api.Token](again.do(t, passwordGrant("root", "a bigger wooden horse")).want(200))
			if got := again.me(t, changed.AccessToken); got.FullName.MustGet() != "Ann" {
				t.Errorf("got %+v", got)
			}
			log += again.wholeLog()
			if strings.Count(log, "created an account") != 2 || strings.Count(log, "created a client") != 1 {
				t.Errorf("the log has\n%s", log)
			}
			for _, secret := range []string{horse, billingSecret, hash[7:]} {
				if strings.Contains(log, secret) {
					t.Errorf("the log has a secret:\n%s", log)
				}
			}
		})
	}
}

// An entry with update sets what it has, and nothing else. A client that loses a scope loses the sessions that people
// started through it, whose tokens could have the scope.
func TestABootstrapFileUpdatesWhereItSaysSo(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		d := declare(t, firstAdministrator)
		s.stop()
		first := d.start(t, s.dbURL)
		client := serviceClient{ID: billing, Secret: billingSecret}
		throughClient := decode[api.Token](first.do(t, client.posts(passwordGrant("root", horse))).want(200))
		first.stop()

		d.write(t, "billing.secret", strings.ToUpper(billingSecret))
		text := strings.NewReplacer("    password_file", "    full_name: Ann\n    update: true\n    password_file", "scopes: [users:read, users:write]", "scopes: [users:write]",
			"name: billing", "name: invoices\n    update: true", "scopes: [users:read]", "scopes: []").Replace(firstAdministrator)
		d.write(t, "bootstrap.yaml", text)
		second := d.start(t, s.dbURL)
		second.do(t, me(throughClient.AccessToken)).want(401, "invalid_token")
		root := decode[api.Token](second.do(t, passwordGrant("root", horse)).want(200))
		if got := second.me(t, root.AccessToken); got.FullName.MustGet() != "Ann" || slices.Contains(got.Scopes, "users:read") || !slices.Contains(got.Scopes, "users:write") {
			t.Errorf("got %+v", got)
		}
		second.do(t, client.sends(clientGrant(""))).want(401, "invalid_client")
		client.Secret = strings.ToUpper(billingSecret)
		second.do(t, client.sends(introspection("x"))).want(200)
		second.stop()
		third := d.start(t, s.dbURL)
		third.do(t, me(root.AccessToken)).want(200)
		if log := third.wholeLog(); strings.Contains(log, "the bootstrap file has") {
			t.Errorf("the same file changes something again:\n%s", log)
		}

		d.write(t, "bootstrap.yaml", strings.Replace(text, "scopes: [users:write]", "scopes: []", 1))
		d.refused(t, s.dbURL, "FILE:3: root is the last administrator")
	})
}

// A stranger who registers a name before the operator declares it gets nothing of what is declared. An account of the
// operator's is recognized by its confirmed address.
func TestABootstrapFileRaisesNoStranger(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		stranger := s.register(t, "captain")
		s.must(t, horse, "user", "create", "mate", "--email", "mate@example.com", "--email-verified")
		s.stop()
		d := declare(t, "users:\n- username: Captain\n  scopes: [users:write]\n  password_file: root.password\n")
		kept := d.start(t, s.dbURL)
		if got := kept.me(t, kept.login(t, stranger.Username).AccessToken); slices.Contains(got.Scopes, "users:write") {
			t.Errorf("got %+v", got)
		}
		if log := kept.wholeLog(); !strings.Contains(log, "somebody may have registered the name") || !strings.Contains(log, d.file()+":2") {
			t.Errorf("the log has\n%s", log)
		}
		d.write(t, "bootstrap.yaml", "users:\n- username: Captain\n  scopes: [users:write]\n  update: true\n")
		d.refused(t, s.dbURL, "FILE:2: the username belongs to another account")
		d.write(t, "bootstrap.yaml", "users:\n- { username: mate, email: mate@example.com, email_verified: true, scopes: [users:write], update: true }\n")
		raised := d.start(t, s.dbURL)
		if got := raised.me(t, raised.login(t, "mate").AccessToken); !slices.Contains(got.Scopes, "users:write") {
			t.Errorf("got %+v", got)
		}
	})
}

// An administrator who deletes an account does not get it back, with its old password, at the next start.
func TestABootstrapFileDoesNotCreateADeletedAccountAgain(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.stop()
		d := declare(t, firstAdministrator+"\n")
		first := d.start(t, s.dbURL)
		first.must(t, horse, "user", "create", "other", "--scope", "users:write")
		first.must(t, "", "user", "delete", "root", "--yes")
		first.stop()
		second := d.start(t, s.dbURL)
		second.do(t, passwordGrant("root", horse)).want(400, "invalid_grant")
		if log := second.wholeLog(); !strings.Contains(log, "does not create an account again") {
			t.Errorf("the log has\n%s", log)
		}
	})
}

// Replicas that start together on an empty database create each account and client once.
func TestFiveReplicasReadOneBootstrapFile(t *testing.T) {
	t.Parallel()
	for engine, databaseURL := range emptyEngines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			d, shared := declare(t, firstAdministrator), databaseURL(t)
			var servers [5]*server
			var wait sync.WaitGroup
			for i := range servers {
				wait.Go(func() { servers[i] = d.start(t, shared) })
			}
			wait.Wait()
			if t.Failed() {
				return
			}
			log := ""
			for _, s := range servers {
				s.do(t, passwordGrant("root", horse)).want(200)
				s.do(t, serviceClient{ID: billing, Secret: billingSecret}.sends(clientGrant(""))).want(200)
				log += s.wholeLog()
			}
			if strings.Count(log, "created an account") != 1 || strings.Count(log, "created a client") != 1 {
				t.Errorf("the logs have\n%s", log)
			}
		})
	}
}

// A fault names the file, the line and what to do; it repeats no secret, and nothing is created.
func TestFaultsInABootstrapFile(t *testing.T) {
	t.Parallel()
	const user, client = "users:\n- username: ann\n  ", "clients:\n- client_id: " + billing + "\n  name: billing\n  "
	for text, reason := range map[string]string{
		"user: []":                                     "FILE:1: the file has the unknown key user; did you mean users?",
		"users: ann":                                   "FILE:1: users must be a list; begin each element with a hyphen",
		"- ann":                                        "FILE:1: the file must be a mapping with the keys users, clients",
		"users:\n- ann":                                "FILE:2: an entry of users must be a mapping",
		"users:\n- email: a@example.com":               "FILE:2: an entry of users has no username",
		user + "scope: [users:read]":                   "FILE:3: an entry of users has the unknown key scope; did you mean scopes?",
		user + "password: a wooden horse":              "FILE:3: an entry of users has the key password; keep passwords out of this file: name a file in password_file",
		user + "username: bob":                         "FILE:3: an entry of users has the key username twice",
		user + "disabled: maybe":                       "FILE:3: disabled must be true or false",
		user + "full_name: 7":                          "FILE:3: full_name must be a text; put it between single quotes",
		user + "full_name:":                            "FILE:3: full_name must be a text",
		user + "email: ''":                             "FILE:3: email is empty; give a value or remove the key",
		user + "scopes: users:read":                    "FILE:3: scopes must be a list",
		user + "scopes: [users:destroy]":               "FILE:3: the scopes contain one that the contract does not declare; it declares clients:read, clients:write, email, events:read, me:delete, me:read",
		user + "email: ann":                            "FILE:2: the email is not an e-mail address",
		user + "email_verified: true":                  "FILE:3: an entry of users has email_verified without an email",
		user + "password_hash: a wooden horse":         "FILE:3: the password_hash ",
		user + "password_hash: *a wooden horse":        "FILE: this is not valid YAML; check the indentation",
		user + "password_hash: x\n  password_file: y":  "FILE:4: an entry of users has both a password_file and a password_hash",
		user + "password_file: none":                   "FILE:3: there is no file ",
		user + "password_file: short":                  "FILE:3: the password must have at least 8 characters",
		user + "password_file: open":                   "FILE:3: every user of this machine has access to ",
		user + "password_file: two":                    "has more than one line",
		user + "a wooden horse: x":                     "FILE:3: an entry of users has a key that is not a name; the keys are username",
		user + "full_name: [":                          "this is not valid YAML, here or just above; check the indentation",
		"users:\n- username: ann\n- username: ANN":     `FILE:3: the username "ANN" is that of the entry in line 2; remove one`,
		"users:\n- username: a b":                      "FILE:2: the username must be letters",
		"users: []\n---\nusers: []":                    "a second YAML document begins here",
		"clients:\n- name: billing\n  secret_file: x":  "FILE:2: an entry of clients has no client_id, a UUID that you choose; make one with: uuidgen",
		client + "scopes: []":                          "FILE:2: an entry of clients has no secret; name a file in secret_file",
		client + "secret: a wooden horse":              "FILE:4: an entry of clients has the key secret; keep secrets out of this file",
		client + "secret_sha256: a wooden horse":       "FILE:4: secret_sha256 must be 64 hexadecimal digits",
		client + "secret_file: root.password":          "FILE:4: the secret in ",
		client + "secret_file: none":                   "FILE:4: there is no file ",
		client + "scopes: [me:read]\n  secret_file: x": "FILE:2: scopes names a scope over one's own account",
		client + "scopes: [no:such]\n  secret_file: x": "FILE:2: scopes names a scope that the contract does not declare",
		strings.Replace(client, "0199", "0199A", 1) + "secret_file: billing.secret": "FILE:2: client_id must be a UUID",
	} {
		d := declare(t, text+"\n")
		d.write(t, "short", "horse")
		d.write(t, "two", horse+"\n"+horse+"\n")
		d.write(t, "open", horse)
		if err := os.Chmod(filepath.Join(d.folder, "open"), 0o644); err != nil {
			t.Fatal(err)
		}
		databaseURL := sqliteURL(t)
		d.refused(t, databaseURL, reason)
		file, _ := store.SQLitePath(databaseURL)
		var rows string
		if err := rawSQL(t.Context(), "sqlite:"+file, `SELECT (SELECT COUNT(*) FROM users) || ' ' || (SELECT COUNT(*) FROM clients)`, &rows); err != nil || rows != "0 0" {
			t.Errorf("%s: %v: %s accounts and clients", text, err, rows)
		}
		_, stderr, _ := command(t, "", environment{"SESAME_BOOTSTRAP_FILE": d.file(), "SESAME_DATABASE_URL": databaseURL, "SESAME_MASTER_KEY": testKey(), "SESAME_LISTEN": "127.0.0.1:0"})
		if strings.Contains(stderr, horse) {
			t.Errorf("the message repeats a secret: %s", stderr)
		}
	}
	several := declare(t, user+"nickname: x\n"+client+"nickname: x\n")
	several.refused(t, emptySQLiteURL(t), "FILE:3:")
	several.refused(t, emptySQLiteURL(t), "FILE:7:")
	absent := declarations{t.TempDir()}
	absent.refused(t, emptySQLiteURL(t), "there is no file "+absent.file()+", which SESAME_BOOTSTRAP_FILE names")
}

// A file without entries, and a secret given as its hash, are valid.
func TestUnusualBootstrapFiles(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing yet\n", "users:\n", "users: []\nclients: []\n", "---\n"} {
		start(t, sqliteURL(t), declare(t, text).setting())
	}
	const sum = "b94a8f06ed9d81f6b6d4bd2d6ef4fdd9cde8bb6bb5d3b2b3bd2b7e4d1ff4b9b5"
	s := start(t, sqliteURL(t), declare(t, "clients: [{ client_id: "+billing+", name: x, secret_sha256: '"+sum+"' }]\n").setting())
	if got := s.value(t, `SELECT secret_hash FROM clients`); got != sum {
		t.Errorf("got %s", got)
	}
}
