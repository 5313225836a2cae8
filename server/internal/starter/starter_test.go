package starter

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// document is an OpenAPI document that was written without Sesame.
const document = `openapi: 3.0.3
info: { title: Things, version: '1' }
servers: [{ url: 'https://api.example.com/v1' }]
security: [{ Bearer: [] }]
paths:
  /things:
    get:
      operationId: listThings
      responses: { '200': { description: The things., content: { application/json: { schema: { type: array, items: { type: string } } } } }, 4XX: { description: An error., content: { application/problem+json: { schema: { type: object } } } } }
    post:
      operationId: createThing
      security: [{ Login: ['things:write'] }]
      requestBody: { required: true, content: { application/json: { schema: { type: string, minLength: 1 } } } }
      responses: { '204': { description: Done. }, default: { description: An error., content: { application/problem+json: { schema: { type: object } } } } }
  /health:
    get: { operationId: health, security: [], responses: { '204': { description: Healthy. } } }
components:
  securitySchemes:
    Bearer: { type: http, scheme: bearer }
    Login: { type: oauth2, flows: { clientCredentials: { tokenUrl: 'https://login.example.com/token', scopes: { 'things:write': Create things } } } }
`

// methods implements the operations of document.
const methods = `
// ListThings is GET /v1/things.
func (s *service) ListThings(ctx context.Context, _ api.ListThingsRequestObject) (api.ListThingsResponseObject, error) {
	person, ok := login.Person(ctx)
	if !ok {
		return nil, login.Forbidden("Things belong to people.")
	}
	return api.ListThings200JSONResponse{person.Username}, nil
}

// CreateThing is POST /v1/things.
func (*service) CreateThing(context.Context, api.CreateThingRequestObject) (api.CreateThingResponseObject, error) {
	return api.CreateThing204Response{}, nil
}

// Health is GET /v1/health.
func (*service) Health(context.Context, api.HealthRequestObject) (api.HealthResponseObject, error) {
	return api.Health204Response{}, nil
}
`

// enforced is a test of the service with these methods.
const enforced = `package main

import (
	"testing"

	"sesame/server/login/logintest"
)

func TestEnforced(t *testing.T) {
	s := logintest.Start(t, mount, "SESAME_DATABASE_URL=sqlite:"+t.TempDir()+"/test.db")
	ann := s.Token(t, "ann")
	s.Do(t, "GET", "/v1/health", "", "").Want(t, 204)
	s.Do(t, "GET", "/v1/things", "", "").Want(t, 401)
	if r := s.Do(t, "GET", "/v1/things", ann, "").Want(t, 200); string(r.Body) != "[\"ann\"]\n" {
		t.Errorf("got %s", r.Body)
	}
	s.Do(t, "POST", "/v1/things", ann, "\"x\"").Want(t, 403)
	if out, err := s.Sesame(t, "user", "grant", "--contract", "openapi.yaml", "ann", "things:write"); err != nil {
		t.Fatal(out)
	}
	writer := s.Token(t, "ann", "things:write")
	s.Do(t, "POST", "/v1/things", writer, "\"x\"").Want(t, 204)
	s.Do(t, "POST", "/v1/things", writer, "\"\"").Want(t, 422)
}
`

func write(t *testing.T, file, text string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// run runs a command in a project.
func run(t *testing.T, dir string, name string, args ...string) (output string, err error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "SESAME_TEST_POSTGRES=")
	out, err := command.CombinedOutput()
	return string(out), err
}

// TestTheExample also runs in server/e2e/starter.test.mjs, which runs the tests of the project, too.
func TestTheExample(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it compiles a project")
	}
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "notes")
	if err := (Project{Dir: dir, Output: &bytes.Buffer{}}).Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{
		{"go", "vet", "./..."},
		{"go", "mod", "tidy", "-diff"},
		{"go", "list", "-deps", "-f", "{{if and .CgoFiles (not .Standard)}}{{.ImportPath}} needs cgo{{end}}"},
		{"gofmt", "-l", "."},
	} {
		if out, err := run(t, dir, command[0], command[1:]...); err != nil || strings.TrimSpace(out) != "" {
			t.Errorf("%v: %v\n%s", command, err, out)
		}
	}
}

