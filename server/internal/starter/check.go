package starter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"

	"sesame"
	"sesame/server/internal/contract"
	"sesame/server/internal/httpapi"
	"sesame/server/internal/openapi"
)

// view is the data of the templates.
type view struct {
	Name         string // of the program
	Module, Go   string // module path and Go version
	Sesame, Path string // Sesame's module path and folder
	Spec         bool

	document []byte // openapi.yaml, if Spec
}

var (
	modulePath = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]*(/[A-Za-z0-9][A-Za-z0-9._~-]*)*$`)
	major      = regexp.MustCompile(`^v[0-9]+$`)
)

// check finds everything that the templates need, and fails where the project could not work.
func (p Project) check(ctx context.Context) (v view, err error) {
	if _, err = exec.LookPath("go"); err != nil {
		return v, fmt.Errorf("a new project needs the go command, to generate its code: %w", err)
	}
	if v.Path, err = findSource(p.Sesame); err != nil {
		return v, err
	}
	if v.Sesame, v.Go, err = readModule(ctx, v.Path); err != nil {
		return v, err
	}
	if v.Module, err = p.module(); err != nil {
		return v, err
	}
	if v.Module == v.Sesame {
		return v, fmt.Errorf("%s is Sesame's own module path; give another one with --module", v.Module)
	}
	if v.Name = path.Base(v.Module); major.MatchString(v.Name) {
		v.Name = path.Base(path.Dir(v.Module))
	}
	if v.Name == "api" {
		return v, errors.New("the program would be called api, like the folder of the generated code; give another module path with --module")
	}
	if p.Spec != "" {
		v.Spec = true
		v.document, err = p.adopt()
	}
	return v, err
}

func (p Project) module() (string, error) {
	if p.Module != "" {
		if !modulePath.MatchString(p.Module) {
			return "", fmt.Errorf("--module %q is not a module path, such as example.com/team/notes", p.Module)
		}
		return p.Module, nil
	}
	dir, err := filepath.Abs(p.Dir)
	if err != nil {
		return "", err
	}
	name := filepath.Base(dir)
	if !modulePath.MatchString(name) {
		return "", fmt.Errorf("the folder's name %q is not a module path; give one with --module, such as example.com/team/notes", name)
	}
	return name, nil
}

// findSource finds the folder with Sesame's source: the given one, the one that this program was built from, or the
// working folder or one above it.
func findSource(given string) (string, error) {
	isSource := func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, "server/login/login.go"))
		return err == nil
	}
	if given != "" {
		if !isSource(given) {
			return "", fmt.Errorf("--sesame %s is not the folder with Sesame's source: it has no server/login", given)
		}
		return filepath.Abs(given)
	}
	_, file, _, _ := runtime.Caller(0)
	if built := filepath.Join(filepath.Dir(file), "../../.."); filepath.IsAbs(file) && isSource(built) { // not with -trimpath
		return built, nil
	}
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if isSource(dir) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	return "", errors.Join(errors.New("cannot find Sesame's source, which the project uses; name its folder with --sesame"), err)
}

// readModule reads the module path and the Go version in the go.mod of a folder.
func readModule(ctx context.Context, dir string) (module, version string, err error) {
	command := exec.CommandContext(ctx, "go", "mod", "edit", "-json", filepath.Join(dir, "go.mod")) //nolint:gosec // the folder that the user names
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return "", "", fmt.Errorf("read the go.mod of Sesame: %w\n%s", err, stderr.Bytes())
	}
	var file struct {
		Module struct{ Path string }
		Go     string
	}
	err = json.Unmarshal(out, &file)
	return file.Module.Path, file.Go, err
}

// adopt reads the user's document, prepares it, and checks that a server starts with it.
func (p Project) adopt() ([]byte, error) {
	text, err := os.ReadFile(p.Spec)
	if err != nil {
		return nil, err
	}
	open, done, err := openapi.OpenFolder(filepath.Dir(p.Spec))
	if err != nil {
		return nil, err
	}
	defer done()
	document, notes, err := openapi.Adopt(openapi.Document{Name: p.Spec, Text: text}, open)
	if err != nil {
		return nil, err
	}
	merged, err := openapi.Merge(openapi.Document{Name: p.Spec, Text: document}, openapi.Document{Name: "Sesame's openapi.yaml", Text: sesame.OpenAPI})
	if err != nil {
		return nil, err
	}
	if _, err = contract.CompileShared(merged, new(httpapi.Schemes).ByName(), httpapi.Serves); err != nil {
		return nil, fmt.Errorf("%s: %w", p.Spec, err)
	}
	for _, note := range notes {
		fmt.Fprintln(p.Output, "openapi.yaml:", note)
	}
	return document, nil
}
