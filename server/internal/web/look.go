package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"
)

//go:embed templates
var embeddedTemplates embed.FS

// codeTemplate is the template of the pages behind mailed links.
const codeTemplate = "code"

// templates are the names of the templates of the pages. base.html has what they share.
var templates = []string{
	"message", "sign-in", "second-factor", "sign-up", "forgot-password", codeTemplate, "consent", "device", "sign-out",
	"authenticator", "recovery-codes", "account", "account-security", "account-factor", "account-passkeys", "account-sessions", "account-applications", "account-identities", "account-events", "account-tokens", "account-token", "account-token-made", "account-delete",
}

// logoPath is where the server shows the logo.
const logoPath = "sign-in/logo"

// maxLogo bounds the file of a logo, in bytes. It is sent with no page, but a phone loads it before the first one is complete.
const maxLogo = 256 << 10

// Look is how the pages look, and the texts that they have.
type Look struct {
	languages *languages
	views     map[string]view
	style     template.CSS
	colors    string // the part of style that follows from the accent
	logo      *Logo
}

// view is a template with the hashes of its style elements, for the policy.
type view struct {
	template *template.Template
	styles   string
}

// Logo is an image.
type Logo struct {
	content   []byte
	mediaType string
}

// LookOptions are the choices of an operator. Each may be empty.
type LookOptions struct {
	Templates string // a folder with files that replace built-in ones: templates, style.css, and texts (LANGUAGE.yaml)
	Logo      *Logo
	Accent    string // a colour: #rrggbb
}

var builtIn = sync.OnceValue(func() *Look {
	look, err := NewLook(LookOptions{})
	if err != nil { // impossible: it is embedded, and a test renders it
		panic(err)
	}
	return look
})

// NewLook reads the templates, and renders each with examples, so that a mistake is found at the start. The error lists
// everything that is wrong with the folder.
func NewLook(o LookOptions) (*Look, error) {
	own, err := fs.Sub(embeddedTemplates, "templates")
	if err != nil {
		return nil, err
	}
	var folder fs.FS
	if o.Templates != "" {
		folder = os.DirFS(o.Templates)
		if err = checkFolder(o.Templates); err != nil {
			return nil, err
		}
	}
	look := &Look{views: map[string]view{}}
	if look.languages, err = newLanguages(folder); err != nil {
		return nil, fmt.Errorf("the texts in %s cannot be used:\n%w", o.Templates, err)
	}
	look.logo = o.Logo
	css, err := readEither(folder, own, "style.css")
	if err != nil {
		return nil, err
	}
	look.colors = accentOf(o.Accent).css()
	look.style = template.CSS(look.colors + string(css)) //nolint:gosec // the operator's
	var faults []error
	for _, name := range templates {
		if look.views[name], err = look.parse(folder, own, name); err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("the page templates in %s cannot be used:\n%w", o.Templates, errors.Join(faults...))
	}
	return look, nil
}

// checkFolder refuses a file that no page uses, since its name is probably mistyped.
func checkFolder(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	var faults []error
	for _, entry := range entries {
		name := entry.Name()
		kind, isTemplate := strings.CutSuffix(name, ".html")
		switch {
		case strings.HasPrefix(name, "."), strings.HasSuffix(name, ".yaml"), name == "style.css": // those with a dot are of an editor, or of a mounted volume
		case isTemplate && (kind == "base" || kind == "passkey" || slices.Contains(templates, kind)):
		default:
			faults = append(faults, fmt.Errorf("%s is not a file of any page; the names are base.html, passkey.html, %s.html, style.css and LANGUAGE.yaml",
				name, strings.Join(templates, ".html, ")))
		}
	}
	if len(faults) > 0 {
		return fmt.Errorf("the folder %s cannot be used:\n%w", folder, errors.Join(faults...))
	}
	return nil
}

// readEither reads a file of the operator's folder, if it has one, or else the built-in one.
func readEither(folder, own fs.FS, name string) ([]byte, error) {
	if folder != nil {
		if content, err := fs.ReadFile(folder, name); !errors.Is(err, fs.ErrNotExist) {
			return content, err
		}
	}
	return fs.ReadFile(own, name)
}

var styleElement = regexp.MustCompile(`(?s)<style>(.*?)</style>`)

