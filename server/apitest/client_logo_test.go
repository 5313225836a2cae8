package apitest

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sesame/gen/api"
)

// pngOf and jpegOf make images of a colour.
func pngOf(t *testing.T, width, height int, shade uint8) []byte {
	t.Helper()
	picture := image.NewGray(image.Rect(0, 0, width, height))
	picture.SetGray(0, 0, color.Gray{shade})
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jpegOf(t *testing.T, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewRGBA(image.Rect(0, 0, width, height)), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// webP is the smallest WebP image: one pixel, lossless.
func webP(t *testing.T) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var clientLogo = regexp.MustCompile(`<img class="logo client" src="((?:\.\./)*)(sign-in/client-logo\?hash=[A-Za-z0-9_-]{43})" alt="">`)

// shownLogo is the path of the logo that a page shows. Its policy must let a browser load it.
func (a *answer) shownLogo() string {
	a.t.Helper()
	found := clientLogo.FindSubmatch(a.body)
	if found == nil || !strings.Contains(a.header.Get("Content-Security-Policy"), "img-src 'self'") {
		a.t.Fatalf("no logo is shown, or the policy %q forbids it:\n%s", a.header.Get("Content-Security-Policy"), a.body)
	}
	return "/" + string(found[2])
}

// An administrator gives a client a logo, which this server shows at an address that changes with it.
func TestClientsHaveLogos(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		manager := s.clientManager(t, "manager")
		send := func(method, path string, body any) *answer {
			t.Helper()
			return s.do(t, request{method: method, path: path, token: manager, json: body})
		}
		first, encode := pngOf(t, 64, 48, 1), base64.StdEncoding.EncodeToString
		made := decode[api.OAuthClientWithSecret](send("POST", "/clients", map[string]any{"name": "web", "redirect_uris": []string{callback}, "logo": encode(first)}).want(201))
		path, seen := "/clients/"+made.ClientID, map[string]bool{}
		shows := func(address string, content []byte, mediaType string) {
			t.Helper()
			a := s.do(t, get(strings.TrimPrefix(address, s.url))).want(200)
			if !bytes.Equal(a.body, content) || seen[address] {
				t.Errorf("%s shows another logo, or the address is that of another one", address)
			}
			seen[address] = true
			for name, want := range map[string]string{
				"Content-Type": mediaType, "X-Content-Type-Options": "nosniff", "Cache-Control": "public, max-age=31536000, immutable",
				"Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
			} {
				if got := a.header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		}
		shows(made.LogoURI, first, "image/png")
		list := send("GET", "/clients", nil).want(200)
		if all := decode[api.OAuthClientPage](list).Items; len(all) != 1 || all[0].LogoURI != made.LogoURI || strings.Contains(string(list.body), encode(first)) {
			t.Errorf("%s", list.body)
		}
		last := made.LogoURI
		for mediaType, content := range map[string][]byte{"image/jpeg": jpegOf(t, 1024, 1024), "image/webp": webP(t)} {
			changed := decode[api.OAuthClient](send("PATCH", path, map[string]any{"logo": encode(content)}).want(200))
			shows(changed.LogoURI, content, mediaType)
			if a := s.do(t, get(strings.TrimPrefix(last, s.url))).want(404); strings.Contains(a.header.Get("Cache-Control"), "immutable") {
				t.Error("that there is no logo is cached for ever")
			}
			last = changed.LogoURI
		}
		if kept := decode[api.OAuthClient](send("PATCH", path, map[string]any{"name": "other"}).want(200)); kept.LogoURI != last {
			t.Errorf("another name removes the logo: %q", kept.LogoURI)
		}
		if removed := decode[api.OAuthClient](send("PATCH", path, map[string]any{"logo": ""}).want(200)); removed.LogoURI != "" {
			t.Errorf("%q is left", removed.LogoURI)
		}
		s.do(t, get(strings.TrimPrefix(last, s.url))).want(404)
		again := decode[api.OAuthClient](send("PATCH", path, map[string]any{"logo": encode(first)}).want(200))
		send("DELETE", path, nil).want(204)
		s.do(t, get(strings.TrimPrefix(again.LogoURI, s.url))).want(404)
		for _, hash := range []string{"", "x", "%00", strings.Repeat("A", 43), "' OR 1=1 --"} {
			s.do(t, get("/sign-in/client-logo?hash="+strings.ReplaceAll(hash, " ", "%20"))).want(404)
		}
	})
}

// What a page says of an application has its logo: signing in, agreeing, letting a device in, and the list of applications.
func TestPagesShowTheLogoOfAClient(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		logo := filepath.Join(t.TempDir(), "logo")
		if err := os.WriteFile(logo, pngOf(t, 8, 8, 2), 0o600); err != nil {
			t.Fatal(err)
		}
		s.register(t, "ann")
		client, b := s.publicClient(t, "--third-party", "--device", "--logo", logo), s.newBrowser()
		page := b.send(t, newFlow(client).request()).want(200)
		address := page.shownLogo()
		s.do(t, get(address)).want(200)
		consent := b.submit(t, page.form(), "username", "ann", "password", horse).want(200)
		codeOf(t, b.submit(t, consent.form(), "decision", "allow"))
		device := b.enters(t, s.television(t, client, "scope", "openid").UserCode).want(200)
		for name, a := range map[string]*answer{"consent": consent, "device": device, "applications": b.send(t, get("/account/applications")).want(200)} {
			if got := a.shownLogo(); got != address {
				t.Errorf("%s shows %s, not %s", name, got, address)
			}
		}
		plain := b.send(t, newFlow(s.publicClient(t, "--third-party")).request()).want(200)
		if clientLogo.Match(plain.body) || strings.Contains(plain.header.Get("Content-Security-Policy"), "img-src") {
			t.Errorf("a client without a logo shows one, or its page may load images: %s", plain.body)
		}
	})
}

