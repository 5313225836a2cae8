package apitest

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestACloneCanBeRenamed renames a copy of this tree as a team would, and looks whether every import still leads
// somewhere; `make rename` itself compiles the tree as well.
func TestACloneCanBeRenamed(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	clone := t.TempDir()
	if err := os.CopyFS(clone, sources{os.DirFS("../..")}); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{".make/rename", "example.com/acme/login"}, {"go", "list", "-test", "-deps", "./..."}} {
		c := exec.CommandContext(t.Context(), command[0], command[1:]...)
		c.Dir = clone
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", command, err, out)
		}
	}
	assertNoImport(t, clone, "sesame")
}

// sources is a file system without what a build or a test leaves behind.
type sources struct{ fs.FS }

// ReadDir implements fs.ReadDirFS.
func (s sources) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(s.FS, name)
	kept := entries[:0]
	for _, e := range entries {
		switch name := e.Name(); {
		case name == ".git", name == "node_modules", name == "venv", name == "generated", name == "screenshots", strings.Contains(name, ".db"):
		case e.Type().IsRegular() || e.IsDir():
			kept = append(kept, e)
		}
	}
	return kept, err
}

// assertNoImport checks that no Go file names a package of the module path.
func assertNoImport(t *testing.T, dir, path string) {
	t.Helper()
	packages := regexp.MustCompile(`(?m)^\s*(import )?(\w+ )?"` + regexp.QuoteMeta(path) + `(/[^"]*)?"$`)
	err := filepath.WalkDir(dir, func(file string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(file) != ".go" {
			return err
		}
		text, err := os.ReadFile(file)
		if found := packages.FindString(string(text)); found != "" {
			t.Errorf("%s still has %s", file, strings.TrimSpace(found))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
