package oauth

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"sesame/server/internal/identity"
	"sesame/server/internal/network"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

const (
	// DeviceTTL is how long the codes of a device are valid.
	DeviceTTL = 10 * time.Minute
	// DeviceMemory is how long an expired request is kept, so that its device learns that it has expired.
	DeviceMemory = 10 * time.Minute
	// DeviceInterval is how many seconds a device waits between two polls. After a poll that comes too early it waits as much
	// longer (RFC 8628 §3.5), up to maxDeviceInterval.
	DeviceInterval    = 5
	maxDeviceInterval = 60
	// maxDevicesOfNetwork limits the requests of an IPv4 address or an IPv6 /64 within DeviceTTL, so that no network fills the
	// table.
	maxDevicesOfNetwork = 50
	// An account may try maxCodesOfAccount user codes in an hour, and a network maxCodesOfNetwork.
	maxCodesOfAccount = 30
	maxCodesOfNetwork = 100
	codesWindow       = time.Hour
)

// userCodeLetters are consonants, so that no code spells a word, without those that look like another letter or a digit
// (RFC 8628 §6.1). A code of eight has 34 bits.
const (
	userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"
	userCodeLength  = 8
)

// DeviceCodes are the answer to a device (RFC 8628 §3.2).
type DeviceCodes struct {
	DeviceCode secret.Text
	UserCode   string
}

// newUserCode makes a random user code.
func newUserCode() string {
	const fair = 256 - 256%len(userCodeLetters)
	code := make([]byte, 0, userCodeLength)
	for len(code) < userCodeLength {
		var random [userCodeLength]byte
		rand.Read(random[:])
		for _, b := range random {
			if int(b) < fair && len(code) < userCodeLength {
				code = append(code, userCodeLetters[int(b)%len(userCodeLetters)])
			}
		}
	}
	return string(code)
}

// ShowUserCode returns a user code as people read it: in two halves. ok is false for a text that is none. People may type it in
// lower case, and with other separators.
func ShowUserCode(typed string) (shown string, ok bool) {
	code := strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' {
			return -1
		}
		return r
	}, strings.ToUpper(typed))
	if len(code) != userCodeLength || strings.Trim(code, userCodeLetters) != "" {
		return "", false
	}
	return code[:userCodeLength/2] + "-" + code[userCodeLength/2:], true
}

func errDeviceClient() error {
	return problem.New(problem.UnauthorizedClient, "This client may not use the device authorization grant.")
}

func (s *Service) errDeviceThrottled(wait time.Duration, detail string) error {
	s.identity.Count.Throttled(identity.ThrottledDevice)
	e := problem.New(problem.TooManyRequests, detail)
	e.RetryAfter = wait
	return e
}

// AuthorizeDevice makes the codes for a device (RFC 8628 §3.1). scope is space-separated; "" requests the default scopes. Errors:
// UnauthorizedClient, InvalidScope, TooManyRequests.
func (s *Service) AuthorizeDevice(ctx context.Context, client Client, scope string) (codes DeviceCodes, err error) {
	if !client.DeviceGrant {
		return codes, errDeviceClient()
	}
	a := Authorization{AuthorizationParameters: AuthorizationParameters{Scope: scope}, Client: client}
	if fault := s.grantScopes(&a); fault != nil {
		return codes, fault
	}
	wait, err := s.identity.CountUse(ctx, s.identity.NetworkCounters(identity.DeviceRequests, network.FromContext(ctx), maxDevicesOfNetwork), DeviceTTL)
	if err != nil {
		return codes, err
	}
	if wait > 0 {
		return codes, s.errDeviceThrottled(wait, "There were too many requests from this network. Wait before the next attempt.")
	}
	from, _ := network.RequestOf(ctx)
	codes.DeviceCode = token.NewSecret()
	for range 3 { // a second device with the same code is very unlikely
		codes.UserCode, _ = ShowUserCode(newUserCode())
		err = s.db.CreateDeviceRequest(ctx, store.DeviceRequest{
			Hash: token.HashSecret(codes.DeviceCode), UserCode: s.identity.KeyedHash.Key("device", codes.UserCode), ClientID: client.ID,
			Scope: strings.Join(a.Scopes, " "), IPAddress: from.IPAddress, CreatedAt: s.now(), ExpiresAt: s.now().Add(DeviceTTL), Wait: DeviceInterval,
		})
		if !errors.Is(err, store.ErrConflict) {
			break
		}
	}
	return codes, err
}

