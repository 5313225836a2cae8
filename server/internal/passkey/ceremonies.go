package passkey

import (
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

// CreationOptions are the options for a new passkey of a person, as JSON (PublicKeyCredentialCreationOptionsJSON). The browser
// makes none on an authenticator that has one of the account already. challenge is in base64url, without padding.
func (rp *RelyingParty) CreationOptions(person Person, challenge string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.DecodeString(challenge)
	if err != nil {
		return nil, err
	}
	creation, _, err := rp.library.BeginRegistration(person, webauthn.WithExclusions(person.descriptors()), func(o *protocol.PublicKeyCredentialCreationOptions) error {
		o.Challenge = raw
		return nil
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(creation.Response)
}

// RequestOptions are the options for a sign-in, as JSON (PublicKeyCredentialRequestOptionsJSON). Without a person they are for one
// who is not known yet: the authenticator then verifies the person, with a fingerprint or a PIN.
func (rp *RelyingParty) RequestOptions(person *Person, challenge string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.DecodeString(challenge)
	if err != nil {
		return nil, err
	}
	var request *protocol.CredentialAssertion
	if person == nil {
		request, _, err = rp.library.BeginDiscoverableLogin(webauthn.WithChallenge(raw), webauthn.WithUserVerification(protocol.VerificationRequired))
	} else {
		request, _, err = rp.library.BeginLogin(person, webauthn.WithChallenge(raw), webauthn.WithUserVerification(protocol.VerificationPreferred))
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(request.Response)
}

// Made is a new passkey that is still to be verified.
type Made struct {
	Challenge string // that it answers, as the browser says
	parsed    *protocol.ParsedCredentialCreationData
}

// ParseMade reads what navigator.credentials.create has returned, as JSON (RegistrationResponseJSON).
func ParseMade(text string) (Made, error) {
	if len(text) > MaxText {
		return Made{}, refused(errors.New("the text is too long"))
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(text))
	if err != nil {
		return Made{}, refused(err)
	}
	return Made{parsed.Response.CollectedClientData.Challenge, parsed}, nil
}

// Register verifies a new passkey of a person. The caller has checked its challenge.
func (rp *RelyingParty) Register(made Made, personID string) (Credential, error) {
	c, err := rp.library.CreateCredential(Person{ID: personID}, webauthn.SessionData{
		Challenge: made.Challenge, UserID: []byte(personID), UserVerification: protocol.VerificationPreferred,
		CredParams: webauthn.CredentialParametersDefault(),
	}, made.parsed)
	if err != nil {
		return Credential{}, refused(err)
	}
	return stored(c), nil
}

// stored converts a passkey of the library.
func stored(c *webauthn.Credential) Credential {
	converted := Credential{
		ID: c.ID, SignCount: c.Authenticator.SignCount, PublicKey: c.PublicKey, AAGUID: c.Authenticator.AAGUID,
		UserPresent: c.Flags.UserPresent, UserVerified: c.Flags.UserVerified, BackupEligible: c.Flags.BackupEligible, BackedUp: c.Flags.BackupState,
	}
	for _, t := range c.Transport[:min(len(c.Transport), maxTransports)] {
		if len(t) <= maxTransport {
			converted.Transports = append(converted.Transports, string(t))
		}
	}
	return converted
}

// maxTransports and maxTransport bound what a browser says of an authenticator and nothing verifies.
const (
	maxTransports = 8
	maxTransport  = 32
)

// Answer is what an authenticator has answered to a challenge, and is still to be verified.
type Answer struct {
	CredentialID string // as IDText
	Challenge    string // that it answers, as the browser says
	parsed       *protocol.ParsedCredentialAssertionData
}

// Parse reads what navigator.credentials.get has returned, as JSON (AuthenticationResponseJSON).
func Parse(text string) (Answer, error) {
	if len(text) > MaxText {
		return Answer{}, refused(errors.New("the text is too long"))
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(text))
	if err != nil {
		return Answer{}, refused(err)
	}
	return Answer{IDText(parsed.RawID), parsed.Response.CollectedClientData.Challenge, parsed}, nil
}

// ErrCopied is the error for a signature counter that has gone back: there is a copy of the passkey.
var ErrCopied = errors.New("the signature counter of the passkey has gone back")

// Used is a passkey after a sign-in.
type Used struct {
	Credential
	Verified bool // whether the authenticator has verified the person
}

// Verify verifies the answer of a person's passkey, and returns it with the counter and the flags to store. The caller has checked
// the challenge, and that the passkey is the person's. alone is a sign-in without a password: the authenticator must have verified
// the person. Errors: ErrCopied; any other one means that the answer is not valid.
//
// The library refuses a passkey whose flag for backups has changed. Those of iCloud do change it, when a person turns the keychain
// on, and would be locked out. So the flag of the answer, which the passkey has signed, is taken for the stored one.
func (rp *RelyingParty) Verify(answer Answer, personID string, c Credential, alone bool) (Used, error) {
	flags := answer.parsed.Response.AuthenticatorData.Flags
	c.BackupEligible = flags.HasBackupEligible()
	person := Person{ID: personID, Credentials: []Credential{c}}
	session := webauthn.SessionData{Challenge: answer.Challenge, UserVerification: protocol.VerificationPreferred, AuthorizeUVInitialization: true}
	var checked *webauthn.Credential
	var err error
	if alone {
		session.UserVerification = protocol.VerificationRequired
		checked, err = rp.library.ValidateDiscoverableLogin(func([]byte, []byte) (webauthn.User, error) { return person, nil }, session, answer.parsed)
	} else {
		session.UserID, session.AllowedCredentialIDs = person.WebAuthnID(), [][]byte{c.ID}
		checked, err = rp.library.ValidateLogin(person, session, answer.parsed)
	}
	switch {
	case err != nil:
		return Used{}, refused(err)
	case checked.Authenticator.CloneWarning:
		return Used{}, ErrCopied
	}
	return Used{stored(checked), flags.HasUserVerified()}, nil
}
