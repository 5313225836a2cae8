package identity

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"sesame/server/internal/audit"
	"sesame/server/internal/passkey"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

// ErrWrongPasskey is the cause of the error for every answer of a passkey that is not valid.
var ErrWrongPasskey = errors.New("the passkey is not valid")

// errWrongPasskey is the one answer for an unknown passkey, a wrong signature, another origin, a challenge that is not valid any
// more, and a disabled account.
func errWrongPasskey(cause error) error {
	return problem.Wrap(problem.InvalidGrant, "The passkey was not accepted. Try again, or sign in in another way.", errors.Join(ErrWrongPasskey, cause))
}

// ErrNoPasskeys is the error for a server that can have no passkeys.
func ErrNoPasskeys() error {
	return problem.New(problem.NotFound, "This server has no passkeys: they need a public URL with the name of a host, and it has an IP address.")
}

// Purposes of challenges. Each is bound to a text that its browser has, or its client.
const (
	forSignIn      = "passkey sign-in "
	forStep        = "passkey step "
	forNewPasskeys = "passkey of "
)

// challenge is what a passkey signs: random bits and the time, sealed and bound to its purpose, so that the server keeps nothing of
// those that nobody answers.
type challenge struct {
	id string // of its use
	at time.Time
}

const challengeBits = 16 // in bytes

// newChallenge makes a challenge, in base64url. bound is its purpose and the text that it is bound to.
func (s *Service) newChallenge(bound string) string {
	plain := make([]byte, challengeBits, challengeBits+8)
	_, _ = rand.Read(plain) // never fails
	return s.Steps.SealURL(binary.BigEndian.AppendUint64(plain, uint64(s.Now().UnixMicro())), bound)
}

// openChallenge is the inverse of newChallenge, for as long as the challenge is valid.
func (s *Service) openChallenge(text, bound string) (challenge, error) {
	plain, err := s.Steps.OpenURL(text, bound)
	if err != nil || len(plain) != challengeBits+8 {
		return challenge{}, errors.New("the challenge is not one of this server, or was made for another browser or client")
	}
	at := time.UnixMicro(int64(binary.BigEndian.Uint64(plain[challengeBits:]))).UTC() //nolint:gosec // as newChallenge has made it
	if !store.Pending(at.Add(passkey.TTL), s.Now(), passkey.TTL) {
		return challenge{}, errors.New("the challenge has expired")
	}
	return challenge{"passkey " + hex.EncodeToString(plain[:challengeBits]), at}, nil
}

// PasskeyOptions are the options for a sign-in without a password, as JSON for navigator.credentials.get. Only the client, or the
// browser, with the text bound can use the answer. Errors: NotFound where there are no passkeys.
func (s *Service) PasskeyOptions(bound string) ([]byte, error) {
	if s.Passkeys == nil {
		return nil, ErrNoPasskeys()
	}
	return s.Passkeys.RequestOptions(nil, s.newChallenge(forSignIn+bound))
}

// StepOptions are the options for a passkey as the second factor of a sign-in (Incomplete.Sealed); nil for an account without one.
// Errors: those of Resume.
func (s *Service) StepOptions(ctx context.Context, sealed secret.Text) ([]byte, error) {
	who, err := s.Resume(ctx, sealed)
	if err != nil || !slices.Contains(strings.Fields(who.user.Factors), store.Passkey) {
		return nil, err
	}
	person, err := s.PersonWithPasskeys(ctx, who.user)
	if err != nil {
		return nil, err
	}
	return s.Passkeys.RequestOptions(&person, s.newChallenge(forStep+sealed.Reveal()))
}

// PersonWithPasskeys returns a user with their passkeys. Errors: NotFound where there are no passkeys.
func (s *Service) PersonWithPasskeys(ctx context.Context, user store.User) (passkey.Person, error) {
	person := passkey.Person{ID: user.ID, Username: user.Username, FullName: user.FullName}
	if s.Passkeys == nil {
		return person, ErrNoPasskeys()
	}
	factors, err := s.db.FactorsOf(ctx, user.ID)
	if err != nil {
		return person, err
	}
	for _, f := range factors {
		if f.Kind != store.Passkey {
			continue
		}
		c, err := passkey.Load(f.CredentialID, f.Secret, f.LastStep)
		if err != nil {
			return person, err
		}
		person.Credentials = append(person.Credentials, c)
	}
	return person, nil
}

