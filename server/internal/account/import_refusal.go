package account

import (
	"errors"
	"time"

	"sesame/server/internal/store"
)

// Refusal is the reason why a record was not imported.
type Refusal struct {
	Code   string // stable, for counting: "invalid_email"
	Field  string // the field at fault, or ""
	Reason string // follows the field's name, if there is one, and says what to do; never contains a password hash
}

func (r *Refusal) Error() string {
	if r.Field == "" {
		return r.Reason
	}
	return "the " + r.Field + " " + r.Reason
}

// errUsernameTaken is the refusal of a username that was made for a record, if an earlier line has it.
var errUsernameTaken = &Refusal{usernameTakenCode, "username", "is taken"}

const usernameTakenCode = "username_taken"

// usernameTaken reports whether another username may help.
func usernameTaken(err error) bool {
	refusal, ok := errors.AsType[*Refusal](err)
	return ok && refusal.Code == usernameTakenCode
}

// takenBy returns the refusal of a username that another account has.
func takenBy(existing store.User) *Refusal {
	return &Refusal{
		usernameTakenCode, "username", "belongs to another account, created on " + existing.CreatedAt.UTC().Format(time.DateOnly) +
			"; rename one of the two, or delete that account",
	}
}
