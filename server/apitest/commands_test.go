package apitest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sesame/server/internal/cli"
	"sesame/server/internal/config"
	"sesame/server/internal/store"
)

type environment = map[string]string

// fails runs a command that must fail: with a code, a reason for people and nothing for scripts. A
// server that starts where it must not is stopped after a while, and has then not failed.
func fails(t *testing.T, stdin string, e environment, reason string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	code := run(ctx, args, e, cli.Env{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs, Now: time.Now})
	stdout, stderr := out.String(), errs.String()
	if code == 0 || stdout != "" || !strings.Contains(stderr, reason) || !strings.HasPrefix(stderr, "sesame: ") {
		t.Errorf("code %d, printed %q, said %q; want %q", code, stdout, stderr, reason)
	}
	for _, secret := range []string{e["SESAME_MASTER_KEY"], "db-secret", stdin} {
		if secret = strings.TrimSpace(secret); secret != "" && strings.Contains(stderr, secret) {
			t.Errorf("the message repeats a secret: %s", stderr)
		}
	}
}

// succeeds runs a command that must succeed, and gives what it printed.
func succeeds(t *testing.T, stdin string, e environment, args ...string) (stdout string) {
	t.Helper()
	stdout, stderr, code := command(t, stdin, e, args...)
	if code != 0 || stderr != "" {
		t.Fatalf("code %d, said %q", code, stderr)
	}
	return stdout
}

// keyFile writes a master key file with that mode.
func keyFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "master.key")
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return file
}

// A1: master keys that protect nothing.
func TestUnfitMasterKeysAreRefused(t *testing.T) {
	t.Parallel()
	sample := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcde"))
	const random = "openssl rand -base64 32"
	for name, c := range map[string]struct {
		settings environment
		reason   string
	}{
		"short":                      {environment{"SESAME_MASTER_KEY": testKey()[:22]}, "16 bytes"},
		"long":                       {environment{"SESAME_MASTER_KEY": base64.StdEncoding.EncodeToString(make([]byte, 33))}, random},
		"31 bytes":                   {environment{"SESAME_MASTER_KEY": sample}, random},
		"not base64":                 {environment{"SESAME_MASTER_KEY": "correct horse battery staple !!!"}, "not base64"},
		"only zeros":                 {environment{"SESAME_MASTER_KEY": base64.StdEncoding.EncodeToString(make([]byte, 32))}, "the master key is not random"},
		"a typed sample":             {environment{"SESAME_MASTER_KEY": base64.StdEncoding.EncodeToString([]byte("changemechangemechangemechangeme"))}, "the master key is not random"},
		"a file for everyone":        {environment{"SESAME_MASTER_KEY_FILE": keyFile(t, testKey(), 0o644)}, "chmod 600"},
		"a file that others write":   {environment{"SESAME_MASTER_KEY_FILE": keyFile(t, testKey(), 0o602)}, "chmod 600"},
		"an empty file":              {environment{"SESAME_MASTER_KEY_FILE": keyFile(t, "", 0o600)}, random},
		"a file with a short key":    {environment{"SESAME_MASTER_KEY_FILE": keyFile(t, "c2hvcnQ=", 0o600)}, random},
		"no file":                    {environment{"SESAME_MASTER_KEY_FILE": filepath.Join(t.TempDir(), "none")}, "there is no master key file"},
		"a directory":                {environment{"SESAME_MASTER_KEY_FILE": t.TempDir()}, "is a folder"},
		"a key and a file":           {environment{"SESAME_MASTER_KEY": testKey(), "SESAME_MASTER_KEY_FILE": keyFile(t, testKey(), 0o600)}, "both set"},
		"none with PostgreSQL":       {environment{"SESAME_DATABASE_URL": "postgres://u:db-secret@127.0.0.1:1/d"}, "SESAME_MASTER_KEY is required with PostgreSQL"},
		"PostgreSQL out of reach":    {environment{"SESAME_DATABASE_URL": "postgres://u:db-secret@127.0.0.1:1/d", "SESAME_MASTER_KEY": testKey()}, "127.0.0.1"},
		"a folder that is not there": {environment{"SESAME_DATABASE_URL": "sqlite:" + t.TempDir() + "/no/db", "SESAME_MASTER_KEY": testKey()}, "the folder of the database"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.settings["SESAME_DATABASE_URL"] == "" {
				c.settings["SESAME_DATABASE_URL"] = emptySQLiteURL(t)
			}
			c.settings["SESAME_LISTEN"] = "127.0.0.1:0"
			fails(t, "", c.settings, c.reason, "migrate")
			fails(t, "", c.settings, c.reason) // serve
			file, _ := store.SQLitePath(c.settings["SESAME_DATABASE_URL"])
			if _, err := os.Stat(file); err == nil {
				t.Error("a database was made")
			}
		})
	}
}

