package contract

import (
	"reflect"
	"strings"
	"testing"
)

// flow is a document whose only flow has these lines beside its scopes.
func flow(lines ...string) string {
	return `openapi: 3.0.3
info: { title: t, version: '1' }
paths: {}
components:
  securitySchemes:
    OAuth2Password:
      type: oauth2
      flows:
        password:
          tokenUrl: /token
          scopes: { a: A, b: B, c: C }
          ` + strings.Join(lines, "\n          ") + "\n"
}

func TestTheDocumentSaysWhoHasWhichScope(t *testing.T) {
	c, err := compile(flow("x-default: [b]", "x-on-request: [a, a]", "x-people-only: [b]", "x-administrative: [c]"))
	if err != nil {
		t.Fatal(err)
	}
	want := Scopes{Declared: []string{"a", "b", "c"}, Default: []string{"b"}, OnRequest: []string{"a"}, PeopleOnly: []string{"b"}, Administrative: []string{"c"}}
	if got := c.Scopes(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	for lines, want := range map[string]string{
		"x-default: [d]":         "x-default names d, which its flow does not declare",
		"x-on-request: [1]":      "x-on-request names 1, which",
		"x-people-only: a":       "x-people-only must be a list of scopes",
		"x-default: { a: true }": "x-default must be a list of scopes",
		"x-default: [a]\n          x-administrative: [a]": "the scope a is in x-administrative, and every person has it",
		"x-default: [a]\n          x-on-request: [a]":     "the scope a is in x-default and in x-on-request",
	} {
		if _, err := compile(flow(lines)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", lines, err, want)
		}
	}
}

// A person has the same scopes with both flows, so a document in which they differ stops the start.
func TestBothFlowsForPeopleHaveTheSameScopes(t *testing.T) {
	with := func(scopes string) string {
		return flow() + "        authorizationCode: { authorizationUrl: /authorize, tokenUrl: /token, scopes: {" + scopes + "} }\n"
	}
	for scopes, want := range map[string]string{
		"a: A, b: B, c: C":       "",
		"a: A, b: B":             "the scope c is in the flow password and not in the flow authorizationCode",
		"a: A, b: B, c: C, d: D": "the scope d is in the flow authorizationCode and not in the flow password",
		"a: A, b: B, c: See":     "the scope c has another description in the flow authorizationCode than in the flow password",
	} {
		if _, err := compile(with(scopes)); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", scopes, err, want)
		}
	}
}