// parse reads the template of a page, and renders it with and without everything that a page can have.
func (l *Look) parse(folder, own fs.FS, name string) (v view, err error) {
	v.template = template.New(name)
	for _, file := range []string{"passkey.html", "base.html", name + ".html"} {
		content, err := readEither(folder, own, file)
		if err != nil {
			return v, err
		}
		if _, err = v.template.Parse(string(content)); err != nil {
			return v, fmt.Errorf("%s: %w", file, err)
		}
	}
	var html bytes.Buffer
	for _, example := range []page{fullExample(name), {template: name}} {
		example.texts, example.style, example.Look = l.languages.all[0], l.style, l
		html.Reset()
		if err = v.template.Execute(&html, example); err != nil {
			return v, err
		}
	}
	for _, element := range styleElement.FindAllSubmatch(html.Bytes(), -1) {
		sum := sha256.Sum256(element[1])
		v.styles += " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	if v.styles = strings.TrimPrefix(v.styles, " "); v.styles == "" {
		v.styles = "'none'"
	}
	return v, nil
}

// fullExample is a page with everything that a template can show.
func fullExample(name string) page {
	f := &form{
		Heading: "A form", Text: "Its text.", Action: "sign-in", Hidden: []hidden{{"request", "sealed"}}, Username: "ann",
		Fields: []*field{
			{Name: "email", Type: "email", Label: "Address", Hint: "A hint.", Value: "ann@example.com", Autocomplete: "email", Fault: "It is refused.", Focus: true},
			{Name: "username", Label: "Account", Options: []option{{"ann", "ann", true}}, FaultAbove: true},
		},
		Buttons: []button{{Text: "Go on"}, {Text: "Stop", Name: "decision", Value: "deny", Second: true}},
	}
	return page{
		template: name, Site: Site{Name: "Example", Home: "https://example.com/", MinLength: 8}, Title: "Title", Notice: "Done.", Fault: "It failed.",
		Text: []template.HTML{"A paragraph."}, Forms: []*form{f}, Scopes: []string{"Read the profile"}, Nav: []link{{"account/events", "Events"}},
		Image: "<svg></svg>", Secret: "ABCD", Codes: []string{"ABCD-EFGH"},
		Items: []item{{"Firefox", "sign-in/client-logo", []string{"192.0.2.1"}, []string{"Read the profile"}, f}}, ClientLogo: "sign-in/client-logo", Links: []link{{"sign-in", "Sign in"}}, Wide: true, Base: "../",
		Passkey: &passkeyForm{form: *f, Options: "{}", Creates: true, Conditional: true, Failed: "It failed."},
	}
}

// logoTypes are the media types of logos by the ending of their file.
var logoTypes = map[string]string{".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}

// ReadLogo reads a logo; nil for "".
func ReadLogo(file string) (*Logo, error) {
	if file == "" {
		return nil, nil
	}
	mediaType, ok := logoTypes[strings.ToLower(filepath.Ext(file))]
	if !ok {
		return nil, fmt.Errorf("%s must be a file .svg, .png, .jpg or .webp", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxLogo+1))
	switch {
	case err != nil:
		return nil, err
	case len(content) > maxLogo:
		return nil, fmt.Errorf("%s has more than %d KB", file, maxLogo>>10)
	case mediaType == "image/svg+xml" && !bytes.Contains(content, []byte("<svg")),
		mediaType != "image/svg+xml" && http.DetectContentType(content) != mediaType:
		return nil, fmt.Errorf("%s is not the image that its name says", file)
	}
	return &Logo{content, mediaType}, nil
}

// showClientLogo is GET /sign-in/client-logo. The address changes with the content, so it can be cached for ever.
func (p *Pages) showClientLogo(c echo.Context) error {
	content, mediaType, err := p.OAuth.Logo(c.Request().Context(), c.QueryParam("hash"))
	if err != nil {
		return err
	}
	header := c.Response().Header()
	header.Set(echo.HeaderContentSecurityPolicy, "default-src 'none'; sandbox; frame-ancestors 'none'")
	header.Set(echo.HeaderCacheControl, "public, max-age=31536000, immutable")
	return c.Blob(http.StatusOK, mediaType, content)
}

// showLogo is GET /sign-in/logo. Its policy keeps a script in an SVG file from running, where somebody opens the file itself.
func (s Site) showLogo(c echo.Context) error {
	shown := s.look().logo
	if shown == nil {
		return echo.ErrNotFound
	}
	header := c.Response().Header()
	header.Set(echo.HeaderContentSecurityPolicy, "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'")
	header.Set(echo.HeaderCacheControl, "public, max-age=3600")
	return c.Blob(http.StatusOK, shown.mediaType, shown.content)
}