// hostileLogos are files that are no logo, with a part of what the server says of each.
func hostileLogos(t *testing.T) map[string]struct {
	content []byte
	fault   string
} {
	t.Helper()
	good, photo, web := pngOf(t, 4, 4, 3), jpegOf(t, 16, 16), webP(t)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	huge := bytes.Clone(good)
	binary.BigEndian.PutUint32(huge[16:], 60000)
	binary.BigEndian.PutUint32(huge[29:], crc32.ChecksumIEEE(huge[12:29]))
	flipped := bytes.Clone(good)
	flipped[18] ^= 1
	const kind, damaged = "must be a PNG, JPEG or WebP image", "is a damaged image, or something follows the image"
	return map[string]struct {
		content []byte
		fault   string
	}{
		"svg":                         {[]byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`), kind},
		"html":                        {[]byte(`<!doctype html><script>alert(1)</script>`), kind},
		"gif":                         {[]byte("GIF89a\x01\x00\x01\x00\x00\x00\x00;"), kind},
		"pdf":                         {[]byte("%PDF-1.7"), kind},
		"text before a PNG":           {join([]byte("x"), good), kind},
		"PNG and a web page":          {join(good, []byte("<script>alert(1)</script>")), damaged},
		"PNG and a zip archive":       {join(good, []byte("PK\x03\x04")), damaged},
		"two PNGs":                    {join(good, good), damaged},
		"JPEG and a web page":         {join(photo, []byte("<script>alert(1)</script>")), damaged},
		"JPEG that is cut":            {photo[:len(photo)-2], damaged},
		"JPEG without an image":       {[]byte("\xff\xd8\xff\xd9"), damaged},
		"WebP and a web page":         {join(web, []byte("<script>alert(1)</script>")), damaged},
		"WebP without an image":       {[]byte("RIFF\x04\x00\x00\x00WEBP"), damaged},
		"a sound":                     {[]byte("RIFF\x1a\x00\x00\x00WAVEfmt \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), damaged},
		"PNG that is cut":             {good[:len(good)-1], damaged},
		"PNG signature":               {good[:8], damaged},
		"PNG with another check sum":  {flipped, damaged},
		"PNG of 60,000 pixels a line": {huge, "must have at most 1024 pixels"},
		"JPEG of 1,025 pixels a line": {jpegOf(t, 1025, 1), "must have at most 1024 pixels"},
		"JPEG with a second frame":    {secondFrame(jpegOf(t, 1025, 1), 1, 1), damaged},
		"too large":                   {join(good, make([]byte, 32<<10)), "must have at most 32 KiB"},
	}
}

// secondFrame adds a frame of another size, and its scan, to a JPEG. A browser draws the first one.
func secondFrame(photo []byte, height, width uint16) []byte {
	frame := []byte{0xff, 0xc0, 0, 8, 8, 0, 0, 0, 0, 0, 0xff, 0xda, 0, 2}
	binary.BigEndian.PutUint16(frame[5:], height)
	binary.BigEndian.PutUint16(frame[7:], width)
	end := len(photo) - 2
	return append(append(append([]byte{}, photo[:end]...), frame...), photo[end:]...)
}

// Nothing is taken for a logo that is also something else, or that would fill a browser.
func TestHostileLogos(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		manager := s.clientManager(t, "manager")
		made := decode[api.OAuthClientWithSecret](s.do(t, request{method: "POST", path: "/clients", token: manager, json: map[string]any{"name": "web"}}).want(201))
		for name, test := range hostileLogos(t) {
			text := base64.StdEncoding.EncodeToString(test.content)
			for _, r := range []request{
				{method: "POST", path: "/clients", json: map[string]any{"name": "another", "logo": text}},
				{method: "PATCH", path: "/clients/" + made.ClientID, json: map[string]any{"logo": text}},
			} {
				r.token = manager
				a := s.do(t, r).want(422, "validation_failed").pointsAt("/logo")
				if tooLong := len(text) > 43692; !tooLong && !strings.Contains(string(a.body), test.fault) || strings.Contains(string(a.body), "alert") {
					t.Errorf("%s: %s", name, a.body)
				}
			}
		}
		for _, text := range []string{"x", "AAA", "AAAA====", "AB==", " ", "iVBORw0K-_=="} {
			s.do(t, request{method: "PATCH", path: "/clients/" + made.ClientID, token: manager, json: map[string]any{"logo": text}}).want(422, "validation_failed").pointsAt("/logo")
		}
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM client_logos`); n != "0" {
			t.Errorf("%s logos are stored", n)
		}
	})
}

