package apitest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sesame/server/internal/store"
)

// N14: the server refuses a database, a file that SQLite keeps beside it, or a key that every user of the machine
// could read or write. Files for the owner or the group are accepted.
func TestFilesForEverybodyAreRefused(t *testing.T) {
	t.Parallel()
	made := environment{"SESAME_DATABASE_URL": emptySQLiteURL(t), "SESAME_LISTEN": "127.0.0.1:0"}
	succeeds(t, "", made, "migrate")
	file, _ := store.SQLitePath(made["SESAME_DATABASE_URL"])
	chmod := func(file string, mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	commands := [][]string{{"serve"}, {"migrate"}, {"user", "list"}, {"keys", "list"}}
	for _, of := range []string{file, file + "-wal", file + "-shm", file + "-journal", file + ".key"} {
		opened, err := os.OpenFile(of, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		opened.Close()
		for _, mode := range []os.FileMode{0o644, 0o604, 0o602, 0o601, 0o666, 0o444} {
			chmod(of, mode)
			for _, args := range commands {
				fails(t, "", made, fmt.Sprintf("chmod 600 %s", of), args...)
			}
		}
		chmod(of, 0o600)
		if of != file && of != file+".key" {
			if err := os.Remove(of); err != nil {
				t.Fatal(err)
			}
		}
	}
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+"-wal", nil, 0o604); err != nil {
		t.Fatal(err)
	}
	chmod(file+"-wal", 0o604)
	fails(t, "", environment{"SESAME_DATABASE_URL": "sqlite:" + link, "SESAME_MASTER_KEY_FILE": file + ".key"}, "-wal", "migrate")
	chmod(file+"-wal", 0o600)

	for _, mode := range []os.FileMode{0o600, 0o640, 0o660} {
		chmod(file, mode)
		succeeds(t, "", made, "user", "list")
	}
	for _, mode := range []os.FileMode{0o600, 0o400, 0o440, 0o640} { // 0440: Kubernetes with fsGroup, Docker secrets
		chmod(file+".key", mode)
		succeeds(t, "", made, "migrate")
	}
}

// N14: files that the program creates are for their owner alone, whatever the umask.
func TestFilesAreMadeForTheirOwner(t *testing.T) {
	t.Parallel()
	for _, umask := range []string{"000", "022", "277", "777"} {
		t.Run(umask, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			c := process(t, "sqlite:"+filepath.Join(folder, "sesame.db"), "migrate")
			c.Args = []string{"sh", "-c", `umask ` + umask + ` && exec "$0" migrate`, c.Path}
			var err error
			if c.Path, err = exec.LookPath("sh"); err != nil {
				t.Fatal(err)
			}
			for i, variable := range c.Env {
				if strings.HasPrefix(variable, "SESAME_MASTER_KEY=") {
					c.Env[i] = "SESAME_MASTER_KEY=" // so that one is made
				}
			}
			if out, err := c.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, name := range files(t, folder) {
				info, err := os.Stat(filepath.Join(folder, name))
				if err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("%v: %s has mode %v", err, name, info.Mode())
				}
			}
			if made := strings.Join(files(t, folder), " "); made != "sesame.db sesame.db.key" {
				t.Errorf("made are %s", made)
			}
		})
	}
	s := start(t, sqliteURL(t))
	s.register(t, "ann")
	file, _ := store.SQLitePath(s.dbURL)
	for _, name := range []string{file, file + "-wal", file + "-shm"} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v: %s is %v", err, name, info)
		}
	}
}
