// Package secret has the type of passwords, tokens and keys. A Text prints as a mark in a log, an error or a response. Only
// Reveal returns the text, so a search for that word finds every place where a secret is used.
package secret

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// mark is printed in place of a secret.
const mark = "[secret]"

// Text is a secret text. The zero value is empty and prints as nothing, since a missing secret is no secret. The text is
// behind a pointer, because fmt prints the unexported fields of structs without calling their methods, but only the address
// of a pointer. It is an array, because the generated code can decode a form into one.
type Text [1]*string

// New makes a Text.
func New(text string) Text { return Text{&text} }

// Reveal returns the text itself.
func (t Text) Reveal() string {
	if t[0] == nil {
		return ""
	}
	return *t[0]
}

// Empty reports whether there is no text.
func (t Text) Empty() bool { return t.Reveal() == "" }

// String implements fmt.Stringer.
func (t Text) String() string {
	if t.Empty() {
		return ""
	}
	return mark
}

// GoString implements fmt.GoStringer.
func (t Text) GoString() string { return mark }

// Format implements fmt.Formatter, so that no verb prints the text.
func (t Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// LogValue implements slog.LogValuer.
func (t Text) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText implements encoding.TextMarshaler.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// MarshalJSON implements json.Marshaler.
func (t Text) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Text) UnmarshalText(text []byte) error {
	*t = New(string(text))
	return nil
}

// UnmarshalJSON implements json.Unmarshaler. Its error does not quote the value.
func (t *Text) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return errNotText
	}
	*t = New(text)
	return nil
}

var errNotText = errors.New("a secret must be a string")
