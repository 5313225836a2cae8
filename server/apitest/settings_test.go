package apitest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// N15: a variable with the prefix of the settings that is none stops every command, and the setting that was meant
// is named. What the tests of this repository and Kubernetes set is left alone.
func TestUnknownVariablesAreRefused(t *testing.T) {
	t.Parallel()
	commands := everyCommand(t)
	for _, explains := range []string{"help", "completion"} { // a person who has just made the mistake needs them
		succeeds(t, "", environment{"SESAME_REGISTRATON": "closed"}, commands[explains]...)
		delete(commands, explains)
	}
	for name, reason := range map[string]string{
		"SESAME_REGISTRATON":        "SESAME_REGISTRATON is not a setting; did you mean SESAME_REGISTRATION?",
		"SESAME_REGISTRATION_":      "did you mean SESAME_REGISTRATION?",
		"SESAME_SMTP_UR":            "did you mean SESAME_SMTP_URL?",
		"SESAME_TRUSTED_PROXY":      "did you mean SESAME_TRUSTED_PROXIES?",
		"SESAME_PUBLICURL":          "did you mean SESAME_PUBLIC_URL?",
		"SESAME_DATABASE":           "did you mean SESAME_DATABASE_URL?",
		"SESAME_WHATEVER_ELSE":      "SESAME_WHATEVER_ELSE is not a setting; list them with: sesame help settings",
		"SESAME_PORT":               "SESAME_PORT is not a setting",
		"SESAME_":                   "SESAME_ is not a setting",
		"SESAME_DEMO":               "SESAME_DEMO is not a setting",
		"SESAME_X_SERVICE_PORT":     "SESAME_X_SERVICE_PORT is not a setting",
		"SESAME_TESTS_ALL":          "SESAME_TESTS_ALL is not a setting",
		"SESAME_REGISTRATION\u00a0": "is not a setting",
	} {
		folder := t.TempDir()
		for command, args := range commands {
			for _, value := range []string{"closed", ""} {
				e := environment{name: value, "SESAME_DATABASE_URL": "sqlite:" + folder + "/sesame.db", "SESAME_LISTEN": "127.0.0.1:0"}
				fails(t, horse, e, reason, args...)
				if left := files(t, folder); len(left) > 0 {
					t.Fatalf("%s leaves %v", command, left)
				}
			}
		}
	}
	both := environment{"SESAME_REGISTRATON": "closed", "SESAME_LOG_LEVEL": "loud", "SESAME_DOCUMENTS": "off"}
	for _, reason := range []string{"SESAME_REGISTRATON", "SESAME_LOG_LEVEL", "SESAME_DOCUMENTS"} {
		fails(t, "", both, reason, "config") // all at once
	}
	e := environment{
		"SESAME_TEST_POSTGRES": "x", "SESAME_TEST_ANYTHING": "x", "SESAMEX": "x", "OTHER_SESAME_X": "x", "SESAME_REGISTRATION": "closed",
		"SESAME_SERVICE_HOST": "10.0.0.1", "SESAME_SERVICE_PORT": "80", "SESAME_SERVICE_PORT_HTTP": "80", "SESAME_PORT": "tcp://10.0.0.1:80",
		"SESAME_PORT_80_TCP": "tcp://10.0.0.1:80", "SESAME_PORT_80_TCP_PROTO": "tcp", "SESAME_PORT_80_TCP_PORT": "80", "SESAME_PORT_80_TCP_ADDR": "10.0.0.1",
		"SESAME_DB_SERVICE_HOST": "10.0.0.2", "SESAME_DB_SERVICE_PORT": "5432", "SESAME_DB_PORT_5432_TCP": "tcp://10.0.0.2:5432",
	}
	if printed := succeeds(t, "", e, "config"); !strings.Contains(printed, "SESAME_REGISTRATION=closed\n") {
		t.Errorf("printed %s", printed)
	}
}

