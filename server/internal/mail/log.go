package mail

import (
	"context"
	"log/slog"
)

// Log is the Sender where there is no mail server: it writes each mail to the log, so that the codes
// work on a developer's machine. It is the one place in this program where a code gets into a log, and
// is meant to be; a server that others can reach starts with it only if SESAME_SMTP_URL is log:.
type Log struct{ To *slog.Logger }

// Send implements Sender.
func (l Log) Send(ctx context.Context, m Message) error {
	l.To.InfoContext(ctx, "a mail is written here, because SESAME_SMTP_URL names no mail server", "to", m.To, "subject", m.Subject, "text", m.Text.Reveal())
	return nil
}