func errDevice(cause string) error {
	return problem.Wrap(problem.InvalidGrant, "The device code is unknown, used or expired, or was issued to another client.", errors.New(cause))
}

// DeviceGrant exchanges a device code for tokens (RFC 8628 §3.4), once a person has agreed. The session that it starts does not
// end with that of the person's browser. Errors: UnauthorizedClient, InvalidGrant, AuthorizationPending, SlowDown, AccessDenied,
// ExpiredToken.
func (s *Service) DeviceGrant(ctx context.Context, client Client, code secret.Text) (Tokens, error) {
	if !client.DeviceGrant {
		return Tokens{}, errDeviceClient()
	}
	d, err := s.db.DeviceRequestByHash(ctx, token.HashSecret(code))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Tokens{}, errDevice("there is no such code")
	case err != nil:
		return Tokens{}, err
	case d.ClientID != client.ID:
		return Tokens{}, errDevice("it was issued to another client")
	case !store.Pending(d.ExpiresAt, s.now(), DeviceTTL):
		return Tokens{}, problem.New(problem.ExpiredToken, "The device code has expired. Request another one.")
	case d.State == store.DeviceDenied:
		return Tokens{}, Denied()
	case d.State == store.DevicePending:
		return Tokens{}, s.poll(ctx, d)
	}
	scopes, err := s.scopesOfDevice(ctx, client, d)
	if err != nil {
		return Tokens{}, err
	}
	session, user, refresh, err := s.identity.StartSession(ctx, identity.Start{
		UserID: d.UserID, BrowserID: d.BrowserID, ClientID: client.ID, DeviceHash: d.Hash, Scopes: scopes,
		SignedInAt: d.SignedInAt, Consent: neededConsent(client, scopes, nil), TTL: client.SessionTTL,
	})
	switch {
	case errors.Is(err, identity.ErrCodeUsed):
		return Tokens{}, errDevice("it was used at this moment")
	case errors.Is(err, store.ErrNotFound):
		return Tokens{}, problem.New(problem.AccessDenied, "The person has signed out, or no longer agrees.")
	case err != nil:
		return Tokens{}, err
	}
	if err = s.checkUnchanged(ctx, client, session); err != nil {
		return Tokens{}, err
	}
	tokens, err := s.issueForSession(client, deviceGrant, session, strings.Fields(session.Scope), refresh)
	if err != nil {
		return Tokens{}, err
	}
	return s.withIDToken(client, tokens, session, user, "")
}

// scopesOfDevice returns those of the scopes of a granted request that the client may still have, and that the person has agreed to.
// Errors: AccessDenied.
func (s *Service) scopesOfDevice(ctx context.Context, client Client, d store.DeviceRequest) ([]string, error) {
	scopes := identity.Intersect(strings.Fields(d.Scope), s.allowedByCode(client))
	if client.ThirdParty {
		granted, err := s.db.ConsentOf(ctx, d.UserID, client.ID)
		if store.IgnoreNotFound(err) != nil {
			return nil, err
		}
		scopes = identity.Intersect(scopes, strings.Fields(granted.Scope))
	}
	if len(scopes) == 0 {
		return nil, problem.New(problem.AccessDenied, "The client may have none of the requested scopes any more.")
	}
	return scopes, nil
}

// poll is the answer to a device whose person has not decided yet. A flood of polls that come too early ends in answers that
// write nothing.
func (s *Service) poll(ctx context.Context, d store.DeviceRequest) error {
	now, wait := s.now(), time.Duration(d.Wait)*time.Second
	refusal := problem.New(problem.AuthorizationPending, "The person has not decided yet.")
	if store.Pending(d.PolledAt.Add(wait), now, wait) {
		refusal = problem.New(problem.SlowDown, "Wait longer between two requests.")
		if d.Wait >= maxDeviceInterval {
			return refusal
		}
		d.Wait += DeviceInterval
	}
	if err := s.db.RecordDevicePoll(ctx, d.Hash, d.Wait, now); err != nil {
		return err
	}
	return refusal
}

