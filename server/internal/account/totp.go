package account

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"rsc.io/qr"

	"sesame/server/internal/audit"
	"sesame/server/internal/identity"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

const (
	// totpSecret is the size of a shared secret in bytes: as many as an HMAC-SHA-1 (RFC 4226 §4).
	totpSecret = 20
	// totpTTL is how long a person has to finish the set-up of an authenticator app.
	totpTTL = 10 * time.Minute
)

// TOTPSetup is an authenticator app that a person is setting up.
type TOTPSetup struct {
	Secret    string      // in Base32
	URI       string      // otpauth, for the app
	QRCode    string      // of the URI, an SVG image
	Setup     secret.Text // for ConfirmTOTP
	ExpiresAt time.Time
}

// totpSetup is the sealed text. Nothing is stored for somebody who does not finish.
type totpSetup struct {
	ID     string `json:"id"` // that the factor will have: a second use conflicts with the first one
	Secret []byte `json:"secret"`
	At     int64  `json:"at"` // Unix microseconds
}

// sealNameOf binds a set-up to its account.
func sealNameOf(userID string) string { return "totp of " + userID }

// StartTOTP makes the secret of an authenticator app for the caller. Errors: StaleLogin.
func (s *Service) StartTOTP(_ context.Context, caller *identity.Caller) (TOTPSetup, error) {
	if err := s.identity.RequireFreshLogin(caller, caller.User); err != nil {
		return TOTPSetup{}, err
	}
	return s.NewTOTP(caller.User)
}

// NewTOTP is StartTOTP for a person whose sign-in needs a second factor that they do not have yet.
func (s *Service) NewTOTP(user store.User) (TOTPSetup, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return TOTPSetup{}, fmt.Errorf("make the id of a factor: %w", err)
	}
	begun := totpSetup{ID: id.String(), Secret: make([]byte, totpSecret), At: s.now().UnixMicro()}
	rand.Read(begun.Secret)
	return s.showTOTP(user, begun)
}

func (s *Service) showTOTP(user store.User, begun totpSetup) (shown TOTPSetup, err error) {
	plain, err := json.Marshal(begun) //nolint:gosec // it is sealed
	if err != nil {
		return shown, err
	}
	shown.Secret = base32.StdEncoding.EncodeToString(begun.Secret)
	shown.URI = fmt.Sprintf("otpauth://totp/%s:%s?secret=%s&issuer=%s&algorithm=SHA1&digits=6&period=30",
		url.PathEscape(s.Name), url.PathEscape(user.Username), shown.Secret, url.PathEscape(s.Name))
	shown.Setup = secret.New(s.identity.Steps.SealURL(plain, sealNameOf(user.ID)))
	shown.ExpiresAt = time.UnixMicro(begun.At).UTC().Add(totpTTL)
	shown.QRCode, err = qrCode(shown.URI)
	return shown, err
}

// ShowTOTP returns a set-up again, for a form that was refused. Errors: InvalidCode if it is not valid.
func (s *Service) ShowTOTP(user store.User, setup secret.Text) (TOTPSetup, error) {
	begun, err := s.openTOTP(user.ID, setup)
	if err != nil {
		return TOTPSetup{}, err
	}
	return s.showTOTP(user, begun)
}

func (s *Service) openTOTP(userID string, setup secret.Text) (begun totpSetup, err error) {
	plain, err := s.identity.Steps.OpenURL(setup.Reveal(), sealNameOf(userID))
	if err == nil {
		err = json.Unmarshal(plain, &begun)
	}
	if err == nil && !store.Pending(time.UnixMicro(begun.At).UTC().Add(totpTTL), s.now(), totpTTL) {
		err = errors.New("it is expired")
	}
	if err != nil {
		err = errSetup(err)
	}
	return begun, err
}

func errSetup(cause error) error {
	return problem.Wrap(problem.InvalidCode, "This set-up is expired or used. Start again.", cause).At("/setup", "is expired or used")
}

// TOTPConfirmation finishes the set-up of an authenticator app.
type TOTPConfirmation struct {
	Setup, Code      secret.Text
	Name             string // of the factor
	EndOtherSessions bool
}

// factor is the factor that a confirmation adds. The time step of its code counts as used. Errors: InvalidCode, ValidationFailed.
func (s *Service) factor(userID string, c TOTPConfirmation) (f store.Factor, err error) {
	begun, err := s.openTOTP(userID, c.Setup)
	if err != nil {
		return f, err
	}
	if c.Name, err = factorName(c.Name); err != nil {
		return f, err
	}
	step, ok := identity.MatchTOTP(begun.Secret, strings.ReplaceAll(c.Code.Reveal(), " ", ""), s.now())
	if !ok {
		return f, problem.New(problem.InvalidCode, "The code is wrong. Check the clock of the device, and send the code that the app shows now.").
			At("/code", "is not a code of this app")
	}
	return store.Factor{
		ID: begun.ID, Kind: store.TOTP, Name: c.Name, Secret: s.identity.Factors.Seal(begun.Secret, begun.ID), LastStep: step, CreatedAt: s.now(),
	}, nil
}

// ConfirmTOTP adds the authenticator app of a set-up to the caller's account. It returns the recovery codes, if it is the first
// factor. Errors: InvalidCode; those of AddFactor.
func (s *Service) ConfirmTOTP(ctx context.Context, caller *identity.Caller, c TOTPConfirmation) (f store.Factor, codes []string, err error) {
	if f, err = s.factor(caller.User.ID, c); err != nil {
		return f, nil, err
	}
	codes, err = s.AddFactor(ctx, caller, NewFactor{f, c.EndOtherSessions})
	if errors.Is(err, store.ErrConflict) {
		err = errSetup(err)
	}
	return f, codes, err
}

// Enroll completes a sign-in that needs a second factor with a new authenticator app (identity.Incomplete). It returns the recovery
// codes. Errors: InvalidCode; those of identity.Enroll.
func (s *Service) Enroll(ctx context.Context, who identity.Authentication, c TOTPConfirmation) (b identity.Browser, cookie secret.Text, codes []string, err error) {
	f, err := s.factor(who.User().ID, c)
	if err != nil {
		return b, cookie, nil, err
	}
	b, cookie, err = s.identity.Enroll(ctx, who, func(ctx context.Context, q *store.Queries) error {
		by := &audit.Actor{ID: who.User().ID, ClientID: store.BrowserClient}
		codes, err = s.addFactor(ctx, q, who.User(), f, by)
		return err
	})
	if errors.Is(err, store.ErrConflict) {
		err = errSetup(err)
	}
	return b, cookie, codes, err
}

// qrCode draws a QR code as an SVG image, with the quiet zone of four modules that the standard requires.
func qrCode(text string) (string, error) {
	const quiet = 4
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", fmt.Errorf("draw a QR code: %w", err)
	}
	var path strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			run := 0
			for code.Black(x+run, y) {
				run++
			}
			if run > 0 {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, run, run)
				x += run
			}
		}
	}
	size := code.Size + 2*quiet
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %[1]d" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%[1]dv%[1]dH0z"/><path d="%s"/></svg>`,
		size, path.String()), nil
}
