package apitest

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"sesame/gen/api"
	"sesame/server/secret"
)

// securityLines are those of docs/security.md.
var securityLines = strings.Fields(`P1 P2 P3 P4 P5 P6 P7 P8 L1 L2 L3 L4 L5 L6 L7 L8 L9 T1 T2 T3 T4 T5 T6 T7
	R1 R2 R3 R4 R5 O1 O2 O3 O4 O5 O6 B1 B2 B3 B4 B5 B6 B7 B8 B9 B10 B11 B12 B13 B14 B15 B16 B17 B18 B19 B20 B21 B22 B23
	F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 F11 F12 F13 F14 F15 F16 F17 F18 F19 F20 F21 M1 M2 M3 M4 M5 M6 M7 M8 H1 H2 H3 H4 H5 H6 H7 A1 A2 A4 C1 C2 C3 C4 C5 C6 C7
	N1 N2 N3 N4 N5 N6 N7 N8 N9 N10 N11 N12 N13 N14 N15 N16 N17 N18 N19 N20 N21 N22 N23 N24 N25 N26 N27 N28 N29 N30`)

// Every line of docs/security.md names a test that exists, or says plainly that it is to come; and what is
// to come is not there yet.
func TestTheSecurityListIsTrue(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	exists := testFunctions(t)
	var lines []string
	for _, item := range strings.Split(string(text), "\n- **")[1:] {
		item, _, _ = strings.Cut(item, "\n\n")
		line, body, _ := strings.Cut(item, "** ")
		lines = append(lines, line)
		proved, coming, said := strings.Cut(body, "**To come:**")
		names := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`")
		proofs := names.FindAllStringSubmatch(proved, -1)
		if len(proofs) == 0 && !said {
			t.Errorf("%s has neither a test nor the words **To come:**", line)
		}
		for _, name := range proofs {
			if !exists[name[1]] {
				t.Errorf("%s: there is no %s", line, name[1])
			}
		}
		for _, name := range names.FindAllStringSubmatch(coming, -1) {
			if exists[name[1]] {
				t.Errorf("%s: %s has come: put it before the words **To come:**, or take them away", line, name[1])
			}
		}
	}
	if !slices.Equal(lines, securityLines) {
		t.Errorf("the lines are %v, want %v", lines, securityLines)
	}
}

// testFunctions are the tests and fuzz targets of the tree.
func testFunctions(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
	for _, root := range []string{"..", "../../docs"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.Name() == "node_modules" {
				return filepath.SkipDir
			}
			if !strings.HasSuffix(path, "_test.go") {
				return nil
			}
			text, err := os.ReadFile(path)
			for _, name := range function.FindAllSubmatch(text, -1) {
				found[string(name[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// secretName is how what must be hidden is called in requests.
var secretName = regexp.MustCompile(`(^|_)(password|token|secret|code)$`)

// A2: every secret in a request has the format password, for which the generated code uses secret.Text. No response
// has that format, since the type would write a mark in place of the value.
func TestWhatTheContractHidesIsSecret(t *testing.T) {
	t.Parallel()
	hidden := 0
	for _, op := range rules.Operations() {
		if op.Document.RequestBody != nil {
			for _, content := range op.Document.RequestBody.Value.Content {
				eachProperty(content.Schema.Value, func(name string, s *openapi3.Schema) {
					if (s.WriteOnly || secretName.MatchString(name)) && s.Format != "password" {
						t.Errorf("%s: %s needs format: password", op.ID, name)
					}
					if s.Format == "password" {
						hidden++
					}
				})
			}
		}
		for status, response := range op.Document.Responses.Map() {
			for _, content := range response.Value.Content {
				eachProperty(content.Schema.Value, func(name string, s *openapi3.Schema) {
					if s.Format == "password" {
						t.Errorf("%s: %s: %s could not be answered", op.ID, status, name)
					}
				})
			}
		}
	}
	if hidden < 9 {
		t.Errorf("only %d are hidden", hidden)
	}
	text := reflect.TypeFor[secret.Text]()
	for _, field := range []any{
		api.TokenRequest{}.Password, api.TokenRequest{}.RefreshToken, api.TokenRequest{}.ClientSecret, api.RevocationRequest{}.Token,
		api.RevocationRequest{}.ClientSecret, api.UserCreate{}.Password, api.IntrospectionRequest{}.Token,
		api.PasswordChange{}.CurrentPassword, api.PasswordChange{}.NewPassword,
	} {
		if kind := reflect.TypeOf(field); kind != text && kind != reflect.PointerTo(text) {
			t.Errorf("the generated code has a %v", kind)
		}
	}
}

func eachProperty(s *openapi3.Schema, do func(string, *openapi3.Schema)) {
	for name, property := range s.Properties {
		do(name, property.Value)
		eachProperty(property.Value, do)
	}
	if s.Items != nil {
		do("items", s.Items.Value)
		eachProperty(s.Items.Value, do)
	}
}