// A1: the key that a database was made with is the only one that opens it.
func TestTheMasterKeyBelongsToTheDatabase(t *testing.T) {
	t.Parallel()
	for name, databaseURL := range emptyEngines {
		t.Run(name, func(t *testing.T) {
			e := environment{"SESAME_DATABASE_URL": databaseURL(t), "SESAME_MASTER_KEY": testKey()}
			succeeds(t, "", e, "migrate")
			other := make([]byte, 32)
			for i := range other {
				other[i] = byte(i * 7)
			}
			e["SESAME_MASTER_KEY"] = base64.StdEncoding.EncodeToString(other)
			fails(t, "", e, "sealed with another master key", "migrate")
			e["SESAME_MASTER_KEY"] = " " + strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(testKey()) + "\n" // the same, in base64url
			succeeds(t, "", e, "migrate")
		})
	}
	t.Run("a file is made once", func(t *testing.T) {
		e := environment{"SESAME_DATABASE_URL": emptySQLiteURL(t)}
		succeeds(t, "", e, "migrate")
		file, _ := store.SQLitePath(e["SESAME_DATABASE_URL"])
		info, err := os.Stat(file + ".key")
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%v %v", info, err)
		}
		succeeds(t, "", e, "migrate")
		if err = os.Remove(file + ".key"); err != nil {
			t.Fatal(err)
		}
		fails(t, "", e, "its master key", "migrate")
		if _, err = os.Stat(file + ".key"); err == nil {
			t.Error("another key was made, which does not fit")
		}
	})
}

// All faulty settings are reported at once.
func TestEveryFaultySettingIsReported(t *testing.T) {
	t.Parallel()
	faulty := environment{
		"SESAME_LISTEN": "nowhere", "SESAME_PUBLIC_URL": "ftp://x", "SESAME_DATABASE_URL": "mysql://root:db-secret@x/y",
		"SESAME_ACCESS_TOKEN_TTL": "ten minutes", "SESAME_REFRESH_IDLE_TTL": "-1s", "SESAME_REFRESH_TTL": "-1h",
		"SESAME_REFRESH_GRACE": "6m", "SESAME_REGISTRATION": "maybe", "SESAME_REGISTRATION_LIMIT": "many", "SESAME_PASSWORD_MIN_LENGTH": "seven",
		"SESAME_SIGNING_ALG": "HS256", "SESAME_KEY_ROTATION": "monthly",
		"SESAME_PASSWORD_HASH": "md5", "SESAME_ADMIN": "yes", "SESAME_DOCS": "yes", "SESAME_CHECK_RESPONSES": "yes", "SESAME_LOG_FORMAT": "xml", "SESAME_LOG_LEVEL": "loud",
		"SESAME_SMTP_URL": "smtp://u:db-secret@mail.example/x", "SESAME_MAIL_FROM": "nobody",
		"SESAME_VERIFY_URL": "app.example/confirm", "SESAME_RESET_URL": "https://app.example/reset?code=1", "SESAME_NEW_LOGIN_MAILS": "no",
		"SESAME_AUDIENCES": "orders", "SESAME_SIGN_IN_UNCONFIRMED": "no",
	}
	for _, args := range [][]string{{"serve"}, {"migrate"}, {"config"}, {"user", "create", "ann"}} {
		for name := range faulty {
			fails(t, "", faulty, name+" ", args...)
		}
	}
	for name, value := range map[string]string{
		"SESAME_PUBLIC_URL": "https://login.example/", "SESAME_PASSWORD_MIN_LENGTH": "7", "SESAME_ACCESS_TOKEN_TTL": "59s", "SESAME_LISTEN": "8080",
		"SESAME_SIGNING_ALG": "es256", "SESAME_KEY_ROTATION": "59m",
		"SESAME_REFRESH_IDLE_TTL": "9m", "SESAME_REFRESH_TTL": "9m", // less than an access token's life
		"SESAME_REGISTRATION_LIMIT": "-1",
	} {
		fails(t, "", environment{name: value}, name, "config")
	}
	for _, address := range []string{"https://u:p@login.example", "https://login.example?x=1", "https://login.example#x", "login.example", "https://", "//login.example"} {
		fails(t, "", environment{"SESAME_PUBLIC_URL": address}, "SESAME_PUBLIC_URL must", "config")
	}
}

