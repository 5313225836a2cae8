package contract

import (
	"errors"
	"net/url"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"

	"sesame/server/internal/mailbox"
)

// formats are the string formats that a document may use, each with its check. The name follows "must be" in errors.
var formats = map[string]format{
	"uuid": {"a UUID", func(s string) bool {
		_, err := uuid.Parse(s)
		return err == nil && len(s) == 36
	}},
	"email": {"an e-mail address, without invisible characters", func(s string) bool {
		_, err := mailbox.Key(s)
		return err == nil
	}},
	"uri": {"an absolute URI", func(s string) bool {
		u, err := url.Parse(s)
		return err == nil && u.IsAbs()
	}},
	"date-time": {"a date and time (RFC 3339)", func(s string) bool {
		_, err := time.Parse(time.RFC3339Nano, s)
		return err == nil
	}},
	"date": {"a date (RFC 3339)", func(s string) bool {
		_, err := time.Parse(time.DateOnly, s)
		return err == nil
	}},
	"password": {"", func(string) bool { return true }}, // a hint for user interfaces
}

// format is a check, and the name for values that pass it.
type format struct {
	name string
	ok   func(string) bool
}

var errFormat = errors.New("wrong format")

// Validate implements openapi3.StringFormatValidator.
func (f format) Validate(value string) error {
	if f.ok(value) {
		return nil
	}
	return errFormat
}

// formatOption passes the checks to the schema validator.
var formatOption = func() openapi3.SchemaValidationOption {
	all := map[string]openapi3.StringFormatValidator{}
	for name, f := range formats {
		all[name] = f
	}
	return openapi3.WithStringFormatValidators(all)
}()