// NewPasskeyOptions are the options for a new passkey of a person, as JSON for navigator.credentials.create. Only the session can
// use the answer.
func (s *Service) NewPasskeyOptions(person passkey.Person, sessionID string) ([]byte, error) {
	return s.Passkeys.CreationOptions(person, s.newChallenge(forNewPasskeys+sessionID))
}

// ReadNewPasskey verifies what a browser has answered to the options of NewPasskeyOptions, and uses up the challenge. Errors:
// ValidationFailed.
func (s *Service) ReadNewPasskey(ctx context.Context, userID, sessionID, text string) (passkey.Credential, error) {
	refuse := func(cause error) (passkey.Credential, error) {
		return passkey.Credential{}, problem.Wrap(problem.ValidationFailed, "The passkey was not accepted. Try again.", errors.Join(ErrWrongPasskey, cause)).At("/credential", "is not valid")
	}
	made, err := passkey.ParseMade(text)
	if err != nil {
		return refuse(err)
	}
	c, err := s.openChallenge(made.Challenge, forNewPasskeys+sessionID)
	if err != nil {
		return refuse(err)
	}
	credential, err := s.Passkeys.Register(made, userID)
	if err != nil {
		return refuse(err)
	}
	err = s.db.UseChallenge(ctx, c.id, sessionID, c.at.Add(passkey.TTL))
	if errors.Is(err, store.ErrNotFound) {
		return refuse(errUsedChallenge)
	}
	return credential, err
}

// PasskeyLogin is an attempt to start a session with a passkey alone.
type PasskeyLogin struct {
	Answer secret.Text // of navigator.credentials.get, as JSON
	Bound  string      // as for PasskeyOptions
	Wanted
}

// LoginWithPasskey verifies a passkey and starts a session. The throttle, the events and the mails are those of a login. Errors:
// those of Login, but for a wrong password: InvalidGrant with ErrWrongPasskey; NotFound where there are no passkeys.
func (s *Service) LoginWithPasskey(ctx context.Context, login PasskeyLogin) (session store.Session, refresh token.Refresh, err error) {
	session, refresh, err = s.loginWithPasskey(ctx, login)
	s.Count.Login(outcomeOf(err))
	return session, refresh, err
}

func (s *Service) loginWithPasskey(ctx context.Context, login PasskeyLogin) (session store.Session, refresh token.Refresh, err error) {
	p, err := s.readPasskey(ctx, login.Answer, forSignIn+login.Bound)
	if err != nil {
		return session, refresh, err
	}
	name := p.user.UsernameKey
	if p.user.ID == "" {
		name = p.answer.CredentialID
	}
	a, err := s.newAttempt(ctx, name, p.user, login.ClientID)
	if err != nil {
		return session, refresh, err
	}
	ctx, done := IgnoreDisconnect(ctx) // a disconnect must not hide a guess
	defer done()
	who := Authentication{user: p.user, attempt: a}
	if err = s.addPasskey(ctx, &who, p, true); err != nil {
		return session, refresh, err
	}
	session, refresh, err = s.startConfirmed(ctx, who, login.Wanted)
	return session, refresh, s.countSpent(ctx, a, err)
}

// SignInWithPasskey is LoginWithPasskey for the session of a browser.
func (s *Service) SignInWithPasskey(ctx context.Context, answer secret.Text, bound string) (Browser, secret.Text, error) {
	session, refresh, err := s.LoginWithPasskey(ctx, PasskeyLogin{Answer: answer, Bound: bound, Wanted: Wanted{ClientID: store.BrowserClient}})
	return s.browserOf(ctx, session, refresh, err)
}

// CompleteWithPasskey is CompleteSignIn with a passkey as the second factor. Errors: those of Resume; InvalidGrant with
// ErrWrongPasskey.
func (s *Service) CompleteWithPasskey(ctx context.Context, sealed, answer secret.Text) (browser Browser, cookie secret.Text, err error) {
	who, err := s.Resume(ctx, sealed)
	if err == nil {
		ctx, done := IgnoreDisconnect(ctx)
		defer done()
		var p presented
		if p, err = s.readPasskey(ctx, answer, forStep+sealed.Reveal()); err == nil {
			err = s.addPasskey(ctx, &who, p, false)
		}
		if err == nil {
			browser, cookie, err = s.StartBrowser(ctx, who)
			return browser, cookie, s.countSpent(ctx, who.attempt, err)
		}
	}
	s.Count.Login(outcomeOf(err))
	return browser, cookie, err
}

