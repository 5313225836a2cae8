package contract

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"sesame/server/internal/problem"
)

// demanding is the small document with a demand in an operation.
func demanding(demand string) string {
	return strings.Replace(small, "operationId: putThing\n", "operationId: putThing\n      "+demand+"\n", 1)
}

// with401 is such a document whose operation declares 401.
func with401(demand string) string {
	return strings.Replace(demanding(demand), "        '204': { description: nothing }\n", "        '204': { description: nothing }\n        '401': { description: sign in }\n", 1)
}

// A demand that the server would not enforce as its author means it stops the start, and the message names the place.
func TestADemandMustBeEnforceable(t *testing.T) {
	valid := "x-requires-acr: '2'\n      x-requires-max-age: 300"
	open := strings.Replace(with401(valid), "security: [{ OAuth2: ['things:write'] }]", "security: []", 1)
	optional := strings.Replace(with401(valid), "security: [{ OAuth2: ['things:write'] }]", "security: [{}, { OAuth2: [] }]", 1)
	for name, c := range map[string]struct{ document, reason string }{
		"valid":             {with401(valid), ""},
		"level 1":           {with401("x-requires-acr: '1'"), ""},
		"a number":          {with401("x-requires-acr: 2"), `PUT /things/{thing_id} (putThing): x-requires-acr must be "1" or "2", in quotes`},
		"an unknown level":  {with401("x-requires-acr: 'urn:mace:incommon:iap:silver'"), `(putThing): x-requires-acr must be "1" or "2"`},
		"no level":          {with401("x-requires-acr: ''"), `(putThing): x-requires-acr must be "1" or "2"`},
		"a negative age":    {with401("x-requires-max-age: -1"), "PUT /things/{thing_id} (putThing): x-requires-max-age must be a whole number of seconds"},
		"no age":            {with401("x-requires-max-age: 0"), "x-requires-max-age must be a whole number"},
		"half a second":     {with401("x-requires-max-age: 0.5"), "x-requires-max-age must be a whole number"},
		"an age in text":    {with401("x-requires-max-age: '300'"), "x-requires-max-age must be a whole number"},
		"an age of decades": {with401("x-requires-max-age: 9007199254740993"), "x-requires-max-age must be a whole number"},
		"another name":      {with401("x-requires-amr: mfa"), "PUT /things/{thing_id} (putThing): x-requires-amr is not known; the server enforces x-requires-acr and x-requires-max-age"},
		"without 401":       {demanding(valid), "PUT /things/{thing_id} (putThing): x-requires-acr and x-requires-max-age are answered with 401, which its responses do not declare"},
		"public":            {open, "PUT /things/{thing_id} (putThing): it can be called without a token"},
		"a token optional":  {optional, "PUT /things/{thing_id} (putThing): it can be called without a token"},
		"at the path":       {strings.Replace(small, "    parameters:\n", "    x-requires-acr: '2'\n    parameters:\n", 1), "the path /things/{thing_id}: x-requires-acr belongs into an operation"},
		"at the paths":      {strings.Replace(small, "paths:\n", "paths:\n  x-requires-acr: '2'\n", 1), "the paths: x-requires-acr belongs into an operation"},
		"at a scheme":       {strings.Replace(small, "    OAuth2:\n", "    OAuth2:\n      x-requires-acr: '2'\n", 1), "the security scheme OAuth2: x-requires-acr belongs into an operation"},
		"at the document":   {small + "x-requires-acr: '2'\n", "the document: x-requires-acr belongs into an operation"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := compile(c.document)
			if c.reason == "" && err != nil || c.reason != "" && (err == nil || !strings.Contains(err.Error(), c.reason)) {
				t.Errorf("got %v, want %q", err, c.reason)
			}
			doc, err := openapi3.NewLoader().LoadFromData([]byte(c.document))
			if err != nil {
				t.Fatal(err)
			}
			if _, err = CompileService(doc, map[string]Scheme{"OAuth2": nobody}); (err == nil) != (c.reason == "") {
				t.Errorf("of another service: %v", err)
			}
			// The mock serves the document nevertheless, and says what it does not enforce.
			taken, err := CompileForeign(doc, map[string]Scheme{"OAuth2": nobody})
			if err != nil || len(taken.Ignored()) > 0 != (c.reason != "") {
				t.Errorf("to the mock: %v %v", taken.Ignored(), err)
			}
		})
	}
}

// person is a caller with a token.
type person struct {
	acr         string
	at, checked time.Time
}

func (person) HasScope(scope string) bool                    { return scope != "things:rare" }
func (p person) SignIn() (acr string, at, checked time.Time) { return p.acr, p.at, p.checked }

// robot is a caller without a sign-in.
type robot struct{}

func (robot) HasScope(string) bool { return true }

