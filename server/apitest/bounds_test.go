package apitest

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
)

func patch(token, body string) request {
	return request{method: "PATCH", path: "/users/me", token: token, json: body}
}

// nested is a body that nests so deep.
func nested(depth int) string {
	return `{"full_name":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + `}`
}

// brokenBodies are what H1 refuses, and where the answer must point.
var brokenBodies = []struct {
	name, body string
	status     int
	pointer    string
}{
	{"a key twice", `{"full_name":"evil","full_name":"evil"}`, 400, "/full_name"},
	{"a key twice, once escaped", `{"full_name":"evil","full\u005fname":"evil"}`, 400, "/full_name"},
	{"an unknown key twice", `{"a":1,"a":1}`, 400, "/a"},
	{"a key twice further down", `{"full_name":{"a":1,"a":2}}`, 400, "/full_name/a"},
	{"a key in another case", `{"FULL_NAME":"evil"}`, 422, "/FULL_NAME"},
	{"a key in two cases", `{"full_name":"evil","Full_Name":"evil"}`, 422, "/Full_Name"},
	{"an unknown field", `{"full_name":"evil","nickname":"evil"}`, 422, "/nickname"},
	{"an unknown field with a slash", `{"a/b~c":1}`, 422, "/a~1b~0c"},
	{"an empty key", `{"":1}`, 422, "/"},
	{"a prototype", `{"__proto__":{"full_name":"evil"}}`, 422, "/__proto__"},
	{"the wrong type", `{"full_name":1}`, 422, "/full_name"},
	{"a number that is none", `{"full_name":NaN}`, 400, ""},
	{"infinity", `{"full_name":-Infinity}`, 400, ""},
	{"a leading zero", `{"full_name":01}`, 400, ""},
	{"a value after the value", `{"full_name":"evil"}{}`, 400, ""},
	{"text after the value", `{"full_name":"evil"} evil`, 400, ""},
	{"a comma at the end", `{"full_name":"evil",}`, 400, ""},
	{"a comment", `{"full_name":"evil"} // evil`, 400, ""},
	{"single quotes", `{'full_name':'evil'}`, 400, ""},
	{"no end", `{"full_name":"evil"`, 400, ""},
	{"a byte order mark", "\ufeff" + `{"full_name":"evil"}`, 400, ""},
	{"UTF-16", "{\x00}\x00", 400, ""},
	{"invalid UTF-8", "{\"full_name\":\"\xff\"}", 400, ""},
	{"an overlong slash", "{\"full_name\":\"\xc0\xaf\"}", 400, ""},
	{"a surrogate in UTF-8", "{\"full_name\":\"\xed\xa0\x80\"}", 400, ""},
	{"half a surrogate pair", `{"full_name":"\ud800"}`, 400, "/full_name"},
	{"a pair the wrong way round", `{"full_name":"\udc00\ud800"}`, 400, "/full_name"},
	{"half a pair as key", `{"\ud800":1}`, 400, ""},
	{"a control character", "{\"full_name\":\"a\nb\"}", 400, ""},
	{"an escaped control character", `{"full_name":"a\nb"}`, 422, "/full_name"},
	{"NUL", `{"full_name":"a\u0000b"}`, 422, "/full_name"},
	{"32 levels", nested(32), 422, "/full_name"},
	{"33 levels", nested(33), 400, ""},
	{"20000 levels", nested(20000), 400, ""},
	{"20000 levels without an end", strings.Repeat(`{"a":`, 10000), 400, ""},
	{"a number out of range", `{"full_name":1e999999}`, 400, ""},
	{"nothing", "", 400, ""},
	{"white space", " \r\n\t", 400, ""},
	{"null", "null", 422, ""},
	{"an array", `[{"full_name":"evil"}]`, 422, ""},
	{"a string", `"evil"`, 422, ""},
	{"a number", "1", 422, ""},
	{"true", "true", 422, ""},
}

