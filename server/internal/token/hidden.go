package token

import (
	"fmt"
	"io"
	"log/slog"
)

// What holds a secret here prints as a mark, whatever the verb; fmt would show the bytes of a slice or
// an array, even of a field that is not exported. Logs ask LogValue, for JSON asks nobody.

// Format implements fmt.Formatter.
func (MasterKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[master key]") }

// LogValue implements slog.LogValuer.
func (MasterKey) LogValue() slog.Value { return slog.StringValue("[master key]") }

// Format implements fmt.Formatter.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[signing key "+k.ID+"]") }

// Format implements fmt.Formatter. Inside another type fmt would not ask the keys.
func (r *Keyring) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "[keyring that signs with "+r.signing.ID+"]")
}

// Format implements fmt.Formatter.
func (Blind) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[key of blind keys]") }

// Format implements fmt.Formatter.
func (Box) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[key of sealed texts]") }

// Format implements fmt.Formatter.
func (Refresher) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[refresh token key]") }

// Format implements fmt.Formatter.
func (Refresh) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[refresh token]") }