// The names of all settings, as variables.
func settingNames() (names []string) {
	for field := range reflect.TypeFor[config.Settings]().Fields() {
		if field.Tag.Get("kong") == "-" { // which has no flag
			continue
		}
		if flag := field.Tag.Get("name"); flag != "" {
			names = append(names, config.Variable(flag))
			continue
		}
		var name strings.Builder
		for i, r := range field.Name { // PublicURL is PUBLIC_URL
			if i > 0 && r <= 'Z' && field.Name[i-1] >= 'a' {
				name.WriteByte('_')
			}
			name.WriteRune(r)
		}
		names = append(names, config.Prefix+strings.ToUpper(name.String()))
	}
	return names
}

func TestConfigShowsEverySettingAndNoSecret(t *testing.T) {
	t.Parallel()
	for _, database := range []string{
		"postgres://u:db-secret@h/d", "postgres://u@h/d?password=db-secret", "postgres://h/d?sslmode=require&sslpassword=db-secret&user=u",
		"postgres://h/d?password=db-secret;x", "postgres://u:#db-secret@h/d",
	} {
		e := environment{"SESAME_DATABASE_URL": database, "SESAME_MASTER_KEY": testKey(), "SESAME_PUBLIC_URL": "https://login.example", "SESAME_SMTP_URL": "smtp://u:db-secret@mail.example"}
		text, asJSON := succeeds(t, "", e, "config"), succeeds(t, "", e, "config", "--json")
		var object map[string]string
		if err := json.Unmarshal([]byte(asJSON), &object); err != nil {
			t.Fatal(err)
		}
		for _, name := range settingNames() {
			value, ok := object[name]
			if !ok || !strings.Contains(text, name+"="+value+"\n") {
				t.Errorf("%s is not shown, or not the same", name)
			}
		}
		if len(object) != len(settingNames()) || object["SESAME_PUBLIC_URL"] != "https://login.example" || object["SESAME_ACCESS_TOKEN_TTL"] != "10m0s" ||
			object["SESAME_MAIL_FROM"] != "Sesame <no-reply@login.example>" {
			t.Errorf("got %v", object)
		}
		for _, secret := range []string{testKey(), testKey()[:20], "db-secret"} {
			if strings.Contains(text+asJSON, secret) {
				t.Errorf("config shows a secret of %s:\n%s", database, text)
			}
		}
	}
}

// A2: the message about a database URL that cannot be parsed does not quote it, since any part of it may be the
// password.
func TestAnUnreadableDatabaseURLIsNotQuoted(t *testing.T) {
	t.Parallel()
	for _, database := range []string{
		"postgres://u:db-secret%@h/d", "postgres://u:db-secret/x@h/d",
		"postgres://u:db-secret@h:99999/d", "postgres://u:db-secret@h/d?sslmode=db-secret", "postgres://u@h/d?sslmode=verify-full&sslrootcert=/none&password=db-secret",
		`"postgres://u:db-secret@h/d"`,
	} {
		for _, args := range [][]string{{"config"}, {"serve"}} {
			fails(t, "", environment{"SESAME_DATABASE_URL": database, "SESAME_MASTER_KEY": testKey()}, "SESAME_DATABASE_URL ", args...)
		}
	}
}

