package mock

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/contract"
	"sesame/server/internal/problem"
)

const (
	keysPath     = "/.well-known/jwks.json"
	metadataPath = "/.well-known/oauth-authorization-server"
)

// handler responds at an endpoint of the mock. documented is the response of the document's operation there, or an empty one.
type handler = func(w http.ResponseWriter, r *http.Request, documented *answer) (*answer, error)

// registerOurs adds the endpoints without which tokens would not work: token endpoints, keys and metadata. If the document
// has an operation at such a path, the request is validated first.
func (m *Mock) registerOurs() {
	m.ours = map[string]map[string]handler{}
	take := func(method, path string, h handler) {
		if decoded, err := url.PathUnescape(path); err == nil {
			path = decoded
		}
		if m.ours[path] == nil {
			m.ours[path] = map[string]handler{}
		}
		m.ours[path][method] = h
	}
	for _, path := range m.TokenPaths() {
		take(http.MethodPost, path, func(w http.ResponseWriter, r *http.Request, documented *answer) (*answer, error) {
			get, err := m.tokenRequest(w, r)
			if err != nil {
				return nil, err
			}
			return m.tokens.issue(w.Header(), get, documented)
		})
	}
	take(http.MethodGet, keysPath, func(_ http.ResponseWriter, _ *http.Request, documented *answer) (*answer, error) {
		documented.setJSON(echo.MIMEApplicationJSON, m.tokens.keys())
		return documented, nil
	})
	take(http.MethodGet, metadataPath, func(_ http.ResponseWriter, _ *http.Request, documented *answer) (*answer, error) {
		documented.setJSON(echo.MIMEApplicationJSON, m.metadata(documented))
		return documented, nil
	})
}

// tokenRequest reads the parameters of a token request. They are a form (RFC 6749 §4.3.2), or JSON if the document says so.
func (m *Mock) tokenRequest(w http.ResponseWriter, r *http.Request) (get func(string) string, err error) {
	r.Body = http.MaxBytesReader(w, r.Body, contract.MaxBody)
	mediaType := r.Header.Get(echo.HeaderContentType)
	if op := m.router.Find(r.Method, r.URL).Operation; contract.IsJSON(mediaType) && op != nil && op.Document.RequestBody != nil {
		if declared, _ := mainContent(op.Document.RequestBody.Value.Content); contract.IsJSON(declared) {
			var body map[string]any
			if err = json.NewDecoder(r.Body).Decode(&body); err != nil {
				return nil, problem.Wrap(problem.BadRequest, "The body is not a JSON object.", errors.New("Decode"))
			}
			return func(name string) string { text, _ := body[name].(string); return text }, nil
		}
	}
	if mediaType, _, _ = mime.ParseMediaType(mediaType); mediaType != echo.MIMEApplicationForm {
		return nil, problem.New(problem.UnsupportedMediaType, "Send application/x-www-form-urlencoded.")
	}
	if err = r.ParseForm(); err != nil {
		return nil, problem.Wrap(problem.BadRequest, "The body is not a valid form.", errors.New("ParseForm"))
	}
	return r.PostForm.Get, nil
}

// TokenPaths returns the paths of the token endpoints: those of the document, or /token.
func (m *Mock) TokenPaths() []string {
	if paths := m.Document.tokenPaths(); len(paths) > 0 {
		return paths
	}
	return []string{"/token"}
}

// keys returns the JWK set (RFC 7517 §5).
func (t *tokens) keys() any {
	var keys []map[string]string
	for _, k := range t.issuer.Keys().JWKS() {
		keys = append(keys, map[string]string{"kty": k.Kty, "use": k.Use, "alg": k.Alg, "kid": k.Kid, "crv": k.Crv, "x": k.X, "y": k.Y})
	}
	return map[string]any{"keys": keys}
}

// metadata returns the metadata of RFC 8414: the documented example, with the addresses and scopes of the mock.
func (m *Mock) metadata(documented *answer) map[string]any {
	body := map[string]any{}
	_ = json.Unmarshal(documented.body.Bytes(), &body)
	if was, ok := body["issuer"].(string); ok {
		for name, value := range body {
			if address, ok := value.(string); ok && strings.HasPrefix(address, was) {
				body[name] = m.PublicURL + strings.TrimPrefix(address, was)
			}
		}
	}
	body["issuer"], body["jwks_uri"] = m.PublicURL, m.PublicURL+keysPath
	body["token_endpoint"] = m.PublicURL + m.TokenPaths()[0]
	body["scopes_supported"] = m.Contract.Scopes().Declared
	if body["response_types_supported"] == nil {
		body["response_types_supported"] = []string{}
	}
	return body
}
