package mailer

import (
	"context"
	"log/slog"
)

// Log is the Sender where no mail server is configured: it writes each mail to the log, so that a developer can use the
// codes. It is the one place in this program that logs a code, on purpose. A server that is reachable from other
// machines starts with it only if SESAME_SMTP_URL is log:.
type Log struct {
	To   *slog.Logger
	From string
}

// LoggedMail is the message of the log record of a mail. Its attributes are those of the mail: from, to, subject and text.
const LoggedMail = "a mail is written here, because SESAME_SMTP_URL names no mail server"

// Send implements Sender.
func (l Log) Send(ctx context.Context, m Message) error {
	l.To.InfoContext(ctx, LoggedMail, "from", l.From, "to", m.To, "subject", m.Subject, "text", m.Text.Reveal())
	return nil
}
