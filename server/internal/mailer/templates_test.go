package mailer_test

import (
	"bufio"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sesame/server/internal/mailer"
	"sesame/server/secret"
)

// textLines are the lines of a stream.
func textLines(r io.Reader) iter.Seq[string] {
	scanner := bufio.NewScanner(r)
	return func(yield func(string) bool) {
		for scanner.Scan() && yield(strings.TrimSuffix(scanner.Text(), "\r")) {
		}
	}
}

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func render(t *testing.T, folder string, m mailer.Mail) mailer.Message {
	t.Helper()
	templates, err := mailer.NewTemplates(folder, "https://login.example")
	if err != nil {
		t.Fatal(err)
	}
	message, err := templates.Render("id", m, time.Unix(1_000_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	return message
}

// The start reports every error of a folder at once.
func TestTemplateFaultsAreReportedTogether(t *testing.T) {
	t.Parallel()
	_, err := mailer.NewTemplates(folder(t, map[string]string{
		"confirm_email.txt":        "Subject: x\n\n{{.NoSuch}}",
		"confirm_email.html":       "x",
		"reset_password.txt":       "Subject: x\n\nx", // without its HTML
		"password_changed.txt":     "no subject",
		"password_changed.html":    "x",
		"password_reset_done.txt":  "Subject: x\n\nx",
		"password_reset_done.html": "{{if not .NewEmail}}{{.Rare}}{{end}}", // only sometimes
		"new_login.txt":            "Subject: x\n\n{{",
		"new_login.html":           "<a href='{{.Link}}",
		"new-login.txt":            "x",
		".DS_Store":                "x",
	}), "https://login.example")
	if err == nil {
		t.Fatal("they are taken")
	}
	for _, part := range []string{"NoSuch", "reset_password.html", "password_changed.txt must begin", "Rare", "new_login.txt", "new-login.txt is not"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("it does not tell of %s:\n%v", part, err)
		}
	}
	if strings.Contains(err.Error(), "DS_Store") {
		t.Error(err)
	}
	if _, err = mailer.NewTemplates(filepath.Join(t.TempDir(), "none"), ""); err == nil {
		t.Error("a folder that is not there is taken")
	}
}

// A folder replaces the kinds that it has, and no others.
func TestTemplatesOfYourOwn(t *testing.T) {
	t.Parallel()
	own := folder(t, map[string]string{
		"new_login.txt":  "Subject: Hallo {{.FullName}}\r\n\r\n{{.UserAgent}} {{.When}}",
		"new_login.html": "<p>{{.FullName}}</p>",
	})
	m := mailer.Mail{Kind: mailer.NewLogin, To: "ann@example.com", Fields: mailer.Fields{FullName: "Ünal <b>", UserAgent: "curl", When: time.Unix(0, 0)}}
	got := render(t, own, m)
	if got.Subject != "Hallo Ünal <b>" || got.Text.Reveal() != "curl 1 January 1970, 00:00 UTC" || got.HTML.Reveal() != "<p>Ünal &lt;b&gt;</p>" {
		t.Errorf("%q %q %q", got.Subject, got.Text.Reveal(), got.HTML.Reveal())
	}
	m.Kind = mailer.PasswordChanged
	if got = render(t, own, m); !strings.Contains(got.Text.Reveal(), "https://login.example") {
		t.Errorf("%q", got.Text.Reveal())
	}
}

// Whatever a name holds, it begins no line and no header.
func TestNamesInMailsStayInTheirLine(t *testing.T) {
	t.Parallel()
	own := folder(t, map[string]string{"new_login.txt": "Subject: Hello {{.FullName}}!\n\n[{{.FullName}}] [{{.UserAgent}}]", "new_login.html": "x"})
	const nasty = "Ann\r\nBcc: bob@example.com\n\n\u2028\u202eevil\x00\u0085"
	got := render(t, own, mailer.Mail{Kind: mailer.NewLogin, Fields: mailer.Fields{FullName: nasty, UserAgent: nasty}})
	if got.Subject != "Hello Ann Bcc: bob@example.com evil !" || strings.ContainsAny(got.Text.Reveal(), "\r\n\u2028\u202e\x00\u0085") {
		t.Errorf("%q %q", got.Subject, got.Text.Reveal())
	}
}

// N11: what somebody else has chosen is no link in a mail, not even the name of an account from before names were checked.
func TestTextsOfOthersAreNoLinks(t *testing.T) {
	t.Parallel()
	own := folder(t, map[string]string{"new_login.txt": "Subject: Hello {{.Username}} at {{.PublicURL}}\n\n{{.Username}}|{{.FullName}}|{{.UserAgent}}", "new_login.html": "x"})
	for text, want := range map[string]string{
		"https://evil.example/reset":           "https evil.example/reset|https evil.example/reset|https evil example/reset",
		"ann.lee":                              "ann.lee|ann.lee|ann lee",
		"curl/8.5.0":                           "curl/8.5.0|curl/8.5.0|curl/8.5.0",
		"Bot/2.1 (+http://www.evil.рф/a.html)": "Bot/2.1 (+http www.evil.рф/a.html)|Bot/2.1 (+http www.evil.рф/a.html)|Bot/2.1 (+http www evil рф/a html)",
	} {
		got := render(t, own, mailer.Mail{Kind: mailer.NewLogin, Fields: mailer.Fields{Username: text, FullName: text, UserAgent: text}})
		if got.Text.Reveal() != want || !strings.HasSuffix(got.Subject, "at https://login.example") {
			t.Errorf("%q: %q %q, want %q", text, got.Subject, got.Text.Reveal(), want)
		}
	}
}

func TestWhatIsLeftOfACode(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000_000, 0)
	own := folder(t, map[string]string{"reset_password.txt": "Subject: x\n\n{{.ExpiresIn}} {{.Link}}", "reset_password.html": `<a href="{{.Link}}">x</a>`})
	for left, want := range map[time.Duration]string{
		time.Second: "1 minute", 90 * time.Second: "2 minutes", 30 * time.Minute: "30 minutes", time.Hour: "60 minutes",
		2*time.Hour - time.Second: "120 minutes", 2 * time.Hour: "2 hours", 24*time.Hour - time.Second: "24 hours",
	} {
		link := "https://login.example/reset-password?code=a-b_c"
		got := render(t, own, mailer.Mail{Kind: mailer.ResetPassword, Fields: mailer.Fields{Link: secret.New(link), ExpiresAt: now.Add(left)}})
		if got.Text.Reveal() != want+" "+link || !strings.Contains(got.HTML.Reveal(), `href="`+link+`"`) {
			t.Errorf("%v: %s, %s", left, got.Text.Reveal(), got.HTML.Reveal())
		}
	}
	templates, err := mailer.NewTemplates("", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = templates.Render("id", mailer.Mail{Kind: mailer.ResetPassword, Fields: mailer.Fields{ExpiresAt: now}}, now); !errors.Is(err, mailer.ErrPermanent) {
		t.Errorf("got %v", err)
	}
	if _, err = templates.Render("id", mailer.Mail{Kind: "of_a_newer_version"}, now); err == nil || errors.Is(err, mailer.ErrPermanent) {
		t.Errorf("got %v", err)
	}
}