func TestUserCreate(t *testing.T) {
	t.Parallel()
	e := environment{"SESAME_DATABASE_URL": emptySQLiteURL(t), "SESAME_MASTER_KEY": testKey()}
	succeeds(t, "", e, "migrate")
	table := succeeds(t, horse+"\n", e, "user", "create", "Ann", "--email", "ann@example.com")
	if !strings.Contains(table, "Ann") || !strings.Contains(table, "ann@example.com") || !strings.Contains(table, ownScopes()) {
		t.Errorf("printed %s", table)
	}
	var user struct {
		ID, Username  string
		EmailVerified bool `json:"email_verified"`
		FullName      string
		Scopes        []string
	}
	printed := succeeds(t, horse+"\r\nsecond line\n", e, "user", "create", "bob", "--json", "--email", "bob@example.com", "--email-verified",
		"--scope", "users:read", "--scope", "users:write", "--full-name", "Bob")
	if err := json.Unmarshal([]byte(printed), &user); err != nil || len(user.ID) != 36 || user.Username != "bob" || !user.EmailVerified || !slices.Equal(user.Scopes, append(strings.Fields(ownScopes()), "users:read", "users:write")) {
		t.Errorf("%v: printed %s", err, printed)
	}
	if strings.Contains(table+printed, horse) || strings.Contains(table+printed, "argon2") {
		t.Error("the password is printed")
	}
	for name, c := range map[string]struct {
		stdin, reason string
		args          []string
	}{
		"no password":                {"", "no password on standard input", []string{"eve"}},
		"an empty line":              {"\n" + horse, "no password on standard input", []string{"eve"}},
		"a short password":           {"1234567\n", "the password", []string{"eve"}},
		"a password of 257":          {strings.Repeat("a", 257) + "\n", "the password", []string{"eve"}},
		"a password of 257 emoji":    {strings.Repeat("🐎", 257) + "\n", "the password", []string{"eve"}},
		"a password with NUL":        {"aaaaaaaa\x00\n", "the password", []string{"eve"}},
		"a password that is no text": {"aaaaaaaa\xff\n", "not valid UTF-8", []string{"eve"}},
		"an @":                       {horse, `<username> "eve@home"`, []string{"eve@home"}},
		"a space":                    {horse, `<username> "eve home"`, []string{"eve home"}},
		"mixed scripts":              {horse, `<username> "еve"`, []string{"еve"}},
		"an empty name":              {horse, `<username> ""`, []string{""}},
		"a long name":                {horse, `<username> "eee`, []string{strings.Repeat("e", 65)}},
		"the same name":              {horse, "is taken", []string{"Ann"}},
		"the same name in capitals":  {horse, "is taken", []string{"ANN"}},
		"a verified address again":   {horse, `--email "BOB@example.com" is verified`, []string{"eve", "--email", "BOB@example.com", "--email-verified"}},
		"no address":                 {horse, `--email "eve" must`, []string{"eve", "--email", "eve"}},
		"a control character":        {horse, "--full-name \"a\\nb\" ", []string{"eve", "--full-name", "a\nb"}},
		"an unknown scope":           {horse, "unknown scope \"users:destroy\" in --scope; the contract declares ", []string{"eve", "--scope", "users:destroy"}},
	} {
		t.Run(name, func(t *testing.T) { fails(t, c.stdin, e, c.reason, append([]string{"user", "create"}, c.args...)...) })
	}
	var users string
	if err := rawSQL(t.Context(), e["SESAME_DATABASE_URL"], `SELECT COUNT(*) || ' ' || SUM(email_verified) FROM users`, &users); err != nil || users != "2 1" {
		t.Errorf("%v: there are %s users", err, users)
	}
}

