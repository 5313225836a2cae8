package apitest

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"sesame/gen/api"
	"sesame/server/internal/contract"
)

// parts encodes a form as browsers send FormData, and returns its media type.
func parts(t *testing.T, form ...string) (body, mediaType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, field := range form {
		name, value, _ := strings.Cut(field, "=")
		if err := w.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), w.FormDataContentType()
}

func (s *server) sendForm(t *testing.T, path, body, mediaType string) *answer {
	t.Helper()
	return s.do(t, request{method: "POST", path: path, raw: strings.NewReader(body), header: map[string]string{"Content-Type": mediaType}})
}

// A login is also read from FormData of a browser, as strictly as from a plain form.
func TestALoginInAMultipartForm(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		login := []string{"grant_type=password", "username=ann", "password=" + horse}
		body, mediaType := parts(t, login...)
		first := decode[api.Token](s.sendForm(t, "/token", body, mediaType).want(200))
		body, mediaType = parts(t, "grant_type=refresh_token", "refresh_token="+first.RefreshToken)
		s.sendForm(t, "/token", body, strings.Replace(mediaType, "multipart/form-data", "Multipart/Form-Data", 1)).want(200)
		body, mediaType = parts(t, append(login, "scope=", "unknown=x", "client_id=first-party")...)
		s.sendForm(t, "/token", body, mediaType).want(200)

		part := func(header, value string) string {
			return "--b\r\n" + header + "\r\n\r\n" + value + "\r\n"
		}
		field := func(name, value string) string {
			return part(fmt.Sprintf("Content-Disposition: form-data; name=%q", name), value)
		}
		ann := field("grant_type", "password") + field("username", "ann") + field("password", horse)
		for name, c := range map[string]struct {
			body   string
			status int
		}{
			"complete":              {ann + "--b--\r\n", 200},
			"text in UTF-8":         {ann + part("Content-Disposition: form-data; name=scope\r\nContent-Type: text/plain; charset=utf-8", "me:read") + "--b--", 200},
			"repeated":              {ann + field("username", "bob") + "--b--", 400},
			"repeated unknown":      {ann + field("x", "1") + field("x", "2") + "--b--", 400},
			"not closed":            {ann, 400},
			"cut off":               {ann[:len(ann)-9], 400},
			"a file":                {ann + part(`Content-Disposition: form-data; name="scope"; filename="x"`, "me:read") + "--b--", 400},
			"a file without a name": {ann + part(`Content-Disposition: form-data; name="scope"; filename=""`, "me:read") + "--b--", 400},
			"no name":               {ann + part("Content-Disposition: form-data", "x") + "--b--", 400},
			"an attachment":         {ann + part("Content-Disposition: attachment; name=scope", "me:read") + "--b--", 400},
			"two dispositions":      {ann + part("Content-Disposition: form-data; name=x\r\nContent-Disposition: form-data; name=scope", "me:read") + "--b--", 400},
			"json in a part":        {ann + part("Content-Disposition: form-data; name=scope\r\nContent-Type: application/json", `"me:read"`) + "--b--", 400},
			"another charset":       {ann + part("Content-Disposition: form-data; name=scope\r\nContent-Type: text/plain; charset=utf-16", "me:read") + "--b--", 400},
			"quoted-printable":      {ann + part("Content-Disposition: form-data; name=scope\r\nContent-Transfer-Encoding: quoted-printable", "me=3Aread") + "--b--", 400},
			"not UTF-8":             {ann + field("x", "\xff") + "--b--", 400},
			"many parts":            {ann + strings.Repeat("--b\r\n\r\n\r\n", 6000) + "--b--", 400},
			"empty":                 {"--b--", 400},
		} {
			t.Run(name, func(t *testing.T) { s.sendForm(t, "/token", c.body, "multipart/form-data; boundary=b").want(c.status) })
		}
		s.sendForm(t, "/token", ann+"--b--", "multipart/form-data").want(400, "invalid_request") // no boundary
		plain := passwordGrant("ann", horse).form.Encode()                                       // each media type is read in its own way, whatever its parameters are
		s.sendForm(t, "/token", plain, "application/x-www-form-urlencoded; boundary=b").want(200)
		s.sendForm(t, "/token", plain, "multipart/form-data").want(400, "invalid_request")
		s.sendForm(t, "/token?username=ann", ann+"--b--", "multipart/form-data; boundary=b").want(400, "invalid_request")
		s.sendForm(t, "/token", strings.Repeat("-", contract.MaxBody+1), "multipart/form-data; boundary=b").want(413, "invalid_request")
		s.sendForm(t, "/token/revoke", field("token", "x")+"--b--", "multipart/form-data; boundary=b").want(415, "invalid_request")
	})
}