// Device is a device that waits for a person to sign it in.
type Device struct {
	Client      Client
	UserCode    string
	IPAddress   string // from which it asked
	RequestedAt time.Time
	Scopes      []string // those that the person can give it
	row         store.DeviceRequest
}

// FindDevice finds a device by the user code that a person has typed. Every code is counted before it is looked up, so that
// concurrent guesses are, too. Errors: InvalidCode, InvalidScope, TooManyRequests.
func (s *Service) FindDevice(ctx context.Context, browser *identity.Browser, typed string) (d Device, err error) {
	code, ok := ShowUserCode(typed)
	if !ok {
		return d, errUserCode()
	}
	counters := s.identity.DeviceCounters(browser.User.ID, network.FromContext(ctx), maxCodesOfAccount, maxCodesOfNetwork)
	wait, err := s.identity.CountUse(ctx, counters, codesWindow)
	if err != nil {
		return d, err
	}
	if wait > 0 {
		return d, s.errDeviceThrottled(wait, "There were too many codes. Wait before the next attempt.")
	}
	hash := s.identity.KeyedHash
	row, err := s.db.DeviceRequestByUserCode(ctx, hash.Key("device", code), hash.SecondKey("device", code), s.now())
	if err == nil {
		d, err = s.device(ctx, browser, row)
	}
	if errors.Is(err, store.ErrNotFound) {
		err = errUserCode()
	}
	d.UserCode = code
	return d, err
}

func errUserCode() error {
	return problem.New(problem.InvalidCode, "No device waits with this code. It may have expired, or have been typed wrongly.")
}

// device returns what a person sees of a request. Errors: store.ErrNotFound when the client may not use the grant any more;
// InvalidScope when the account has none of the scopes.
func (s *Service) device(ctx context.Context, browser *identity.Browser, row store.DeviceRequest) (Device, error) {
	client, err := s.clientByID(ctx, row.ClientID)
	if err == nil && !client.DeviceGrant {
		err = store.ErrNotFound
	}
	scopes := identity.Intersect(identity.Intersect(strings.Fields(row.Scope), s.allowedByCode(client)), s.identity.Scopes.OfUser(browser.User))
	if err == nil && len(scopes) == 0 {
		err = problem.New(problem.InvalidScope, "Your account has none of the rights that the device asks for.")
	}
	return Device{Client: client, IPAddress: row.IPAddress, RequestedAt: row.CreatedAt, Scopes: scopes, row: row}, err
}

// deviceHolder binds the form of the confirmation to the session of a browser, and to nothing else that is sealed for it.
func deviceHolder(browser *identity.Browser) string { return "device " + browser.Session.ID }

// SealDevice returns a device as a text for the form in which the person decides. It opens for the same session of a browser alone.
func (s *Service) SealDevice(d Device, browser *identity.Browser) string {
	plain, err := json.Marshal(d.row.Hash)
	if err != nil { // a string
		panic(err)
	}
	return s.pages.SealURL(plain, deviceHolder(browser))
}

// DecideDevice records what a person has decided about a device. Errors: InvalidCode when the device does not wait any more;
// InvalidRequest, InvalidScope.
func (s *Service) DecideDevice(ctx context.Context, sealed string, browser *identity.Browser, allow bool) (d Device, err error) {
	var hash string
	plain, err := s.pages.OpenURL(sealed, deviceHolder(browser))
	if err == nil {
		err = json.Unmarshal(plain, &hash)
	}
	if err != nil {
		return d, ErrPage(err)
	}
	row, err := s.db.DeviceRequestByHash(ctx, hash)
	if err == nil {
		d, err = s.device(ctx, browser, row)
	}
	if err == nil && allow {
		err = s.Agree(ctx, Authorization{Client: d.Client, Scopes: slices.Clone(d.Scopes)}, browser.User)
	}
	if err == nil {
		row.State = store.DeviceDenied
		if allow {
			row.State, row.UserID, row.BrowserID, row.SignedInAt = store.DeviceGranted, browser.User.ID, browser.Session.ID, browser.Session.SignedInAt
		}
		err = s.db.DecideDeviceRequest(ctx, row, s.now())
	}
	if errors.Is(err, store.ErrNotFound) {
		err = errUserCode()
	}
	return d, err
}