// N15: a value that cannot work is refused by name before anything is written.
func TestValuesThatCannotWorkAreRefused(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	folder := t.TempDir()
	refused := func(name, value, reason string) {
		t.Helper()
		e := environment{"SESAME_DATABASE_URL": "sqlite:" + folder + "/sesame.db", "SESAME_LISTEN": "127.0.0.1:0"}
		e[name] = value
		for _, args := range [][]string{{"serve"}, {"migrate"}, {"config"}} {
			fails(t, "", e, name+" ", args...)
			fails(t, "", e, reason, args...)
		}
		if left := files(t, folder); len(left) > 0 {
			t.Fatalf("%s=%s leaves %v", name, value, left)
		}
	}
	for _, name := range settingNames() {
		for _, value := range []string{`"x"`, `'x'`, `x"y`, `"`, `'x`} {
			refused(name, value, name)
		}
		if !strings.HasSuffix(name, "MASTER_KEY") && name != "SESAME_MAIL_FROM" {
			refused(name, " x", name)
			refused(name, "x\n", name)
		}
	}
	for value, reason := range map[string]string{
		"127.0.0.1:99999": "from 0 to 65535", "127.0.0.1:65536": "port", "127.0.0.1:-1": "port", "127.0.0.1:": "port", "127.0.0.1:http": "port", ":+80": "port",
	} {
		refused("SESAME_LISTEN", value, reason)
	}
	for _, name := range []string{"SESAME_PUBLIC_URL", "SESAME_VERIFY_URL", "SESAME_RESET_URL", "SESAME_CORS_ORIGINS"} {
		for _, value := range []string{"https://login.example:99999", "https://login.example:0", "https://login.example:"} {
			refused(name, value, name)
		}
	}
	for value, reason := range map[string]string{
		"https://login.example?": "no user, query", "https://login.example#": "fragment", "https://login.example/a b": "space", "HTTPS://login.example": "lower case",
	} {
		refused("SESAME_PUBLIC_URL", value, reason)
	}
	refused("SESAME_CORS_ORIGINS", "https://münchen.example", "xn--")
	refused("SESAME_CORS_ORIGINS", "https://app.example:08443", "zeros")
	refused("SESAME_DATABASE_URL", "postgres://u:x@127.0.0.1:99999/d", "not a valid address")
	for value, reason := range map[string]string{
		"sqlite::memory:": "in memory", "sqlite://:memory:": "sqlite::memory:", "sqlite:": "names no file", "sqlite://": "names no file", "sqlite:////": "names no file",
		"sqlite:///./app.db": "write sqlite:./app.db for the current folder or sqlite:/./app.db", "sqlite:///app.db": "sqlite:app.db", "sqlite://app.db": "sqlite:app.db",
		"sqlite://///tmp/x.db": "sqlite:/tmp/x.db", "sqlite:file:x.db": "without file:", "sqlite:x.db?mode=memory": "parameters", "sqlite:x.db#x": "fragment",
		"sqlite:" + folder + "/": "folder",
	} {
		refused("SESAME_DATABASE_URL", value, reason)
	}
	fails(t, "", environment{"SESAME_DATABASE_URL": "sqlite:" + folder}, "not a file", "migrate")
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(filepath.Join(folder, "none.db"), link); err != nil {
		t.Fatal(err)
	}
	fails(t, "", environment{"SESAME_DATABASE_URL": "sqlite:" + link}, "is a link to", "migrate")
	if left := files(t, filepath.Dir(link)); len(left) != 1 {
		t.Errorf("left are %v", left)
	}
	for _, value := range []string{
		"0.0.0.0/0", "::/0", "0.0.0.0/1,128.0.0.0/1", "128.0.0.0/1, 10.0.0.0/8, 64.0.0.0/2, 0.0.0.0/2", "::/1,8000::/1", "2000::/3",
		"2000::/4,3000::/4", "1.0.0.0/8,2.0.0.0/7,4.0.0.0/6,8.0.0.0/5,16.0.0.0/4,32.0.0.0/3,64.0.0.0/2,128.0.0.0/2,192.0.0.0/3", "::ffff:0.0.0.0/96",
	} {
		refused("SESAME_TRUSTED_PROXIES", value, "SESAME_TRUSTED_PROXIES")
	}
	refused("SESAME_TRUSTED_PROXIES", "0.0.0.0/1,128.0.0.0/1", "any of them could spoof its IP address")
	succeeds(t, "", environment{"SESAME_TRUSTED_PROXIES": "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,127.0.0.0/8,fc00::/7,0.0.0.0/1"}, "config")
}

// N15: the two ways to write the absolute path of an SQLite file name the same file.
func TestFourSlashesAreAnAbsolutePath(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(folder, "x y%20.db")
	e := environment{"SESAME_DATABASE_URL": "sqlite:///" + file}
	succeeds(t, "", e, "migrate")
	if made := strings.Join(files(t, folder), " "); made != "x y%20.db x y%20.db.key" {
		t.Errorf("made are %s", made)
	}
	succeeds(t, horse, e, "user", "create", "ann")
	if names, _ := listed(t, environment{"SESAME_DATABASE_URL": "sqlite:" + file}); names != "ann" {
		t.Errorf("the other spelling lists %q", names)
	}
}
