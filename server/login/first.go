package login

import (
	"context"
	"io"

	"sesame/server/internal/app"
)

// firstRun says how to make the first administrator; "" if there is one. A link that makes one is a secret: it is written to a
// terminal, and elsewhere only where the operator lets the log have the links of mails, too.
func (a *App) firstRun(w io.Writer) string {
	if a.accounts == nil { // before Mount
		return ""
	}
	if exists, err := a.accounts.HasAdministrator(context.Background()); err != nil || exists {
		return ""
	}
	first := a.app.FirstRun()
	if first == nil || !first.Local && !app.IsTerminal(w) && !a.app.MailsToLog() {
		return "there is no administrator; create one with: sesame user create NAME --administrator"
	}
	text := first.Address(a.app.PublicURL) + "   (makes the first administrator"
	if !first.Local {
		text += "; keep this link secret; it expires in an hour"
	}
	return text + ")"
}
