// Package starter writes a small project that uses package login: what `sesame new` does.
//
// The files are templates in files/, and what they hold is described there. With a document of the user's own, the
// worked example is left out: main.go has a service without methods, and the compiler names them.
package starter

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"go/format"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"text/template"

	"sesame/server/internal/openapi"
)

//go:embed files
var files embed.FS

// Project says what to write.
type Project struct {
	Dir    string // which must not exist, or be empty
	Module string // default: the name of Dir
	Spec   string // a file with the user's OpenAPI document; "" for the worked example
	Sesame string // the folder with Sesame's source; "" to find it
	Output io.Writer
}

// view is what the templates see.
type view struct {
	Name, Module  string
	Sesame, Path  string // Sesame's module path, and the folder that it is in
	Go, Generator string // versions
	Spec          bool
}

var modulePath = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~/-]*$`)

// Write writes the project, and generates its code with the go command.
func (p Project) Write(ctx context.Context) error {
	v, document, err := p.view()
	if err != nil {
		return err
	}
	if err = checkEmpty(p.Dir); err != nil {
		return err
	}
	entries, err := files.ReadDir("files")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := strings.TrimSuffix(entry.Name(), ".tmpl")
		if v.Spec && example[name] || !v.Spec && name == "service.go" {
			continue
		}
		text, err := render(entry.Name(), v)
		if err != nil {
			return err
		}
		if name == "openapi.yaml" && document != nil {
			text = document
		}
		if err = p.writeFile(place(name), text); err != nil {
			return err
		}
	}
	return p.generate(ctx)
}

// example names the files of the worked example, which a document of one's own replaces.
var example = map[string]bool{"notes.go": true, "notes_test.go": true, "store.go": true, "00001_notes.sql": true}

// place is where a template goes.
func place(name string) string {
	switch {
	case name == "gitignore":
		return ".gitignore"
	case name == "api.config.yaml":
		return "api/config.yaml"
	case strings.HasSuffix(name, ".sql"):
		return "migrations/" + name
	}
	return name
}

func (p *Project) view() (v view, document []byte, err error) {
	dir, err := filepath.Abs(p.Dir)
	if err != nil {
		return v, nil, err
	}
	if p.Module == "" {
		p.Module = filepath.Base(dir)
	}
	if !modulePath.MatchString(p.Module) {
		return v, nil, fmt.Errorf("%q is no module path; give one with --module, such as example.com/team/notes", p.Module)
	}
	v = view{
		Name: p.Module[strings.LastIndex(p.Module, "/")+1:], Module: p.Module, Spec: p.Spec != "",
		Go: strings.TrimPrefix(runtime.Version(), "go"), Sesame: "sesame",
	}
	if v.Path, v.Sesame, err = findSource(p.Sesame); err != nil {
		return v, nil, err
	}
	if p.Module == v.Sesame {
		return v, nil, fmt.Errorf("the module cannot have Sesame's own path, %s; give another one with --module", v.Sesame)
	}
	if p.Spec != "" {
		text, err := os.ReadFile(p.Spec)
		if err != nil {
			return v, nil, err
		}
		var notes []string
		if document, notes, err = openapi.Adopt(openapi.Document{Name: p.Spec, Text: text}); err != nil {
			return v, nil, err
		}
		for _, note := range notes {
			fmt.Fprintln(p.Output, "openapi.yaml:", note)
		}
	}
	return v, document, nil
}

// findSource finds the folder with Sesame's source, and its module path: the one that is given, the one that this
// program was built from, or one above the working folder.
func findSource(given string) (dir, module string, err error) {
	candidates := []string{given}
	if given == "" {
		_, file, _, _ := runtime.Caller(0) // no path if it was built with -trimpath
		candidates = []string{filepath.Join(filepath.Dir(file), "../../..")}
		for dir, err := os.Getwd(); err == nil && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
			candidates = append(candidates, dir)
		}
	}
	want := "sesame"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Path != "" {
		want = info.Main.Path
	}
	for _, dir := range candidates {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err != nil || !filepath.IsAbs(dir) && given == "" {
			continue
		}
		line, _, _ := strings.Cut(string(text), "\n")
		if module := strings.TrimSpace(strings.TrimPrefix(line, "module ")); module == want || given != "" {
			dir, err = filepath.Abs(dir)
			return dir, module, err
		}
	}
	if given != "" {
		return "", "", fmt.Errorf("there is no go.mod in %s; --sesame names the folder with Sesame's source", given)
	}
	return "", "", errors.New("Sesame's source is not where this program was built; name its folder with --sesame PATH")
}

// checkEmpty returns an error if there is anything in a folder.
func checkEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty; name a new folder", dir)
	}
	return nil
}

// render fills a template in.
func render(name string, v view) ([]byte, error) {
	t, err := template.New(name).ParseFS(files, "files/"+name)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err = t.Execute(&text, v); err != nil || !strings.HasSuffix(name, ".go.tmpl") {
		return text.Bytes(), err
	}
	return format.Source(text.Bytes())
}

func (p Project) writeFile(name string, text []byte) error {
	file := filepath.Join(p.Dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // source code
		return err
	}
	return os.WriteFile(file, text, 0o644) //nolint:gosec // source code
}

// generate makes the code from the document, and go.sum.
func (p Project) generate(ctx context.Context) error {
	for _, args := range [][]string{{"mod", "tidy", "-e"}, {"generate", "."}, {"mod", "tidy"}} {
		command := exec.CommandContext(ctx, "go", args...)
		command.Dir = p.Dir
		command.Env = append(os.Environ(), "GOFLAGS=-mod=mod")
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("the files are written, but go %s failed in %s: %w\n%s", strings.Join(args, " "), p.Dir, err, out)
		}
	}
	return nil
}