// H1: the server refuses every body that JSON parsers read differently, and a refused request changes nothing.
func TestJSONBodiesAreReadStrictly(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		token := s.newcomer(t, "ann").AccessToken
		for _, c := range brokenBodies {
			t.Run(c.name, func(t *testing.T) {
				r := patch(token, c.body)
				if c.body == "" {
					r.json, r.header = nil, map[string]string{"Content-Type": "application/json"}
				}
				a := s.do(t, r).want(c.status, map[int]string{400: "bad_request", 422: "validation_failed"}[c.status])
				if c.pointer != "" {
					a.pointsAt(c.pointer)
				}
			})
		}
		for _, body := range []string{"{}", " {} \n", "\t\r\n{}"} {
			got := decode[api.User](s.do(t, patch(token, body)).want(200))
			if !got.FullName.IsNull() {
				t.Errorf("the name is %v", got.FullName.MustGet())
			}
		}
	})
}

// H7: nobody can set the fields that are not theirs to set, at registration or later.
func TestFieldsThatAreNotOnesOwnToSet(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		token := s.newcomer(t, "ann").AccessToken
		before := s.do(t, me(token)).want(200).body
		for field, value := range map[string]any{
			"id": newID(), "email_verified": true, "scopes": []string{"users:write"}, "disabled": true,
			"password_hash": "$2a$05$x", "created_at": "2026-11-23T14:11:00Z", "updated_at": "2026-11-23T14:11:00Z",
			"username_key": "bob", "is_admin": true, "scope": "users:write",
		} {
			r := request{method: "PATCH", path: "/users/me", token: token, json: map[string]any{"full_name": "Eve", field: value}}
			s.do(t, r).want(422, "validation_failed").pointsAt("/" + field)
			r = request{method: "POST", path: "/users", json: map[string]any{"username": "eve", "password": horse, field: value}}
			s.do(t, r).want(422, "validation_failed").pointsAt("/" + field)
		}
		for field, value := range map[string]any{"username": "bob", "email": "bob@example.com", "password": horse} {
			r := request{method: "PATCH", path: "/users/me", token: token, json: map[string]any{field: value}}
			s.do(t, r).want(422, "validation_failed").pointsAt("/" + field)
		}
		if after := s.do(t, me(token)).want(200).body; string(after) != string(before) {
			t.Errorf("%s became %s", before, after)
		}
		if users := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM users`); users != "1" {
			t.Errorf("there are %s users", users)
		}
	})
}

// H2: a body may have 64 KiB and not a byte more, with a Content-Length or without.
func TestBodiesAreBounded(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		token := s.newcomer(t, "ann").AccessToken
		padded := func(size int) string { return "{}" + strings.Repeat(" ", size-2) }
		form := func(size int) string { return "grant_type=implicit&x=" + strings.Repeat("x", size-22) }
		for _, c := range []struct {
			name, method, path, mediaType, body string
			status                              int
			code                                string
		}{
			{"JSON of 64 KiB", "PATCH", "/users/me", "application/json", padded(64 << 10), 200, ""},
			{"JSON of a byte more", "PATCH", "/users/me", "application/json", padded(64<<10 + 1), 413, "payload_too_large"},
			{"JSON of a megabyte", "PATCH", "/users/me", "application/json", padded(1 << 20), 413, "payload_too_large"},
			{"a form of 64 KiB", "POST", "/token", "application/x-www-form-urlencoded", form(64 << 10), 400, "unsupported_grant_type"},
			{"a form of a byte more", "POST", "/token", "application/x-www-form-urlencoded", form(64<<10 + 1), 413, "invalid_request"},
		} {
			for _, length := range []string{"told", "chunked"} {
				t.Run(c.name+", "+length, func(t *testing.T) {
					r := request{method: c.method, path: c.path, token: token, header: map[string]string{"Content-Type": c.mediaType}}
					if r.raw = strings.NewReader(c.body); length == "chunked" {
						r.raw = struct{ io.Reader }{r.raw} // hides its length from http.NewRequest
					}
					if a := s.do(t, r); a.status != c.status || a.code() != c.code {
						t.Errorf("got %d %s, want %d %s", a.status, a.code(), c.status, c.code)
					}
				})
			}
		}
		// The server does not wait for a body whose declared length is too long.
		head := "POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: "
		if status := s.rawStatus(t, head+"1000000\r\n\r\n"); status != 413 {
			t.Errorf("a body that is announced: got %d", status)
		}
	})
}

// H2: only what the contract says, and uncompressed.
func TestMediaTypes(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		token := s.newcomer(t, "ann").AccessToken
		for _, c := range []struct {
			contentType, encoding string
			status                int
		}{
			{"application/json", "", 200},
			{"application/json; charset=utf-8", "", 200},
			{"Application/JSON;charset=UTF-8", "identity", 200},
			{"", "", 415},
			{"text/plain", "", 415},
			{"text/json", "", 415},
			{"application/jsonx", "", 415},
			{"application/merge-patch+json", "", 415},
			{"application/json; charset=utf-16", "", 415},
			{"application/json, text/plain", "", 415},
			{"application/json; charset", "", 415},
			{"application/x-www-form-urlencoded", "", 415},
			{"multipart/form-data; boundary=b", "", 415},
			{"application/json", "gzip", 415},
			{"application/json", "GZIP", 415},
			{"application/json", "br", 415},
			{"application/json", "identity, gzip", 415},
		} {
			t.Run(c.contentType+" "+c.encoding, func(t *testing.T) {
				header := map[string]string{}
				if c.contentType != "" {
					header["Content-Type"] = c.contentType
				}
				if c.encoding != "" {
					header["Content-Encoding"] = c.encoding
				}
				s.do(t, request{method: "PATCH", path: "/users/me", token: token, raw: strings.NewReader("{}"), header: header}).want(c.status)
			})
		}
		for twice, status := range map[string]int{ // the second counts as much as the first
			"Content-Type: application/json\r\nContent-Type: text/plain":                             415,
			"Content-Type: application/json\r\nContent-Encoding: identity\r\nContent-Encoding: gzip": 415,
		} {
			if got := s.rawStatus(t, "PATCH /users/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+token+"\r\nContent-Length: 2\r\n"+twice+"\r\n\r\n{}"); got != status {
				t.Errorf("%s: got %d", twice, got)
			}
		}
	})
}

// H2: headers end at 16 KiB, in one field or in many.
func TestHeadersAreBounded(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		head := func(fields string) string { return "GET /healthz HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n" }
		many := func(n int) string { return strings.Repeat("X-Field: "+strings.Repeat("x", 53)+"\r\n", n) } // 64 bytes each
		for name, c := range map[string]struct {
			text   string
			status int
		}{
			"15 KiB in one field":   {head("X-Field: " + strings.Repeat("x", 15<<10) + "\r\n"), 200},
			"17 KiB in one field":   {head("X-Field: " + strings.Repeat("x", 17<<10) + "\r\n"), 431},
			"15 KiB in many fields": {head(many(15 << 4)), 200},
			"17 KiB in many fields": {head(many(17 << 4)), 431},
			"an address of 17 KiB":  {"GET /" + strings.Repeat("x", 17<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", 431},
			"no host":               {"GET /healthz HTTP/1.1\r\n\r\n", 400},
			"an asterisk":           {"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404},
			"a body of two lengths": {"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", 400},
		} {
			if status := s.rawStatus(t, c.text); status != c.status {
				t.Errorf("%s: got %d, want %d", name, status, c.status)
			}
		}
	})
}

// H2: the server drops the connection of a client that does not finish its request: after 5 s for headers and 10 s
// for the rest. The test waits, and measures nothing.
func TestSlowRequestsAreDropped(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it waits for 10 s")
	}
	t.Parallel()
	s := start(t, sqliteURL(t))
	token := s.newcomer(t, "ann").AccessToken
	for name, text := range map[string]string{
		"headers": "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Field: ",
		"a body":  "PATCH /users/me HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\nAuthorization: Bearer " + token + "\r\n\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err = conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if _, err = conn.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			if answer, err := io.ReadAll(conn); err != nil || strings.HasPrefix(string(answer), "HTTP/1.1 2") {
				t.Errorf("%v: %s", err, answer)
			}
		})
	}
}

var pathParameter = regexp.MustCompile(`\{[^}]+\}`)

// H6: every path of the contract with every method that it does not have.
func TestUndeclaredMethods(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		declared := map[string][]string{}
		for _, op := range rules.Operations() {
			declared[op.Path] = append(declared[op.Path], op.Method)
		}
		for _, path := range slices.Sorted(maps.Keys(declared)) {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "INVENTED"} {
				if path == "/mails/test" && method == "DELETE" { // it is DELETE /mails/{mail_id}
					continue
				}
				if slices.Contains(declared[path], method) || method == "HEAD" && slices.Contains(declared[path], "GET") {
					continue
				}
				a := s.do(t, request{method: method, path: pathParameter.ReplaceAllString(path, newID())})
				if a.status != 405 {
					t.Errorf("%s %s: got %d %s, want 405", method, path, a.status, a.body)
				}
				for _, allowed := range declared[path] {
					if !strings.Contains(a.header.Get("Allow"), allowed) {
						t.Errorf("%s %s: Allow is %q, without %s", method, path, a.header.Get("Allow"), allowed)
					}
				}
			}
		}
	})
}

// H6: a path that is not in the contract is 404, in every spelling.
func TestUnknownPaths(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		token := s.newcomer(t, "ann").AccessToken
		for _, path := range []string{
			"/nothing", "/users/", "/users/me/", "/Users/me", "//users/me", "/users//me", "/users%2fme",
			"/users/me/../me", "/./users/me", "/users/me/sessions/a/b", "/users/me/sessions/", "/users/" + newID() + "/", "/users/" + newID() + "/a", "/users/me/nothing",
			"/.well-known", "/.well-known/openid-configuration/x", "/token/", "/token/introspect", "/healthz/x", "/debug/pprof/", "/metrics",
			"/openapi.yml", "/.git/config", "/" + url.PathEscape(strings.Repeat("é", 1000)),
		} {
			a := s.do(t, request{method: "GET", path: path, token: token})
			if a.status != 404 && a.status != 405 { // 405: the path is one of a DELETE
				t.Errorf("%s: got %d %s", path, a.status, a.body)
			}
		}
		for _, id := range []string{"ME", "me;x=1", "%256de", newID()} { // somebody else's, if anybody's
			s.do(t, request{method: "GET", path: "/users/" + id, token: token}).want(403, "insufficient_scope")
		}
		for _, id := range []string{"me%00", "me%2fsessions", "me%5c", "..", "%2e%2e", ".", "%ff", newID() + "%2f"} { // of no account
			s.do(t, request{method: "GET", path: "/users/" + id, token: token}).want(404, "not_found")
		}
		s.do(t, request{method: "GET", path: "/users/me?anything=1", token: token}).want(200)
	})
}

// N1, H6: an operation is the same one in every spelling of its path. Whatever else a path is made of, it opens
// nothing to a stranger but the public operations.
func TestEverySpellingIsTheSameOperation(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		random := rand.New(rand.NewPCG(1, 1))
		type answered struct {
			status    int
			code      string
			challenge string
		}
		ask := func(method, path string) answered {
			a, err := s.try(request{method: method, path: path})
			if err != nil {
				t.Fatal(err)
			}
			return answered{a.status, a.code(), a.header.Get("WWW-Authenticate")}
		}
		respelled := func(path string) string {
			var spelled strings.Builder
			for _, b := range []byte(path) {
				if b != '/' && random.IntN(3) == 0 {
					fmt.Fprintf(&spelled, []string{"%%%02x", "%%%02X"}[random.IntN(2)], b)
				} else {
					spelled.WriteByte(b)
				}
			}
			return spelled.String()
		}
		for _, op := range rules.Operations() {
			path := pathParameter.ReplaceAllString(op.Path, newID())
			plain := ask(op.Method, path)
			if !op.Anonymous() && plain.status != 401 {
				t.Errorf("%s: got %+v without a token", op.ID, plain)
			}
			for range 5 {
				if spelled := respelled(path); ask(op.Method, spelled) != plain {
					t.Errorf("%s %s: got %+v, want %+v", op.Method, spelled, ask(op.Method, spelled), plain)
				}
			}
			for _, odd := range []string{"/", "//", "/..", "/./", "%2f", "%5c", "%00", "/%2e%2e/", "%ff"} {
				at := 1 + random.IntN(len(path))
				spelled := respelled(path[:at]) + odd + respelled(path[at:])
				if a := ask(op.Method, spelled); a.status < 300 || a.status == 422 {
					t.Errorf("%s %s: got %+v", op.Method, spelled, a)
				}
			}
		}
		me := s.newcomer(t, "ann").AccessToken
		s.do(t, request{method: "GET", path: "/users/%6de", token: me}).want(200)
		s.do(t, request{method: "GET", path: "/%75sers/m%65/sess%69ons", token: me}).want(200)
	})
}
