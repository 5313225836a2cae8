package identity

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token/atjwt"
	"sesame/server/secret"
)

// The methods of an Authentication (RFC 8176).
const (
	ByPassword = "pwd"
	ByCode     = "otp" // of an authenticator app, or a recovery code
	// ByEmail is a mailed link. RFC 8176 has no value for it; "otp" would look like a second factor.
	ByEmail = "email"
	// A passkey is ByDevice, or BySyncedKey if it may be copied between devices; with each the person has touched it (ByPresence).
	ByDevice    = "hwk"
	BySyncedKey = "swk"
	ByPresence  = "user"
	// TwoFactors is added where a second factor was used, or one that is as strong.
	TwoFactors = atjwt.MultiFactor
)

// Authentication is how a person has proved who they are. A session starts from one (startSession), whatever proved it, so that
// every way to sign in asks for a second factor.
type Authentication struct {
	Methods []string
	user    store.User // as it was read when the person proved it
	attempt *attempt
	// use uses up what is valid once, in the transaction that starts the session. It may be nil.
	use func(ctx context.Context, q *store.Queries, sessionID string) error
	// check returns why use has failed, where it can only return store.ErrNotFound. It may be nil.
	check func(ctx context.Context) error
	// enrolls says that use adds the account's first second factor, which has completed Methods.
	enrolls bool
	via     *Via // the identity at a provider; nil for another way
}

// User is the account, as it was read when the person proved who they are.
func (who Authentication) User() store.User { return who.user }

func (who Authentication) methods() string { return strings.Join(who.Methods, " ") }

// MethodsOf returns how the person of a session has signed in.
func MethodsOf(session store.Session) []string {
	if session.Methods == "" { // an older program has made it
		return []string{ByPassword}
	}
	return strings.Fields(session.Methods)
}

// maxLoginAge is how old a login may be for an operation that cannot be undone, or that changes how the person logs in.
const maxLoginAge = 10 * time.Minute

// RequireFreshLogin returns an error unless the caller has logged in within the last ten minutes, with a second factor if the
// account has one (RFC 9470). Errors: StaleLogin.
func (s *Service) RequireFreshLogin(caller *Caller, user store.User) error {
	if err := RequireSignIn(caller); err != nil {
		return err
	}
	age := s.Now().Sub(caller.LoggedInAt)
	switch {
	case lacksLevel(caller, user):
		fault := problem.New(problem.StaleLogin, "This needs a login with the second factor within the last ten minutes. Log in again.")
		fault.ACR, fault.MaxAge = atjwt.TwoFactors, maxLoginAge
		return fault
	case age > maxLoginAge, age < -atjwt.Leeway: // the age of a login in the future is not known
		fault := problem.New(problem.StaleLogin, "This needs a login within the last ten minutes. Log in again.")
		fault.MaxAge = maxLoginAge
		return fault
	}
	return nil
}

// RequireSignIn returns an error for a caller with a personal access token, which is for what a script does: with the password beside
// it, too, it takes over no account. The contract says so with x-requires-acr. Errors: StaleLogin.
func RequireSignIn(caller *Caller) error {
	if caller.TokenID == "" {
		return nil
	}
	fault := problem.New(problem.StaleLogin, "This needs a person who has signed in. A personal access token is not enough.")
	fault.ACR = atjwt.OneFactor
	return fault
}

// RequireFactor returns an error unless the caller has logged in with a second factor, if the account has one: the session may be
// older than the factor. It is for what the password confirms at that moment. Errors: StaleLogin.
func (*Service) RequireFactor(caller *Caller, user store.User) error {
	if !lacksLevel(caller, user) {
		return nil
	}
	fault := problem.New(problem.StaleLogin, "This needs a login with the second factor. Log in again.")
	fault.ACR = atjwt.TwoFactors
	return fault
}

// lacksLevel reports whether a caller has not used a second factor that the account has.
func lacksLevel(caller *Caller, user store.User) bool {
	return user.Factors != "" && !slices.Contains(caller.Methods, TwoFactors)
}

// Incomplete is the cause of the error for a sign-in whose second factor is missing.
type Incomplete struct {
	Factors []string // the kinds that the account has: store.TOTP, store.Passkey; none if the person has to set one up
	User    store.User
	Sealed  secret.Text // for Resume
}

// Error implements error.
func (*Incomplete) Error() string { return "the second factor is missing" }

// checkFactors returns an Incomplete if the account has a second factor that the person has not used, or must have one.
func (s *Service) checkFactors(who Authentication, user store.User) error {
	if who.enrolls && user.Factors != "" { // somebody else with the password has set one up meanwhile
		who.Methods = who.Methods[:len(who.Methods)-len(byNewFactor)]
	}
	if slices.Contains(who.Methods, TwoFactors) || user.Factors == "" && !s.lacksFactor(user, who.Methods) {
		return nil
	}
	plain, err := json.Marshal(step{
		UserID: user.ID, Name: who.attempt.name, Methods: who.Methods, Password: s.passwordState(user), At: s.Now().UnixMicro(), Via: who.via,
	})
	if err != nil {
		return err
	}
	missing := &Incomplete{Factors: strings.Fields(user.Factors), User: user, Sealed: secret.New(s.Steps.SealURL(plain, stepName))}
	if user.Factors == "" {
		return problem.Wrap(problem.MFAEnrollmentRequired, "This account must have a second factor. Sign in at "+s.Policy.Page+" to set one up.", missing)
	}
	return problem.Wrap(problem.MFARequired, "This account has a second factor. Send its code as well.", missing)
}

