// Package passkey is this server as a relying party of WebAuthn: it makes the options that a page gives to the browser, and
// verifies what the browser answers. It stores nothing.
//
//	rp := passkey.New("https://login.example.com", "Example", nil)
//	options, err := rp.CreationOptions(person, challenge) // for navigator.credentials.create
//	made, err := passkey.ParseMade(text)                  // what it has returned, as JSON
//	credential, err := rp.Register(made, person.ID)
//	options, err = rp.RequestOptions(nil, challenge)      // for navigator.credentials.get
//	answer, err := passkey.Parse(text)
//	used, err := rp.Verify(answer, person.ID, credential, true)
//
// Package identity makes the challenges and signs people in, and package account adds a passkey to an account.
package passkey

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

// TTL is how long a challenge is valid, and how long the browser waits for the person.
const TTL = 5 * time.Minute

// MaxText bounds what a browser answers, in bytes. The answers of authenticators have a few kilobytes at most.
const MaxText = 16 << 10

// RelyingParty is this server. It is safe for concurrent use.
type RelyingParty struct {
	library *webauthn.WebAuthn
	onPages bool
}

// OnPages reports whether the pages of this server can use passkeys.
func (rp *RelyingParty) OnPages() bool { return rp != nil && rp.onPages }

// New makes the relying party of a public URL: its ID is the host, and passkeys work at its origin and at those of origins whose
// host is the same or below it, since browsers allow no other (WebAuthn §5.1.3). It returns nil for a host that cannot have
// passkeys, such as an IP address. The server of a developer, at a loopback address, has those of localhost, for a front end there.
func New(publicURL, name string, origins []string) *RelyingParty {
	u, err := url.Parse(publicURL)
	if err != nil {
		return nil
	}
	id, onPages := strings.ToLower(u.Hostname()), true
	if ip := net.ParseIP(id); ip.IsLoopback() {
		id, onPages = "localhost", false
		port := u.Port()
		if u.Host = id; port != "" {
			u.Host += ":" + port
		}
	}
	config := &webauthn.Config{
		RPID: id, RPDisplayName: cmp.Or(name, id), RPOrigins: []string{u.Scheme + "://" + u.Host},
		// The statement of an authenticator about itself would only say which model it is.
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			// Preferred: a key that cannot store credentials is a second factor.
			ResidentKey: protocol.ResidentKeyRequirementPreferred, UserVerification: protocol.VerificationPreferred,
		},
		Timeouts: webauthn.TimeoutsConfig{
			Login:        webauthn.TimeoutConfig{Timeout: TTL, TimeoutUVD: TTL},
			Registration: webauthn.TimeoutConfig{Timeout: TTL, TimeoutUVD: TTL},
		},
		// Extensions of browsers add outputs that nobody has asked for.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	}
	for _, origin := range origins {
		if o, err := url.Parse(origin); err == nil && (o.Hostname() == id || strings.HasSuffix(o.Hostname(), "."+id)) {
			config.RPOrigins = append(config.RPOrigins, origin)
		}
	}
	library, err := webauthn.New(config)
	if err != nil {
		return nil
	}
	return &RelyingParty{library, onPages}
}

// Credential is a passkey as it is stored: JSON, without its ID and its counter, which have columns of their own.
type Credential struct {
	ID         []byte   `json:"-"`
	SignCount  uint32   `json:"-"`
	PublicKey  []byte   `json:"public_key"` // COSE
	AAGUID     []byte   `json:"aaguid"`     // the model of the authenticator; zeroes where it does not say
	Transports []string `json:"transports,omitempty"`
	// The flags of the last answer, but UserVerified: whether the person was ever verified with it.
	UserPresent    bool `json:"user_present"`
	UserVerified   bool `json:"user_verified"`
	BackupEligible bool `json:"backup_eligible"` // it may be synchronized between devices
	BackedUp       bool `json:"backed_up"`
}

// IDText is the ID of a credential as it is stored.
func IDText(id []byte) string { return base64.RawURLEncoding.EncodeToString(id) }

// Load reads a stored passkey.
func Load(id, stored string, signCount int64) (c Credential, err error) {
	if err = json.Unmarshal([]byte(stored), &c); err == nil {
		c.SignCount = uint32(signCount) //nolint:gosec // as Verify has returned it
		c.ID, err = base64.RawURLEncoding.DecodeString(id)
	}
	if err != nil {
		return c, fmt.Errorf("the stored passkey is corrupt: %w", err)
	}
	return c, nil
}

// Text is the stored form of a passkey.
func (c Credential) Text() (string, error) {
	text, err := json.Marshal(c)
	return string(text), err
}

// library converts a passkey.
func (c Credential) library() webauthn.Credential {
	converted := webauthn.Credential{
		ID: c.ID, PublicKey: c.PublicKey,
		Flags:         webauthn.CredentialFlags{UserPresent: c.UserPresent, UserVerified: c.UserVerified, BackupEligible: c.BackupEligible, BackupState: c.BackedUp},
		Authenticator: webauthn.Authenticator{AAGUID: c.AAGUID, SignCount: c.SignCount},
	}
	for _, t := range c.Transports {
		converted.Transport = append(converted.Transport, protocol.AuthenticatorTransport(t))
	}
	return converted
}

// Person is the owner of an account. Each method is one of webauthn.User.
type Person struct {
	ID, Username, FullName string
	Credentials            []Credential
}

// WebAuthnID is the user handle.
func (p Person) WebAuthnID() []byte { return []byte(p.ID) }

// WebAuthnName is the name that the browser shows.
func (p Person) WebAuthnName() string { return p.Username }

// WebAuthnDisplayName is the name that some browsers show beside it.
func (p Person) WebAuthnDisplayName() string {
	if p.FullName == "" {
		return p.Username
	}
	return p.FullName
}

// WebAuthnCredentials are the passkeys of the account.
func (p Person) WebAuthnCredentials() []webauthn.Credential {
	converted := make([]webauthn.Credential, len(p.Credentials))
	for i, c := range p.Credentials {
		converted[i] = c.library()
	}
	return converted
}

// descriptors name the passkeys of the account to a browser.
func (p Person) descriptors() []protocol.CredentialDescriptor {
	var all []protocol.CredentialDescriptor
	for _, c := range p.WebAuthnCredentials() {
		all = append(all, c.Descriptor())
	}
	return all
}

// errPasskey is the cause of every refusal of this package.
var errPasskey = errors.New("the passkey is not valid")

// refused is why a passkey was refused, for the log. The library keeps the reason apart from the text of its error.
func refused(err error) error {
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		return fmt.Errorf("%w: %s", errPasskey, e.Details)
	}
	return fmt.Errorf("%w: %w", errPasskey, err)
}