// FastAPI's tutorial logs in without grant_type. Nothing else works without it.
func TestALoginWithoutAGrantType(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		send := func(form url.Values) *answer { return s.do(t, request{method: "POST", path: "/token", form: form}) }
		tokens := decode[api.Token](send(url.Values{"username": {"ann"}, "password": {horse}}).want(200))
		send(url.Values{"grant_type": {""}, "username": {"ann"}, "password": {horse}, "scope": {"me:read"}}).want(200)
		send(url.Values{"username": {"ann"}, "password": {"another horse"}}).want(400, "invalid_grant")
		for _, form := range []url.Values{
			{},
			{"username": {"ann"}},
			{"password": {horse}},
			{"refresh_token": {tokens.RefreshToken}},
			{"username": {"ann"}, "password": {horse}, "refresh_token": {tokens.RefreshToken}},
			{"client_id": {"x"}, "client_secret": {"y"}},
		} {
			if a := send(form); a.status != 400 && a.status != 401 || form.Get("client_id") == "" && a.code() != "invalid_request" {
				t.Errorf("%v: got %d %s", form, a.status, a.body)
			}
		}
		send(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.RefreshToken}}).want(200) // none of them used it
	})
}

// Some clients declare a charset that is not UTF-8 for every text. A text in ASCII reads the same in each.
func TestCharsetsThatContainASCII(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		const form = "application/x-www-form-urlencoded; charset="
		good := "grant_type=password&username=ann&password=" + url.QueryEscape(horse)
		token := s.login(t, "ann").AccessToken
		for _, charset := range []string{"us-ascii", "US-ASCII", "ISO-8859-1", "latin1", "windows-1252", `"iso-8859-1"`, "utf8"} {
			s.sendForm(t, "/token", good, form+charset).want(200)
			patch := func(name string) *answer {
				return s.do(t, request{
					method: "PATCH", path: "/users/me", token: token, raw: strings.NewReader(`{"full_name":"` + name + `"}`),
					header: map[string]string{"Content-Type": "application/json; charset=" + charset},
				})
			}
			patch("Ann").want(200)
			if charset != "utf8" {
				s.sendForm(t, "/token", good+"&x=%C3%A9", form+charset).want(415, "invalid_request")
				patch("Ann\u00e9").want(415, "unsupported_media_type")
			}
		}
		for _, charset := range []string{"utf-16", "utf-7", "iso-2022-jp", "ebcdic-us", "x"} {
			s.sendForm(t, "/token", good, form+charset).want(415, "invalid_request")
		}
	})
}

// Many libraries repeat the scope of the login when they refresh, though the login got a part of it.
func TestARefreshThatRepeatsTheLoginsScope(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		const wide = "me:read users:write me:write unknown"
		tokens := decode[api.Token](s.do(t, withScope(passwordGrant("ann", horse), wide)).want(200))
		if tokens.Scope != "me:read me:write" {
			t.Fatalf("the login got %q", tokens.Scope)
		}
		for _, c := range []struct{ asked, got string }{{wide, "me:read me:write"}, {"me:write users:read", "me:write"}, {"  ", "me:read me:write"}} {
			if tokens = decode[api.Token](s.do(t, withScope(refreshGrant(tokens.RefreshToken), c.asked)).want(200)); tokens.Scope != c.got {
				t.Errorf("a refresh for %q got %q, want %q", c.asked, tokens.Scope, c.got)
			}
		}
		// None of them: that is refused, and does not use the token.
		s.do(t, withScope(refreshGrant(tokens.RefreshToken), "users:write me:delete")).want(400, "invalid_scope")
		s.do(t, refreshGrant(tokens.RefreshToken)).want(200)
	})
}