// A7: the schema is brought up to date once, and never down.
func TestMigrateTwiceAndNever(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		e := environment{"SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY": testKey()}
		for range 2 {
			if said := succeeds(t, "", e, "migrate"); said != "The database is up to date.\n" {
				t.Error(said)
			}
		}
		s.sql(t, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, TRUE)`)
		for _, args := range [][]string{{"migrate"}, {"serve"}, {"user", "create", "ann"}} {
			e["SESAME_LISTEN"] = "127.0.0.1:0"
			fails(t, horse, e, "newer version", args...)
		}
		s.sql(t, `DELETE FROM goose_db_version WHERE version_id IN (5, 99999)`) // as if it had come after the others
		fails(t, "", e, "give it the next free number", "serve")
	})
}

func TestClientCommands(t *testing.T) {
	t.Parallel()
	for name, databaseURL := range emptyEngines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := environment{"SESAME_DATABASE_URL": databaseURL(t), "SESAME_MASTER_KEY": testKey()}
			succeeds(t, "", e, "migrate")
			if list := succeeds(t, "", e, "client", "list", "--json"); list != "{\"items\":[]}\n" {
				t.Errorf("listed %s", list)
			}
			table := succeeds(t, "", e, "client", "create", "billing", "--scope", "users:read", "--scope", "users:write", "--no-password-grant")
			secret := regexp.MustCompile(`client_secret +([\w-]{43})\n`).FindStringSubmatch(table)
			if secret == nil || !strings.Contains(table, "users:read users:write") || !regexp.MustCompile(`password_grant +no\n`).MatchString(table) {
				t.Fatalf("printed %s", table)
			}
			var made struct {
				serviceClient
				Name          string
				Scopes        []string
				PasswordGrant bool `json:"password_grant"`
			}
			printed := succeeds(t, "", e, "client", "create", "app", "--password-grant", "--json")
			if err := json.Unmarshal([]byte(printed), &made); err != nil || len(made.ID) != 36 || len(made.Secret) != 43 || !made.PasswordGrant || made.Scopes == nil {
				t.Errorf("%v: printed %s", err, printed)
			}
			var row string
			if err := rawSQL(t.Context(), e["SESAME_DATABASE_URL"], `SELECT name || ' ' || secret_hash FROM clients WHERE id = '`+made.ID+`'`, &row); err != nil {
				t.Fatal(err)
			}
			if sum := sha256.Sum256([]byte(made.Secret)); row != "app "+hex.EncodeToString(sum[:]) {
				t.Errorf("kept is %s", row)
			}
			for _, list := range []string{succeeds(t, "", e, "client", "list"), succeeds(t, "", e, "client", "list", "--json")} {
				if strings.Contains(list, made.Secret) || strings.Contains(list, secret[1]) || strings.Contains(list, row[4:]) {
					t.Errorf("the list tells a secret: %s", list)
				}
				if !strings.Contains(list, made.ID) || strings.Index(list, "app") > strings.Index(list, "billing") {
					t.Errorf("listed %s", list)
				}
			}
			for reason, args := range map[string][]string{
				"is taken": {"create", "app"}, "unknown scope \"users:destroy\" in --scope; the contract declares clients:read, clients:write, email, events:read, me:delete, me:read, me:write, openid, profile, settings:read, settings:write, users:read, users:write": {"create", "x", "--scope", "users:destroy"},
				"scope \"me:read\" in --scope is over one's own account, and a client has no account; a client may have clients:read, clients:write, email, events:read, me:delete, openid, profile, settings:read, settings:write, users:read, users:write": {"create", "x", "--scope", "me:read"}, "1 to 64 printable": {"create", ""},
				"<name> \"xxx": {"create", strings.Repeat("x", 65)}, "<name> \"a\\nb\" must": {"create", "a\nb"}, "unknown client": {"delete", newID()},
				"needs <id>": {"delete"}, "the name of a client whose client_id is " + made.ID: {"delete", "app"},
			} {
				fails(t, "", e, reason, append([]string{"client"}, args...)...)
			}
			fails(t, "", e, "own account", "client", "create", "x", "--scope", "users:read", "--scope", "me:write")
			succeeds(t, "", e, "client", "delete", made.ID)
			fails(t, "", e, "unknown client", "client", "delete", made.ID)
			if list := succeeds(t, "", e, "client", "list", "--json"); strings.Contains(list, made.ID) || !strings.Contains(list, "billing") {
				t.Errorf("listed %s", list)
			}
		})
	}
}