// The command line and the bootstrap file give logos by file, and say what is wrong with one.
func TestLogosByFile(t *testing.T) {
	s := start(t, sqliteURL(t))
	folder := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("logo.png", pngOf(t, 4, 4, 4))
	client := s.makeClient(t, "web", "--logo", good)
	shown := s.must(t, "", "client", "update", client.ID, "--logo", file("logo.webp", webP(t)), "--json")
	found := regexp.MustCompile(`"logo_uri":"[^"]*(/sign-in/client-logo\?hash=[^"]*)"`).FindStringSubmatch(shown)
	if found == nil {
		t.Fatal(shown)
	}
	s.do(t, get(found[1])).want(200)
	if text := s.must(t, "", "client", "update", client.ID, "--name", "other"); !strings.Contains(text, found[1]) {
		t.Errorf("another name removes the logo:\n%s", text)
	}
	for name, test := range hostileLogos(t) {
		path := file("hostile", test.content)
		_, stderr, code := s.sesame(t, "", "client", "update", client.ID, "--logo", path)
		if code != 1 || !strings.Contains(stderr, path+" "+test.fault) {
			t.Errorf("%s: code %d\n%s", name, code, stderr)
		}
	}
	if _, stderr, code := s.sesame(t, "", "client", "create", "third", "--logo", filepath.Join(folder, "none")); code != 1 || !strings.Contains(stderr, "there is no file") {
		t.Errorf("code %d\n%s", code, stderr)
	}
	if text := s.must(t, "", "client", "update", client.ID, "--logo", ""); strings.Contains(text, "logo") {
		t.Error(text)
	}
	s.do(t, get(found[1])).want(404)
}

func TestABootstrapFileGivesLogos(t *testing.T) {
	entry := func(logo string) string {
		return "clients:\n  - client_id: " + billing + "\n    name: billing\n    update: true\n    secret_file: billing.secret\n" + logo
	}
	url, d := sqliteURL(t), declare(t, entry("    logo_file: logo.png\n"))
	d.refused(t, url, "FILE:6: there is no file "+filepath.Join(d.folder, "logo.png")+"; create it, or correct logo_file")
	d.write(t, "logo.png", "<svg>")
	d.refused(t, url, "FILE:6: the logo "+filepath.Join(d.folder, "logo.png")+" must be a PNG, JPEG or WebP image")
	d.write(t, "logo.png", string(pngOf(t, 4, 4, 5)))
	logos := func(want string) {
		t.Helper()
		s := d.start(t, url)
		defer s.stop()
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM client_logos l JOIN clients c ON c.id = l.client_id AND c.logo_hash = l.hash`); n != want {
			t.Errorf("%s logos, want %s", n, want)
		}
	}
	logos("1")
	logos("1")
	d.write(t, "bootstrap.yaml", entry(""))
	logos("0")
}
