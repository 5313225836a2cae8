package apitest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// inFolder writes files and returns their folder.
func inFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><script>alert(1)</script></svg>`

// The logo, the accent, the templates and the texts of an operator are on the pages, and the policy fits them.
func TestPagesOfTheOperator(t *testing.T) {
	t.Parallel()
	logo := filepath.Join(inFolder(t, map[string]string{"logo.svg": svg}), "logo.svg")
	folder := inFolder(t, map[string]string{
		"sign-in.html": `{{define "content"}}<p>Ring the bell.</p>{{range .Forms}}{{template "form" .}}{{end}}{{end}}`,
		"style.css":    "h1 { color: #123456; }",
		"en.yaml":      "texts: {sign-in.button: Open}",
		"fr.yaml":      "texts: {sign-in.title: Se connecter, errand.client: 'Pour continuer vers {client}.'}",
		".hidden":      "x",
	})
	s := start(t, sqliteURL(t), "SESAME_LOGO_FILE="+logo, "SESAME_ACCENT_COLOR=#FFdd00", "SESAME_PAGE_TEMPLATES="+folder)
	b := s.newBrowser()
	a := b.send(t, get("/sign-in")).want(200).shows("Ring the bell.").shows("<button>Open</button>").shows("--accent: #ffdd00; --on-accent: #000000;").
		shows("h1 { color: #123456; }").shows(`<img class="logo" src="sign-in/logo" alt="">`)
	policy := a.header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "; img-src 'self'; ") || !strings.Contains(policy, "style-src 'sha256-"+styleHash(t, a)+"';") {
		t.Errorf("the policy is %s", policy)
	}
	image := b.send(t, get("/sign-in/logo")).want(200)
	if image.header.Get("Content-Type") != "image/svg+xml" || !strings.Contains(image.header.Get("Content-Security-Policy"), "default-src 'none'") ||
		!strings.Contains(image.header.Get("Content-Security-Policy"), "sandbox") || string(image.body) != svg {
		t.Errorf("the logo is %v %s", image.header, image.body)
	}
	french := request{method: "GET", path: "/sign-in", header: map[string]string{"Accept-Language": "fr-CA, de;q=0.5"}}
	b.send(t, french).want(200).shows(`<html lang="fr">`).shows("<h1>Se connecter</h1>").shows("Open") // what it lacks is in English
	s.register(t, "ann")
	b.signInHere(t, "ann")
	b.send(t, get("/account/events")).want(200).shows(`src="../sign-in/logo"`)
	b.send(t, get("/a/b/c")).want(404).shows(`src="../../sign-in/logo"`)
}

func styleHash(t *testing.T, a *answer) string {
	t.Helper()
	style := styleElement.FindSubmatch(a.body)
	if style == nil {
		t.Fatalf("the page has no style: %s", a.body)
	}
	sum := sha256.Sum256(style[1])
	return base64.StdEncoding.EncodeToString(sum[:])
}

// N15: what cannot be used stops the start, with the name of the setting and of the file, before anything is written.
func TestPagesOfTheOperatorThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for reason, files := range map[string]map[string]string{
		"sign_in.html is not a file of any page":                {"sign_in.html": "x"},
		"sign-in.html: template":                                {"sign-in.html": `{{define "content"}}{{if}}{{end}}`},
		"can't evaluate field Titel":                            {"base.html": `<style>{{.Style}}</style>{{.Titel}}{{template "content" .}}`},
		"no page has the text \"sign-in.titel\"":                {"fr.yaml": "texts: {sign-in.titel: x}"},
		`"errand.client" must have the parameters [{client}]`:   {"fr.yaml": "texts: {errand.client: x}"},
		"french.yaml: is not named by a language":               {"french.yaml": "texts: {}"},
		"field text not found":                                  {"fr.yaml": "text: {}"},
		"SESAME_PAGE_TEMPLATES: the page templates in":          {"message.html": `{{define "content"}}{{template "nothing" .}}{{end}}`},
		`"sign-out.client" must have the parameters [{client}]`: {"en.yaml": "texts: {sign-out.client: '{clientt}'}"},
	} {
		e := environment{"SESAME_DATABASE_URL": "sqlite:" + t.TempDir() + "/sesame.db", "SESAME_LISTEN": "127.0.0.1:0", "SESAME_PAGE_TEMPLATES": inFolder(t, files)}
		fails(t, "", e, reason, "serve")
	}
	for name, content := range map[string]string{"logo.gif": "GIF89a", "logo.png": svg, "logo.svg": "<html>", "logo.jpg": strings.Repeat("x", 300<<10), "none.png": ""} {
		folder := inFolder(t, map[string]string{"x": ""})
		if content != "" {
			folder = inFolder(t, map[string]string{name: content})
		}
		data := t.TempDir()
		e := environment{"SESAME_DATABASE_URL": "sqlite:" + data + "/sesame.db", "SESAME_LISTEN": "127.0.0.1:0", "SESAME_LOGO_FILE": filepath.Join(folder, name)}
		fails(t, "", e, "SESAME_LOGO_FILE: ", "serve")
		if left := files(t, data); len(left) > 0 {
			t.Errorf("%s leaves %v", name, left)
		}
	}
	fails(t, "", environment{"SESAME_ACCENT_COLOR": "blue"}, `SESAME_ACCENT_COLOR is "blue"`, "config")
}

// The language of a page is that of the request, or else that of the browser, or else English; it stays through the forms.
func TestLanguagesOfPages(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		client := s.publicClient(t)
		for _, choice := range []struct{ locales, accept, lang string }{
			{"", "", "en"},
			{"", "de", "de"},
			{"", "de-AT,en;q=0.5", "de"},
			{"", "fr, de;q=0.3", "de"},
			{"", "ja", "en"},
			{"", "en-GB, de", "en"},
			{"de", "en", "de"},
			{"fr de-CH", "en", "de"},
			{"en", "de", "en"},
			{"xx !!", "de", "de"},
			{"", strings.Repeat("x", 5000), "en"},
			{"", "\x00", "en"},
		} {
			header := map[string]string{"Accept-Language": choice.accept}
			if choice.accept == "" || choice.accept == "\x00" {
				header = nil
			}
			want := `<html lang="` + choice.lang + `">`
			b, f := s.newBrowser(), newFlow(client, "ui_locales", choice.locales)
			page := b.send(t, request{method: "GET", path: f.request().path, header: header}).want(200).shows(want)
			form := page.formWith("", "")
			form.fields.Set("username", rand.Text())
			form.fields.Set("password", wrong)
			b.send(t, request{method: "POST", path: "/sign-in", form: form.fields, header: header}).want(422).shows(want)
			b.send(t, request{method: "GET", path: "/nothing", header: map[string]string{"Accept-Language": "de"}}).want(404).shows("Seite nicht gefunden")
		}
		german := map[string]string{"Accept-Language": "de"}
		for _, refused := range []struct{ username, password, text string }{
			{"", "kurz", "Das Passwort muss mindestens 8 Zeichen haben."},
			{"", "password1", "ist eines der häufigsten Passwörter"},
			{"", "bea-smith-1", "besteht aus dem Benutzernamen"},
			{"", strings.Repeat("x", 300), "darf höchstens 256 Zeichen haben"},
			{"", "a wooden\x00horse", "darf kein NUL-Zeichen enthalten"},
			{"", "a wooden \xff horse", "muss Text in UTF-8 sein"},
			{"ann", horse, "Der Benutzername ist vergeben."},
			{"admin", horse, "ist reserviert"},
			{"a b", horse, "muss aus Buchstaben"},
			{"a/b", horse, "darf weder / noch"},
			{"aлexa", horse, "darf keine Buchstaben verschiedener Schriften mischen"},
		} {
			form := url.Values{"email": {"bea.smith@example.com"}, "username": {refused.username}, "password": {refused.password}}
			a := s.newBrowser().send(t, request{method: "POST", path: "/sign-up", form: form, header: german})
			a.shows(refused.text).shows(`<html lang="de">`)
		}
	})
}
