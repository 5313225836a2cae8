package apitest

import (
	"strings"
	"testing"
	"time"

	"sesame/server/internal/smtptest"
)

// The command line invites people, starts recoveries, and lists accounts as the API does.
func TestInvitationsAtTheCommandLine(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		e := environment{"SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY": testKey()}
		s.must(t, "", "user", "create", "bob", "--email", "bob@example.com", "--invite", "--scope", "users:read")
		s.do(t, resetPassword(s.mailedCode(t, post, "bob@example.com", 1), horse)).want(204)
		s.login(t, "bob")
		fails(t, "", e, "needs --email", "user", "create", "carl", "--invite")
		fails(t, "", e, "--invite cannot be combined", "user", "create", "carl", "--invite", "--email", "carl@example.com", "--disabled")
		fails(t, "", e, "bob gets no mail. The account has a password", "user", "invite", "bob")
		if out := s.must(t, "", "user", "mail-reset", "bob"); !strings.Contains(out, "A link is mailed to bob@example.com") {
			t.Error(out)
		}
		s.do(t, resetPassword(s.mailedCode(t, post, "bob@example.com", 2), "a bigger wooden horse")).want(204)
		s.must(t, horse, "user", "create", "dora", "--disabled")
		for args, want := range map[string]string{
			"":                    "bob dora",
			"--sort=-username":    "dora bob",
			"--sort=-created_at":  "dora bob",
			"--scope users:read":  "bob",
			"--no-email-verified": "dora",
			"--second-factor":     "",
			"--disabled --created-after 2020-01-01T00:00:00Z": "dora",
			"--created-before 2020-01-01T00:00:00Z":           "",
		} {
			var names []string
			for _, line := range strings.Split(s.must(t, "", append([]string{"user", "list"}, strings.Fields(args)...)...), "\n") {
				if fields := strings.Fields(line); len(fields) > 5 && fields[0] != "USERNAME" && fields[0] != "Accounts" {
					names = append(names, fields[0])
				}
			}
			if got := strings.Join(names, " "); got != want {
				t.Errorf("user list %s lists %q, want %q", args, got, want)
			}
		}
		fails(t, "", e, "created-after", "user", "list", "--created-after", time.Now().Format(time.Kitchen))
	})
}
