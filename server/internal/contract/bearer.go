package contract

import (
	"errors"
	"net/http"
	"strings"

	"sesame/server/internal/problem"
	"sesame/server/secret"
)

// BearerToken reads the access token from the Authorization header (RFC 6750 §2.1), and returns an empty text if there is
// none. It refuses a token in the query, which would appear in logs and browser histories.
func BearerToken(r *http.Request) (token secret.Text, err error) {
	if r.URL.RawQuery != "" && r.URL.Query().Has("access_token") {
		return token, problem.New(problem.BadRequest, "Send the access token in the Authorization header, not in the query.")
	}
	headers := r.Header["Authorization"]
	if len(headers) == 0 {
		return token, nil
	}
	if len(headers) > 1 {
		return token, problem.New(problem.BadRequest, "There is more than one Authorization header.")
	}
	scheme, text, _ := strings.Cut(headers[0], " ")
	text = strings.TrimLeft(text, " ") // RFC 6750 §2.1: 1*SP
	if !strings.EqualFold(scheme, "Bearer") {
		return token, nil
	}
	if text == "" {
		return token, problem.Wrap(problem.InvalidToken, "The Authorization header holds no token.", errors.New("empty"))
	}
	return secret.New(text), nil
}