func TestADocumentOfTheUser(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it compiles a project")
	}
	t.Parallel()
	dir := t.TempDir() // exists, and is empty
	spec := write(t, filepath.Join(t.TempDir(), "things.yaml"), document)
	var notes bytes.Buffer
	if err := (Project{Dir: dir, Module: "example.com/team/things", Spec: spec, Output: &notes}).Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, note := range []string{"each path begins with /v1 now", "Bearer is OAuth2Password now", "nobody has the scopes things:write yet"} {
		if !strings.Contains(notes.String(), note) {
			t.Errorf("no note says %q:\n%s", note, &notes)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "notes.go")); err == nil {
		t.Error("the worked example is there, too")
	}

	// The compiler names the first missing method, and make generate all of them, until they are written.
	out, err := run(t, dir, "make", "generate")
	if err == nil || !strings.Contains(out, "missing method CreateThing") {
		t.Errorf("the compiler said\n%s", out)
	}
	for _, method := range []string{"CreateThing(ctx context.Context, request api.CreateThingRequestObject) (api.CreateThingResponseObject, error)", "ListThings(", "Health("} {
		if !strings.Contains(out, "missing: func (s *service) "+method) {
			t.Errorf("%s is not named as missing:\n%s", method, out)
		}
	}
	service, err := os.ReadFile(filepath.Join(dir, "service.go"))
	if err != nil {
		t.Fatal(err)
	}
	imports := "package main\n\nimport (\n\t\"context\"\n\n\t\"example.com/team/things/api\"\n\t\"sesame/server/login\"\n)\n"
	write(t, filepath.Join(dir, "service.go"), strings.Replace(string(service), "package main\n", imports, 1)+methods)
	write(t, filepath.Join(dir, "enforced_test.go"), enforced)
	if out, err := run(t, dir, "make", "generate"); err != nil || strings.Contains(out, "missing") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := run(t, dir, "go", "test", "."); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestNothingIsWritten(t *testing.T) {
	own, _, err := readModule(t.Context(), "../../..")
	if err != nil {
		t.Fatal(err)
	}
	spec := func(old, new string) string {
		return write(t, filepath.Join(t.TempDir(), "openapi.yaml"), strings.Replace(document, old, new, 1))
	}
	for name, c := range map[string]struct {
		project Project
		want    string
	}{
		"a module path with a space": {Project{Module: "my notes"}, `--module "my notes" is not a module path`},
		"a folder with a space":      {Project{Dir: "my notes"}, `the folder's name "my notes" is not a module path; give one with --module`},
		"Sesame's own path":          {Project{Module: own}, own + " is Sesame's own module path"},
		"a program called api":       {Project{Module: "example.com/api/v2"}, "the program would be called api"},
		"another folder as Sesame":   {Project{Sesame: t.TempDir()}, "is not the folder with Sesame's source"},
		"no document":                {Project{Spec: "missing.yaml"}, "missing.yaml"},
		"OpenAPI 3.1":                {Project{Spec: spec("3.0.3", "3.1.0")}, "line 1, #/openapi: the document is OpenAPI 3.1.0, and the server enforces 3.0 alone; convert it first"},
		"an API key":                 {Project{Spec: spec("{ type: http, scheme: bearer }", "{ type: apiKey, in: header, name: X-Key }")}, "does not support the security scheme Bearer (apiKey)"},
		"a path of Sesame's":         {Project{Spec: spec("/v1' }]\nsecurity: [{ Bearer: [] }]\npaths:\n  /things:", "' }]\nsecurity: [{ Bearer: [] }]\npaths:\n  /users/me:")}, "openapi.yaml, line 6, #/paths/~1users~1me: Sesame has this path, too; give yours another one"},
		"an unknown scheme":          {Project{Spec: spec("Bearer: [] ", "Other: [] ")}, "Other"},
	} {
		t.Run(name, func(t *testing.T) {
			p := c.project
			p.Dir = filepath.Join(t.TempDir(), cmp.Or(p.Dir, "notes"))
			p.Output = &bytes.Buffer{}
			if err := p.Write(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if _, err := os.Stat(p.Dir); err == nil {
				t.Error("something was written")
			}
		})
	}
}

func TestAFolderThatIsNotEmpty(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "notes.txt"), "mine")
	err := Project{Dir: dir, Module: "notes"}.Write(t.Context())
	if err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("got %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 || entries[0].Name() != filepath.Base(file) {
		t.Errorf("the folder has %v now", entries)
	}
}

func TestWithoutGo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := Project{Dir: t.TempDir(), Module: "notes"}.Write(t.Context())
	if err == nil || !strings.Contains(err.Error(), "needs the go command") {
		t.Errorf("got %v", err)
	}
}

// TestAFailureLeavesNothing has a go command that can read go.mod, and then loses the network.
func TestAFailureLeavesNothing(t *testing.T) {
	real, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\n[ \"$2\" = edit ] && exec %s \"$@\"\necho no network >&2\nexit 1\n", real)
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "go"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	existing, absent := t.TempDir(), filepath.Join(t.TempDir(), "notes")
	for _, dir := range []string{existing, absent} {
		err := Project{Dir: dir, Module: "notes"}.Write(t.Context())
		if err == nil || !strings.Contains(err.Error(), "go mod tidy -e failed, so nothing was written") || !strings.Contains(err.Error(), "no network") {
			t.Errorf("got %v", err)
		}
	}
	if entries, err := os.ReadDir(existing); err != nil || len(entries) > 0 {
		t.Errorf("the folder has %v: %v", entries, err)
	}
	if _, err := os.Stat(absent); err == nil {
		t.Error("the folder is left")
	}
}

// The generator fails for some documents that are valid. The error names the part, without the rest of the output.
func TestTheGeneratorsFaultIsOneSentence(t *testing.T) {
	t.Parallel()
	for out, want := range map[string]string{
		"go: finding module for package a/api\nerror generating code: duplicate typename 'Box' detected\nmain.go:20: running \"go\": exit status 1\n": "duplicate typename 'Box' detected",
		"# example.com/a/api\napi/api.gen.go:10:2: undefined: Item\n":                                                                                 "the code that it generates does not compile (api/api.gen.go:10:2: undefined: Item)",
		"go: no network\n": "",
	} {
		if got := generatorFault([]byte(out)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
