package mock

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"sesame"
)

func faultsOf(t *testing.T, document string) []error {
	t.Helper()
	read, err := Read([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Register(echo.New(), Options{
		Document: read, PublicURL: "http://127.0.0.1", AccessTTL: time.Minute, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m.Faults()
}

func TestOurOwnExamplesFit(t *testing.T) {
	t.Parallel()
	for _, fault := range faultsOf(t, string(sesame.OpenAPI)) {
		t.Error(fault)
	}
}

// Samples fit their schemas; where an example does not, or a sample cannot, the mock says so.
func TestFaultsAreExamplesThatBreakTheirSchema(t *testing.T) {
	t.Parallel()
	for schema, fault := range map[string]string{
		`{ type: string, minLength: 20 }`:                                                    "",
		`{ type: string, maxLength: 2 }`:                                                     "",
		`{ type: string, format: date-time }`:                                                "",
		`{ type: string, format: uuid }`:                                                     "",
		`{ type: string, pattern: '^[0-9]+$' }`:                                              "breaks pattern",
		`{ type: string, pattern: '^[0-9]+$', example: '7' }`:                                "",
		`{ type: string, example: 7 }`:                                                       "breaks type",
		`{ type: integer, minimum: 5, multipleOf: 4 }`:                                       "",
		`{ type: integer, maximum: -3 }`:                                                     "",
		`{ type: integer, minimum: 5, exclusiveMinimum: true }`:                              "",
		`{ type: number, minimum: 0.5, maximum: 0.7 }`:                                       "",
		`{ type: boolean }`:                                                                  "",
		`{ type: array, minItems: 3, items: { type: string, enum: [a, b] } }`:                "",
		`{ type: array, maxItems: 0, items: { type: string } }`:                              "",
		`{ nullable: true, allOf: [{ type: string, format: email }] }`:                       "",
		`{ oneOf: [{ type: string }, { type: integer }] }`:                                   "",
		`{ anyOf: [{ type: object, required: [a], properties: { a: { type: integer } } }] }`: "",
		`{ allOf: [{ type: object, required: [a], properties: { a: { type: integer } } }, { type: object, required: [b], properties: { b: { type: boolean } } }] }`: "",
		`{ type: object, required: [a], properties: { a: { type: string, writeOnly: true } } }`:                                                                     "",
	} {
		faults := faultsOf(t, fmt.Sprintf(`
openapi: 3.0.3
info: { title: t, version: '1' }
paths: { /a: { get: { operationId: a, responses: { '200': { description: d, content: { application/json: { schema: %s } } } } } } }`, schema))
		if fault == "" && len(faults) > 0 || fault != "" && (len(faults) != 1 || !strings.Contains(faults[0].Error(), fault)) {
			t.Errorf("%s: got %v, want %q", schema, faults, fault)
		}
	}
}
