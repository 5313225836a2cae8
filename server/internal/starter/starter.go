// Package starter writes a small project that uses package login: the command `sesame new`.
//
// The files are templates in files/. The default is a worked example, a service for notes. With an OpenAPI document of
// the user's own, service.go takes the place of the example: a type without methods, and the compiler names those to
// write. The go command makes the code in api/ and go.sum. Read Project.Write first; check.go finds out what to write.
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
	"slices"
	"strings"
	"text/template"
)

//go:embed files
var files embed.FS

// The files that only one kind of project has.
var (
	ofExample  = []string{"00001_notes.sql", "notes.go", "notes_test.go", "store.go"}
	ofDocument = []string{"service.go", "service_test.go"}
)

// Project says what to write.
type Project struct {
	Dir    string    // the folder, which must not exist or be empty
	Module string    // the module path; the default is the name of Dir
	Spec   string    // a file with an OpenAPI document of the user's own; "" for the worked example
	Sesame string    // the folder with Sesame's source; "" to find it
	Output io.Writer // receives what was changed in the document
}

// Write writes the project and generates its code. It checks what it can before it writes; if it fails later, it
// removes everything that it wrote.
func (p Project) Write(ctx context.Context) (err error) {
	v, err := p.check(ctx)
	if err != nil {
		return err
	}
	existed, err := checkEmpty(p.Dir)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, remove(p.Dir, existed))
		}
	}()
	if err = p.writeFiles(v); err != nil {
		return err
	}
	return p.generate(ctx)
}

// checkEmpty reports whether a folder exists, and returns an error if anything is in it.
func checkEmpty(dir string) (exists bool, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if len(entries) > 0 {
		return true, fmt.Errorf("the folder %s is not empty; name a new one", dir)
	}
	return true, err
}

// remove leaves a folder as it was: empty or absent.
func remove(dir string, existed bool) error {
	if !existed {
		return os.RemoveAll(dir)
	}
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, entry.Name())))
	}
	return err
}

func (p Project) writeFiles(v view) error {
	entries, err := files.ReadDir("files")
	if err != nil {
		return err
	}
	other := ofDocument
	if v.Spec {
		other = ofExample
	}
	for _, entry := range entries {
		name := strings.TrimSuffix(entry.Name(), ".tmpl")
		if slices.Contains(other, name) {
			continue
		}
		text := v.document
		if name != "openapi.yaml" || !v.Spec {
			if text, err = render(entry.Name(), v); err != nil {
				return err
			}
		}
		if err = p.writeFile(place(name), text); err != nil {
			return err
		}
	}
	return nil
}

// place is the path of a template's file in the project.
func place(name string) string {
	switch name {
	case "gitignore": // the name .gitignore would have a meaning in this repository
		return ".gitignore"
	case "api.config.yaml":
		return "api/config.yaml"
	}
	return name
}

// render fills in a template, and formats it if it is Go.
func render(name string, v view) ([]byte, error) {
	t, err := template.ParseFS(files, "files/"+name)
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

// generate makes the code of the document, compiles it, and writes go.sum. The first tidy cannot find the package api,
// which does not exist yet.
func (p Project) generate(ctx context.Context) error {
	for _, args := range [][]string{{"mod", "tidy", "-e"}, {"generate", "."}, {"mod", "tidy"}, {"build", "./api"}} {
		command := exec.CommandContext(ctx, "go", args...) //nolint:gosec // the arguments are fixed
		command.Dir = p.Dir
		command.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
		if out, err := command.CombinedOutput(); err != nil {
			if reason := generatorFault(out); reason != "" && p.Spec != "" {
				return fmt.Errorf("the code generator oapi-codegen cannot handle this part of %s, so nothing was written: %s; change that part, or leave it out, and try again", p.Spec, reason)
			}
			return fmt.Errorf("go %s failed, so nothing was written: %w\n%s", strings.Join(args, " "), err, bytes.TrimSpace(out))
		}
	}
	return nil
}

// generatorFault returns the line in which the code generator, or the compiler of its code, names the fault, or "".
func generatorFault(out []byte) string {
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if reason, ok := strings.CutPrefix(line, "error generating code: "); ok {
			return reason
		}
		if strings.HasPrefix(line, "api/") && strings.Contains(line, ".go:") {
			return "the code that it generates does not compile (" + line + ")"
		}
	}
	return ""
}
