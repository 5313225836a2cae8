package apitest

import (
	"encoding/json"
	"strings"
	"testing"

	"sesame/server/internal/token/personal"
)

// The operator makes a token for an account, lists the tokens and revokes them.
func TestPersonalTokensAtTheCommandLine(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		e := environment{"SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY": testKey()}
		s.newcomer(t, "ann")
		s.must(t, "", "user", "grant", "ann", "users:read")
		var made struct {
			ID, Token string
			Scopes    []string
		}
		printed := succeeds(t, "", e, "user", "add-token", "ann", "--name", "Report", "--scope", "users:read", "--scope", "me:read", "--days", "7", "--json")
		if err := json.Unmarshal([]byte(printed), &made); err != nil || !personal.IsWellFormed(made.Token) || len(made.Scopes) != 2 {
			t.Fatalf("%v %s", err, printed)
		}
		s.do(t, request{method: "GET", path: "/users", token: made.Token}).want(200)
		lines := succeeds(t, "", e, "user", "add-token", "ann", "--name", "Other", "--scope", "me:read")
		if !strings.Contains(lines, "token       ssm_") || !strings.Contains(lines, "Copy the token now") {
			t.Errorf("printed\n%s", lines)
		}
		list := succeeds(t, "", e, "user", "tokens", "ann", "--json")
		if items := itemsOf(t, list); len(items) != 2 || items[0]["name"] != "Other" || items[1]["id"] != made.ID || items[1]["last_used_at"] == nil || strings.Contains(list, made.Token) {
			t.Errorf("listed %s", list)
		}
		if left := itemsOf(t, succeeds(t, "", e, "user", "tokens", "ann", "--revoke", strings.ToUpper(made.ID), "--json")); len(left) != 1 {
			t.Errorf("left are %v", left)
		}
		s.do(t, me(made.Token)).want(401, "invalid_token")
		fails(t, "", e, `unknown token "`+made.ID+`" in --revoke; list those of ann with: sesame user tokens ann`, "user", "tokens", "ann", "--revoke", made.ID)
		create := func(more ...string) []string { return append([]string{"user", "add-token", "ann"}, more...) }
		fails(t, "", e, `unknown scope "admin" in --scope`, create("--name", "x", "--scope", "admin")...)
		fails(t, "", e, `--scope "users:write" is not a scope of the account`, create("--name", "x", "--scope", "users:write")...)
		fails(t, "", e, `--days 367 must be from 1 to 366`, create("--name", "x", "--scope", "me:read", "--days", "367")...)
		fails(t, "", e, "--name", create("--scope", "me:read")...)
		fails(t, "", e, "--scope", create("--name", "x")...)
	})
}
