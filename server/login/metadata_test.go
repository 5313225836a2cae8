package login_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sesame/server/login/logintest"
)

// plans is a document that chooses what it keeps about an account.
const plans = `openapi: 3.0.3
info: { title: Plans, version: '1' }
paths: {}
components:
  schemas:
    UserMetadata:
      type: object
      additionalProperties: false
      properties:
        plan: { type: string, enum: [free, paid], maxLength: 10, description: What the person pays for., example: free }
        seats: { type: integer, minimum: 1, maximum: 100, description: How many people may use it., example: 1 }
        note: { type: string, maxLength: 5000, description: For the support., example: '' }
`

// metadataOf reads the metadata in an answer; nil for none.
func metadataOf(t *testing.T, response *logintest.Response) map[string]any {
	t.Helper()
	var account struct {
		UserMetadata map[string]any `json:"user_metadata"`
	}
	response.Want(t, 200).JSON(t, &account)
	return account.UserMetadata
}

// A service declares what it keeps about an account. The contract enforces that; administrators write it; the person and, with the scope
// profile, the clients read it; and it is exported and imported.
func TestMetadataOfAccounts(t *testing.T) {
	logintest.OnEachEngine(t, mounting(plans), func(t *testing.T, s *logintest.Server) {
		file := filepath.Join(t.TempDir(), "openapi.yaml")
		if err := os.WriteFile(file, []byte(plans), 0o600); err != nil {
			t.Fatal(err)
		}
		ann := s.Token(t, "ann", "openid", "profile", "me:read", "me:write")
		s.Token(t, "lee")
		if out, err := s.Sesame(t, "user", "--contract", file, "grant", "lee", "users:read", "users:write"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		lee := s.Token(t, "lee", "users:read", "users:write")
		var me struct{ ID string }
		s.Do(t, "GET", "/users/me", ann, "").Want(t, 200).JSON(t, &me)
		if got := metadataOf(t, s.Do(t, "GET", "/users/me", ann, "")); got != nil {
			t.Errorf("a new account has %v", got)
		}
		path := "/users/" + me.ID
		for _, body := range []string{
			`{"plan":"gold"}`, `{"seats":0}`, `{"seats":"1"}`, `{"other":1}`, `[]`, `"x"`, `null`, `{"plan":null}`, `{"note":"` + strings.Repeat("x", 2000) + `"}`,
		} {
			if a := s.Do(t, "PATCH", path, lee, `{"user_metadata":`+body+`}`); a.Status != 422 {
				t.Errorf("%.40s: %d", body, a.Status)
			}
		}
		s.Do(t, "PATCH", "/users/me", ann, `{"user_metadata":{"plan":"paid"}}`).Want(t, 422)
		s.Do(t, "PATCH", path, ann, `{"user_metadata":{"plan":"paid"}}`).Want(t, 403)
		want := map[string]any{"plan": "paid", "seats": 3.0, "note": "\u0000 \"ö\" </script>"}
		text, _ := json.Marshal(map[string]any{"user_metadata": want})
		for name, response := range map[string]*logintest.Response{
			"PATCH": s.Do(t, "PATCH", path, lee, string(text)), "a change of another field": s.Do(t, "PATCH", path, lee, `{"full_name":"Ann"}`),
			"the person": s.Do(t, "GET", "/users/me", ann, ""), "UserInfo": s.Do(t, "GET", "/userinfo", ann, ""),
		} {
			if got := metadataOf(t, response); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %v, want %v", name, got, want)
			}
		}
		if got := metadataOf(t, s.Do(t, "GET", "/userinfo", s.Token(t, "ann", "openid"), "")); got != nil {
			t.Errorf("without the scope profile: %v", got)
		}
		checkMove(t, s, file, want)
		for range 2 { // an empty object is none
			if got := metadataOf(t, s.Do(t, "PATCH", path, lee, `{"user_metadata":{}}`)); got != nil {
				t.Errorf("after {}: %v", got)
			}
		}
		var events struct{ Items []struct{ Kind string } }
		s.Do(t, "GET", "/users/me/events", ann, "").Want(t, 200).JSON(t, &events)
		changes := 0
		for _, e := range events.Items {
			if e.Kind == "profile_changed" {
				changes++
			}
		}
		if changes != 3 { // the metadata, the name, and the metadata again; the second {} changes nothing
			t.Errorf("%d changes are recorded: %v", changes, events.Items)
		}
	})
}

// checkMove exports the accounts and imports them at another server, which checks what its own document says.
func checkMove(t *testing.T, s *logintest.Server, document string, want map[string]any) {
	t.Helper()
	folder := t.TempDir()
	exported := filepath.Join(folder, "users.jsonl")
	if out, err := s.Sesame(t, "user", "export", exported); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	other := logintest.Start(t, mounting(plans), "SESAME_DATABASE_URL=sqlite:"+filepath.Join(folder, "other.db"))
	if out, err := other.Sesame(t, "user", "import", exported); err == nil || !strings.Contains(out, "user_metadata") {
		t.Errorf("without the document: %v\n%s", err, out)
	}
	if out, err := other.Sesame(t, "user", "--contract", document, "import", exported); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	table := filepath.Join(folder, "users.csv")
	for text, refused := range map[string]bool{`{""plan"":""free""}`: false, `{""plan"":""gold""}`: true, `plan`: true} {
		if err := os.WriteFile(table, []byte("username,user_metadata\nbob,\""+text+"\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := other.Sesame(t, "user", "--contract", document, "import", table, "--check"); (err != nil) != refused {
			t.Errorf("%s: %v\n%s", text, err, out)
		}
	}
	out, err := other.Sesame(t, "user", "show", "ann", "--json")
	var shown struct {
		UserMetadata map[string]any `json:"user_metadata"`
	}
	if err != nil || json.Unmarshal([]byte(out), &shown) != nil || !reflect.DeepEqual(shown.UserMetadata, want) {
		t.Errorf("%v: got %s, want %v", err, out, want)
	}
}