// F12: only a sign-in that is known to be strong and recent enough meets a demand; everything else is answered as RFC 9470 §3
// says.
func TestADemandIsEnforced(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	both, acr, age := "x-requires-acr: '2'\n      x-requires-max-age: 300", "x-requires-acr: '2'", "x-requires-max-age: 300"
	for name, c := range map[string]struct {
		demand string
		caller Caller
		met    bool
	}{
		"two factors, now":              {both, person{"2", now, now}, true},
		"two factors, in time":          {both, person{"2", ago(300 * time.Second), now}, true},
		"two factors, too long ago":     {both, person{"2", ago(301 * time.Second), now}, false},
		"one factor":                    {both, person{"1", now, now}, false},
		"no acr":                        {both, person{"", now, now}, false},
		"another acr":                   {both, person{"20", now, now}, false},
		"no auth_time":                  {both, person{"2", time.Time{}, now}, false},
		"no auth_time, at the epoch":    {both, person{"2", time.Time{}, time.Time{}}, false},
		"the clocks differ":             {both, person{"2", now.Add(29 * time.Second), now}, true},
		"the future":                    {both, person{"2", now.Add(time.Minute), now}, false},
		"a client":                      {both, robot{}, false},
		"a level, no auth_time":         {acr, person{"2", time.Time{}, now}, true},
		"a level, a client":             {acr, robot{}, false},
		"an age, no acr":                {age, person{"", now, now}, true},
		"an age, a client":              {age, robot{}, false},
		"one factor or more, two":       {"x-requires-acr: '1'", person{"2", now, now}, true},
		"one factor or more, no acr":    {"x-requires-acr: '1'", person{"", now, now}, false},
		"no demand, a token of nothing": {"x-other: 1", person{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			rules, err := Compile([]byte(with401(c.demand)), map[string]Scheme{
				"OAuth2": func(context.Context, *http.Request) (Caller, error) { return c.caller, nil },
			})
			if err != nil {
				t.Fatal(err)
			}
			_, err = rules.Operation("putThing").Authorize(httptest.NewRequest("PUT", "/things/1", nil))
			if c.met {
				if err != nil {
					t.Error(err)
				}
				return
			}
			p, ok := errors.AsType[*problem.Error](err)
			if !ok || p.Code.Status() != 401 {
				t.Fatalf("got %v", err)
			}
			challenge := p.Challenge()
			for part, want := range map[string]bool{
				`Bearer realm=`: true, `error="insufficient_user_authentication"`: true,
				`acr_values="`: strings.Contains(c.demand, "acr"), `max_age="300"`: strings.Contains(c.demand, "age"),
			} {
				if strings.Contains(challenge, part) != want {
					t.Errorf("the challenge is %s", challenge)
				}
			}
			if _, err = rules.Operation("listThings").Authorize(httptest.NewRequest("GET", "/things", nil)); err != nil {
				t.Errorf("an operation without a demand: %v", err)
			}
		})
	}
}

// A missing scope is reported first: signing in again would not help. A second alternative may admit what the first one does not.
func TestADemandComesAfterTheScopes(t *testing.T) {
	document := strings.Replace(with401("x-requires-acr: '2'"), "'things:write'] }]\n", "'things:rare'] }]\n", 1)
	document = strings.Replace(document, "'things:write': write", "'things:rare': rare", 1)
	weak := func(context.Context, *http.Request) (Caller, error) { return person{"1", time.Now(), time.Now()}, nil }
	rules, err := Compile([]byte(document), map[string]Scheme{"OAuth2": weak})
	if err != nil {
		t.Fatal(err)
	}
	_, err = rules.Operation("putThing").Authorize(httptest.NewRequest("PUT", "/things/1", nil))
	if p, ok := errors.AsType[*problem.Error](err); !ok || p.Code != problem.InsufficientScope {
		t.Errorf("got %v", err)
	}

	document = strings.Replace(with401("x-requires-acr: '2'"), "{ OAuth2: ['things:write'] }]", "{ Key: [] }, { OAuth2: ['things:write'] }, { Strong: [] }]", 1)
	document = strings.Replace(document, "    OAuth2:\n", "    Key: { type: apiKey, in: header, name: K }\n    Strong: { type: http, scheme: bearer }\n    OAuth2:\n", 1)
	schemes := map[string]Scheme{"OAuth2": weak, "Strong": nobody, "Key": func(context.Context, *http.Request) (Caller, error) { return robot{}, nil }}
	for _, strong := range []bool{false, true} {
		if strong {
			schemes["Strong"] = func(context.Context, *http.Request) (Caller, error) { return person{"2", time.Now(), time.Now()}, nil }
		}
		if rules, err = Compile([]byte(document), schemes); err != nil {
			t.Fatal(err)
		}
		if _, err = rules.Operation("putThing").Authorize(httptest.NewRequest("PUT", "/things/1", nil)); (err == nil) != strong {
			t.Errorf("with a strong sign-in %t: %v", strong, err)
		}
	}
}
