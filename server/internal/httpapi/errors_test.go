package httpapi

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"sesame"
	"sesame/gen/api"
	"sesame/server/internal/problem"
)

func document(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(sesame.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// codes reads the constants of package problem from its source, so that none can be forgotten here.
func codes(t *testing.T) []problem.Code {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../problem/problem.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var list []problem.Code
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == "Code" {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, problem.Code(value))
		}
		return true
	})
	if len(list) < 20 {
		t.Fatalf("only %d codes were found in the source", len(list))
	}
	return list
}

// enum gives the values that a schema of the contract allows.
func enum(t *testing.T, schema *openapi3.Schema) []problem.Code {
	t.Helper()
	list := make([]problem.Code, len(schema.Enum))
	for i, value := range schema.Enum {
		list[i] = problem.Code(value.(string))
	}
	return list
}

// The table, the codes and the contract's two enums say the same.
func TestEveryCodeHasAnAnswer(t *testing.T) {
	schemas := document(t).Components.Schemas
	problems := enum(t, schemas["ErrorCode"].Value)
	oauth := enum(t, schemas["OAuthError"].Value.Properties["error"].Value)
	all := codes(t)
	for _, code := range all {
		if status := code.Status(); status < 400 || http.StatusText(status) == "" {
			t.Errorf("%s is answered with %d", code, status)
		}
		if !slices.Contains(problems, code) && !slices.Contains(oauth, code) {
			t.Errorf("%s is not in the contract", code)
		}
	}
	for _, code := range problems {
		if !slices.Contains(all, code) || !api.ErrorCode(code).Valid() {
			t.Errorf("%s is in the contract, but nothing answers it", code)
		}
	}
	for code, name := range oauthNames {
		if !slices.Contains(all, code) {
			t.Errorf("%s is in the table, but no code", code)
		}
		if !slices.Contains(oauth, problem.Code(name)) {
			t.Errorf("%s is called %s, which the contract does not have", code, name)
		}
	}
}

// The examples of the contract are answers that the table gives.
func TestExamplesOfErrorsAgreeWithTheTable(t *testing.T) {
	seen := map[problem.Code]bool{}
	for path, item := range document(t).Paths.Map() {
		for method, op := range item.Operations() {
			for status, response := range op.Responses.Map() {
				content := response.Value.Content["application/problem+json"]
				if content == nil {
					continue
				}
				examples := []any{content.Example}
				for _, example := range content.Examples {
					examples = append(examples, example.Value.Value)
				}
				for _, example := range slices.DeleteFunc(examples, func(e any) bool { return e == nil }) {
					seen[checkExample(t, method+" "+path, status, example.(map[string]any))] = true
				}
			}
		}
	}
	// These are answered where there is no operation, or by the challenge's own example.
	for _, code := range []problem.Code{problem.MethodNotAllowed, problem.StaleLogin} {
		seen[code] = true
	}
	for _, code := range enum(t, document(t).Components.Schemas["ErrorCode"].Value) {
		if !seen[code] {
			t.Errorf("no answer of the contract has an example of %s; seen: %v", code, slices.Sorted(maps.Keys(seen)))
		}
	}
}

func checkExample(t *testing.T, op, status string, example map[string]any) problem.Code {
	t.Helper()
	code := problem.Code(example["code"].(string))
	want := code.Status()
	got := map[string]any{"type": example["type"], "title": example["title"], "status": example["status"]}
	if status != strconv.Itoa(want) || !maps.Equal(got, map[string]any{
		"type": "urn:sesame:problem:" + string(code), "title": http.StatusText(want), "status": float64(want),
	}) {
		t.Errorf("%s: the example of %s under %s departs from the table: %v", op, code, status, got)
	}
	return code
}