// presented is a passkey that somebody presents, and is still to be verified. Without an account its factor and its user are zero.
type presented struct {
	answer    passkey.Answer
	challenge challenge
	factor    store.Factor
	user      store.User
}

// readPasskey reads the answer of a passkey and finds its account. Errors: InvalidGrant for a text that answers no valid challenge.
// It costs nothing and reveals nothing, so that no throttle counts it.
func (s *Service) readPasskey(ctx context.Context, text secret.Text, bound string) (p presented, err error) {
	if s.Passkeys == nil {
		return p, ErrNoPasskeys()
	}
	if p.answer, err = passkey.Parse(text.Reveal()); err == nil {
		p.challenge, err = s.openChallenge(p.answer.Challenge, bound)
	}
	if err != nil {
		return p, errWrongPasskey(err)
	}
	p.factor, p.user, err = s.db.PasskeyForLogin(ctx, p.answer.CredentialID)
	return p, store.IgnoreNotFound(err)
}

// addPasskey adds a passkey to an Authentication. alone is a sign-in without a password, whose passkey is two factors. Errors:
// InvalidGrant with ErrWrongPasskey, TooManyRequests.
func (s *Service) addPasskey(ctx context.Context, who *Authentication, p presented, alone bool) error {
	refuse := func(cause error) error { return s.countLoginFailure(ctx, who.attempt, errWrongPasskey(cause)) }
	if p.user.ID == "" || p.user.ID != who.user.ID || p.user.Disabled {
		return refuse(errors.New("no account has the passkey, it is another one's, or disabled"))
	}
	stored, err := passkey.Load(p.factor.CredentialID, p.factor.Secret, p.factor.LastStep)
	if err != nil {
		return err
	}
	used, err := s.Passkeys.Verify(p.answer, p.user.ID, stored, alone)
	if errors.Is(err, passkey.ErrCopied) {
		if err := audit.Record(ctx, &s.db.Queries, audit.PasskeyCopied, who.attempt.event(), s.Now()); err != nil {
			return err
		}
	}
	if err != nil {
		return refuse(err)
	}
	text, err := used.Text()
	if err != nil {
		return err
	}
	use := store.PasskeyUse{
		FactorID: p.factor.ID, Counter: int64(used.SignCount), Secret: text,
		ChallengeID: p.challenge.id, ChallengeEndsAt: p.challenge.at.Add(passkey.TTL),
	}
	who.Methods = append(who.Methods, MethodOfPasskey(used.Credential), ByPresence, TwoFactors)
	who.use = func(ctx context.Context, q *store.Queries, sessionID string) error {
		use.UsedBy = sessionID
		return q.UsePasskey(ctx, use, s.Now())
	}
	who.check = func(ctx context.Context) error {
		ok, err := s.db.CanUsePasskey(ctx, use)
		if err == nil && !ok {
			err = errWrongPasskey(errUsedChallenge)
		}
		return err
	}
	return nil
}

// MethodOfPasskey is the method of a sign-in with a passkey (RFC 8176).
func MethodOfPasskey(c passkey.Credential) string {
	if c.BackupEligible {
		return BySyncedKey
	}
	return ByDevice
}

// errUsedChallenge is the cause of the error for a second use of a challenge, or one at the same time.
var errUsedChallenge = errors.New("the challenge was used, or the passkey was used or removed meanwhile")

// countSpent counts a second use of a challenge as a failure.
func (s *Service) countSpent(ctx context.Context, a *attempt, err error) error {
	if errors.Is(err, errUsedChallenge) {
		return s.countLoginFailure(ctx, a, err)
	}
	return err
}

// wrong is the error for somebody who has proved nothing, in the words of the way that they have tried.
func (who Authentication) wrong() error {
	switch {
	case slices.Contains(who.Methods, ByPassword):
		return errWrongCredentials()
	case who.via != nil:
		return ErrNotLinked()
	}
	return errWrongPasskey(errors.New("the account was disabled, deleted or changed meanwhile"))
}
