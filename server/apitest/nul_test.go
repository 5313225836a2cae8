package apitest

import (
	"strings"
	"testing"
)

// PostgreSQL stores no NUL, and compares none: no parameter of a list leads to a database error by one. A new parameter is covered
// once it is in the contract.
func TestAParameterWithNULIsNoFaultOfTheServer(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, token := s.administrator(t, "root")
		tried := 0
		for _, op := range rules.Operations() {
			if op.Method != "GET" || len(op.Scopes()) == 0 || strings.Contains(op.Path, "{") {
				continue
			}
			for _, p := range op.Document.Parameters {
				schema := p.Value.Schema.Value
				if p.Value.In != "query" || !schema.Type.Is("string") || schema.Format != "" {
					continue
				}
				tried++
				for _, text := range []string{"%00", "a%00b"} {
					if a := s.do(t, request{method: "GET", path: op.Path + "?" + p.Value.Name + "=" + text, token: token}); a.status/100 != 4 {
						t.Errorf("%s?%s=%s: got %d %s", op.Path, p.Value.Name, text, a.status, a.body)
					}
				}
			}
		}
		if tried < 5 {
			t.Errorf("tried %d parameters", tried)
		}
	})
}