// step is a sign-in that a second factor completes. The browser keeps it, sealed: nothing is stored for somebody who does not go on.
type step struct {
	UserID   string   `json:"user"`
	Name     string   `json:"name"` // that was typed, for its counter
	Methods  []string `json:"amr"`
	Password string   `json:"pwd"` // a changed password ends it
	At       int64    `json:"at"`  // Unix microseconds
	Via      *Via     `json:"via,omitempty"`
}

const (
	stepName = "step"
	// StepTTL is how long a person has for the second factor.
	StepTTL = 10 * time.Minute
)

func (s *Service) passwordState(user store.User) string {
	return s.KeyedHash.Key("password of step", user.ID, user.PasswordHash.Reveal())
}

// errStep is the error for a sign-in that cannot be completed.
func errStep(cause error) error {
	return problem.Wrap(problem.InvalidRequest, "This sign-in is too old. Start again.", cause)
}

// Resume returns the sign-in of an Incomplete, so that a second factor can be added. Errors: InvalidRequest for one that is too
// old, or whose account has changed; TooManyRequests.
func (s *Service) Resume(ctx context.Context, sealed secret.Text) (Authentication, error) {
	var st step
	plain, err := s.Steps.OpenURL(sealed.Reveal(), stepName)
	if err == nil {
		err = json.Unmarshal(plain, &st)
	}
	if err == nil && !store.Pending(time.UnixMicro(st.At).UTC().Add(StepTTL), s.Now(), StepTTL) {
		err = errors.New("it is expired")
	}
	if err != nil {
		return Authentication{}, errStep(err)
	}
	user, err := s.db.UserByID(ctx, st.UserID)
	if errors.Is(err, store.ErrNotFound) || err == nil && (user.Disabled || s.passwordState(user) != st.Password) {
		return Authentication{}, errStep(errors.New("the account has changed"))
	}
	if err != nil {
		return Authentication{}, err
	}
	a, err := s.newAttempt(ctx, st.Name, user, store.BrowserClient)
	return Authentication{Methods: st.Methods, user: user, attempt: a, via: st.Via}, err
}

// CompleteSignIn starts the session of a browser with the code of a second factor. Errors: those of Resume; InvalidGrant with
// ErrWrongCode.
func (s *Service) CompleteSignIn(ctx context.Context, sealed, code secret.Text) (Browser, secret.Text, error) {
	who, err := s.Resume(ctx, sealed)
	if err == nil {
		ctx, done := IgnoreDisconnect(ctx) // a disconnect must not hide a guess
		defer done()
		if err = s.addCode(ctx, &who, code); err == nil {
			return s.StartBrowser(ctx, who)
		}
	}
	s.Count.Login(outcomeOf(err))
	return Browser{}, secret.Text{}, err
}

// byNewFactor are the methods of a sign-in that sets up an authenticator app.
var byNewFactor = []string{ByCode, TwoFactors}

// Enroll starts the session of a browser for a person who has just proved to have a new authenticator app, in a sign-in that needs a
// second factor. add stores it, in the transaction that starts the session. Errors: an Incomplete if the account has
// got another factor meanwhile.
func (s *Service) Enroll(ctx context.Context, who Authentication, add func(context.Context, *store.Queries) error) (Browser, secret.Text, error) {
	who.Methods, who.enrolls = slices.Concat(who.Methods, byNewFactor), true
	who.use = func(ctx context.Context, q *store.Queries, _ string) error { return add(ctx, q) }
	return s.StartBrowser(ctx, who)
}

// StartBrowser starts the session of a browser. Errors: those of Login.
func (s *Service) StartBrowser(ctx context.Context, who Authentication) (Browser, secret.Text, error) {
	session, refresh, err := s.startConfirmed(ctx, who, Wanted{ClientID: store.BrowserClient})
	s.Count.Login(outcomeOf(err))
	return s.browserOf(ctx, session, refresh, err)
}

// ByLink returns the Authentication of a person who has opened a link that was mailed to their confirmed address. use uses the link
// up. No counter makes the person wait: the link cannot be guessed, so the wrong passwords of strangers must not keep its owner out.
func (s *Service) ByLink(ctx context.Context, user store.User, use func(ctx context.Context, q *store.Queries) error) (Authentication, error) {
	a, err := s.unguessed(ctx, user, user.EmailKey)
	return Authentication{Methods: []string{ByEmail}, user: user, attempt: a, use: func(ctx context.Context, q *store.Queries, _ string) error { return use(ctx, q) }}, err
}