// RFC 6750 §2.1 allows several spaces after Bearer.
func TestSpacesInCredentials(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		token := s.newcomer(t, "ann").AccessToken
		get := func(authorization string) *answer {
			return s.do(t, request{method: "GET", path: "/users/me", header: map[string]string{"Authorization": authorization}})
		}
		for _, prefix := range []string{"Bearer ", "Bearer  ", "bearer     "} {
			get(prefix + token).want(200)
		}
		for _, wrong := range []string{"Bearer", "Bearer   ", "Bearer\t" + token, "Bearer " + token + " x", "Bearer, " + token} {
			get(wrong).want(401)
		}
		client := s.makeClient(t, "reader", "--scope", "users:read")
		r := client.sends(clientGrant(""))
		r.header["Authorization"] = strings.Replace(r.header["Authorization"], " ", "   ", 1)
		s.do(t, r).want(200)
	})
}

// Keyboards of phones add spaces around a name.
func TestSpacesAroundAUsername(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		for _, name := range []string{"ann ", " ann", "\tann\n", "Ann\u00a0"} {
			s.do(t, passwordGrant(name, horse)).want(200)
			s.do(t, passwordGrant(name, horse+" ")).want(400, "invalid_grant") // spaces of a password count
			s.do(t, passwordGrant("ann", horse)).want(200)                     // clears the counter
		}
		s.do(t, passwordGrant("a nn", horse)).want(400, "invalid_grant")
		s.do(t, passwordGrant(" ", horse)).want(400, "invalid_grant")
	})
}

func TestNullIsNoAddress(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		a := s.do(t, request{method: "POST", path: "/users", json: `{"username":"ann","password":"` + horse + `","email":null,"full_name":null}`}).want(201)
		if !strings.Contains(string(a.body), `"email":null`) {
			t.Errorf("got %s", a.body)
		}
	})
}

// The new password differs from the current one, however the keyboard encodes it.
func TestTheNewPasswordIsAnother(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		const composed, decomposed = "caf\u00e9 of a wooden horse", "cafe\u0301 of a wooden horse"
		s.do(t, request{method: "POST", path: "/users", json: map[string]string{"username": "ann", "password": composed}}).want(201)
		token := decode[api.Token](s.do(t, passwordGrant("ann", composed)).want(200)).AccessToken
		change := func(current, next string) *answer {
			return s.do(t, request{method: "PUT", path: "/users/me/password", token: token, json: map[string]string{"current_password": current, "new_password": next}})
		}
		for _, same := range []string{composed, decomposed} {
			a := change(composed, same).want(422, "validation_failed")
			if !strings.Contains(string(a.body), `"/new_password"`) {
				t.Errorf("got %s", a.body)
			}
		}
		change(composed, composed+"!").want(204)
	})
}

// HEAD is answered wherever GET is, checked like GET, with its status and headers and without a body (RFC 9110 §9.3.2).
func TestHeadIsAnsweredLikeGet(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, token := s.administrator(t, "boss")
		plain := map[string]string{"Accept-Encoding": "identity"} // net/http would add gzip to GET alone
		paths := []string{"/docs/", "/redoc", "/openapi.yaml", "/openapi.json", "/confirm-email?code=x", "/reset-password", "/users?limit=0", "/users/" + newID(), "/nothing"}
		for _, op := range rules.Operations() {
			if op.Method == http.MethodGet {
				paths = append(paths, pathParameter.ReplaceAllString(op.Path, newID()))
			}
		}
		for _, path := range paths {
			for _, token := range []string{token, "", "wrong"} {
				get, err := s.try(request{method: "GET", path: path, token: token, header: plain})
				if err != nil {
					t.Fatal(err)
				}
				head, err := s.try(request{method: "HEAD", path: path, token: token, header: plain})
				if err != nil {
					t.Fatal(err)
				}
				if len(head.body) > 0 || head.status != get.status {
					t.Errorf("HEAD %s is %d with %d bytes, GET is %d", path, head.status, len(head.body), get.status)
				}
				for _, name := range []string{"Content-Type", "Cache-Control", "WWW-Authenticate", "ETag", "Vary", "Content-Security-Policy", "X-Content-Type-Options", "Retry-After"} {
					if strings.Join(head.header.Values(name), "|") != strings.Join(get.header.Values(name), "|") {
						t.Errorf("%s of HEAD %s is %q, of GET %q", name, path, head.header.Values(name), get.header.Values(name))
					}
				}
			}
		}
	})
}
