package token

import (
	"fmt"
	"io"
	"log/slog"
)

// Types that hold a secret print as a mark, whatever the verb: fmt would show the bytes of a slice or an array, even in
// an unexported field. slog calls LogValue; its JSON handler would not call Format.

// Format implements fmt.Formatter.
func (MasterKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[master key]") }

// LogValue implements slog.LogValuer.
func (MasterKey) LogValue() slog.Value { return slog.StringValue("[master key]") }

// Format implements fmt.Formatter.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[signing key "+k.ID+"]") }

// Format implements fmt.Formatter. Inside another type, fmt would not call the method of the keys.
func (r *Keyring) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "[keyring that signs with "+r.signing.ID+"]")
}

// Format implements fmt.Formatter.
func (KeyedHash) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[key of keyed hashes]") }

// Format implements fmt.Formatter.
func (Sealer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[key of sealed data]") }

// Format implements fmt.Formatter.
func (Refresher) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[refresh token key]") }

// Format implements fmt.Formatter.
func (Refresh) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[refresh token]") }
