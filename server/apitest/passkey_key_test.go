package apitest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"html"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The flags of an authenticator (WebAuthn §6.1).
const (
	userPresent, userVerified, backupEligible, backedUp, keyIncluded = 0x01, 0x04, 0x08, 0x10, 0x40
)

const (
	passkeyHost   = "login.example"
	passkeyOrigin = "https://" + passkeyHost
	withPasskeys  = "SESAME_PUBLIC_URL=" + passkeyOrigin
)

// softKey is an authenticator with one passkey. Its exported methods do what a browser and a key do together.
type softKey struct {
	id      []byte
	user    []byte // the user handle
	private *ecdsa.PrivateKey
	flags   byte
	counter uint32 // of the next signature; a zero stays zero
}

func newSoftKey(t *testing.T) *softKey {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := make([]byte, 32)
	_, _ = rand.Read(id)
	return &softKey{id: id, private: private, flags: userPresent | userVerified}
}

// ceremony is what an authenticator and a browser say, before it is signed. A test changes what it likes.
type ceremony struct {
	kind, challenge, origin, host string
	crossOrigin                   bool
	flags                         byte
	counter                       uint32
	id, user                      []byte
	private                       *ecdsa.PrivateKey // that signs
}

func (k *softKey) begin(t *testing.T, kind, options string, changes []func(*ceremony)) ceremony {
	t.Helper()
	var o struct {
		Challenge string
		User      struct{ ID string }
	}
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		t.Fatalf("%s: %v", options, err)
	}
	if o.User.ID != "" {
		k.user = decode64(t, o.User.ID)
	}
	c := ceremony{kind: kind, challenge: o.Challenge, origin: passkeyOrigin, host: passkeyHost, flags: k.flags, counter: k.counter, id: k.id, user: k.user, private: k.private}
	for _, change := range changes {
		change(&c)
	}
	return c
}

func (c ceremony) clientData() []byte {
	text, _ := json.Marshal(map[string]any{"type": c.kind, "challenge": c.challenge, "origin": c.origin, "crossOrigin": c.crossOrigin})
	return text
}

// authenticatorData is that of WebAuthn §6.1, without the key.
func (c ceremony) authenticatorData() []byte {
	host := sha256.Sum256([]byte(c.host))
	return binary.BigEndian.AppendUint32(append(host[:], c.flags), c.counter)
}

// create is navigator.credentials.create: it returns the answer as JSON.
func (k *softKey) create(t *testing.T, options string, changes ...func(*ceremony)) string {
	t.Helper()
	c := k.begin(t, "webauthn.create", options, changes)
	c.flags |= keyIncluded
	public, err := c.private.PublicKey.Bytes() // 4, x, y
	if err != nil {
		t.Fatal(err)
	}
	// A COSE key: {1: 2, 3: -7, -1: 1, -2: x, -3: y}, after the AAGUID and the ID.
	data := slices.Concat(c.authenticatorData(), make([]byte, 16), binary.BigEndian.AppendUint16(nil, uint16(len(c.id))), c.id,
		[]byte{0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20}, public[1:33], []byte{0x22, 0x58, 0x20}, public[33:])
	// {"fmt": "none", "attStmt": {}, "authData": data}
	object := slices.Concat([]byte{0xa3, 0x63}, []byte("fmt"), []byte{0x64}, []byte("none"), []byte{0x67}, []byte("attStmt"), []byte{0xa0, 0x68}, []byte("authData"),
		binary.BigEndian.AppendUint16([]byte{0x59}, uint16(len(data))), data)
	return answerText(c.id, map[string]any{
		"clientDataJSON": encode64(c.clientData()), "attestationObject": encode64(object), "transports": []string{"internal", "hybrid"},
	})
}

// get is navigator.credentials.get.
func (k *softKey) get(t *testing.T, options string, changes ...func(*ceremony)) string {
	t.Helper()
	c := k.begin(t, "webauthn.get", options, changes)
	if k.counter > 0 {
		k.counter++
	}
	client, data := c.clientData(), c.authenticatorData()
	hashed := sha256.Sum256(client)
	sum := sha256.Sum256(slices.Concat(data, hashed[:]))
	signature, err := ecdsa.SignASN1(rand.Reader, c.private, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	response := map[string]any{"clientDataJSON": encode64(client), "authenticatorData": encode64(data), "signature": encode64(signature)}
	if c.user != nil {
		response["userHandle"] = encode64(c.user)
	}
	return answerText(c.id, response)
}

func answerText(id []byte, response map[string]any) string {
	text, _ := json.Marshal(map[string]any{"id": encode64(id), "rawId": encode64(id), "type": "public-key", "response": response, "clientExtensionResults": map[string]any{}})
	return string(text)
}

func encode64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func decode64(t *testing.T, text string) []byte {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

var passkeyElement = regexp.MustCompile(`(?s)<form method="post" action="([^"]*)" data-passkey="([^"]*)"(.*?)</form>`)

// passkeyForm reads the form of a page whose script asks for a passkey.
func (a *answer) passkeyForm() (p webPage, options string) {
	a.t.Helper()
	found := passkeyElement.FindSubmatch(a.body)
	if found == nil {
		a.t.Fatalf("%d: the page asks for no passkey\n%s", a.status, a.body)
	}
	p = webPage{answer: a, action: path.Join("/", string(found[1])), fields: url.Values{}}
	for _, field := range hiddenTag.FindAllSubmatch(found[3], -1) {
		p.fields.Set(string(field[1]), html.UnescapeString(string(field[2])))
	}
	return p, html.UnescapeString(string(found[2]))
}

// follows sends the browser where a page sends it.
func (b *browser) follows(t *testing.T, a *answer, page string) *answer {
	t.Helper()
	if at := a.want(303).header.Get("Location"); at != passkeyOrigin+page {
		t.Fatalf("the browser is sent to %s, not to %s", at, page)
	}
	return b.send(t, get(page))
}

// withPassword signs a person in on the page, for the account page.
func (b *browser) withPassword(t *testing.T, username string) {
	t.Helper()
	b.follows(t, b.submit(t, b.send(t, get("/sign-in")).formWith("", ""), "username", username, "password", horse), "/account")
}

// withPasskey sends the answer of a passkey on the sign-in page.
func (b *browser) withPasskey(t *testing.T, key *softKey, changes ...func(*ceremony)) *answer {
	t.Helper()
	p, options := b.send(t, get("/sign-in")).want(200).passkeyForm()
	return b.submit(t, p, "passkey", key.get(t, options, changes...))
}

// addPasskey gives an account a new passkey, on the page.
func (b *browser) addPasskey(t *testing.T, key *softKey, changes ...func(*ceremony)) *answer {
	t.Helper()
	p, options := b.send(t, get("/account/passkeys")).want(200).passkeyForm()
	return b.submit(t, p, "name", "My key", "passkey", key.create(t, options, changes...))
}

// withKey registers a person with a passkey.
func (s *server) withKey(t *testing.T, username string) *softKey {
	t.Helper()
	s.register(t, username)
	key, b := newSoftKey(t), s.newBrowser()
	b.withPassword(t, username)
	b.addPasskey(t, key).want(200).shows("recovery codes")
	return key
}

// between returns the text between two others, or "".
func between(text, before, after string) string {
	_, rest, _ := strings.Cut(text, before)
	found, _, _ := strings.Cut(rest, after)
	return found
}

func sha256Base64(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}
