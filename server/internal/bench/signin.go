//go:build linux

package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
)

const (
	callback = "https://app.example/callback"
	codeCase = "Code with a live session (two requests), ID tokens by "
	verifier = "a-verifier-of-forty-three-characters-or-more"
)

// signIn is the case of a person who is signed in and comes back through a client: GET /authorize, then POST /token. Each is a
// request of its own.
func (b *bench) signIn(p *process, name string) (*bcase, error) {
	create := exec.CommandContext(b.ctx, p.cmd.Path, "client", "create", "bench", "--public", "--redirect-uri", callback, "--json")
	create.Env = p.cmd.Env
	body, err := create.Output()
	if err != nil {
		return nil, fmt.Errorf("create a client: %w", err)
	}
	var made struct {
		ID string `json:"client_id"`
	}
	if err = json.Unmarshal(body, &made); err != nil {
		return nil, err
	}
	cookies := make([]string, connections)
	for i := range cookies {
		if cookies[i], err = p.browser(made.ID, loginName(i)); err != nil {
			return nil, err
		}
	}
	work := each(connections, func(i int) work { return p.signingIn(made.ID, cookies[i]) })
	return &bcase{name: codeCase + name, server: p, client: client(), duration: b.short, work: work}, nil
}

// signInES256 is signIn at a server of its own, which signs ID tokens with the algorithm of access tokens.
func (b *bench) signInES256() (*bcase, error) {
	p, err := b.server(b.program, b.sqlite("es256"), "SESAME_ID_TOKEN_ALG=ES256")
	if err != nil {
		return nil, err
	}
	for i := range connections {
		if _, err = want(201, p.register(loginName(i))); err != nil {
			return nil, err
		}
	}
	return b.signIn(p, "ES256, SQLite")
}

func (p *process) authorize(client, cookie string) request {
	sum := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"response_type": {"code"}, "client_id": {client}, "redirect_uri": {callback}, "scope": {"openid"}, "nonce": {"n"}, "state": {"s"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	return request{method: "GET", url: p.url + "/authorize?" + query.Encode(), cookie: cookie}
}

// signingIn is a connection that gets a code, and then exchanges it.
func (p *process) signingIn(client, cookie string) work {
	hasCode := false
	return func(answer []byte) request {
		if answer == nil || hasCode {
			hasCode = false
			return p.authorize(client, cookie)
		}
		hasCode = true
		location, err := url.Parse(string(answer))
		if err != nil { // a failure is counted by its status
			location = &url.URL{}
		}
		return p.form("/token", "grant_type", "authorization_code", "code", location.Query().Get("code"), "redirect_uri", callback, "code_verifier", verifier, "client_id", client)
	}
}

var requestField = regexp.MustCompile(`name="request" value="([^"]*)"`)

// browser signs a person in on the page, and returns the cookie.
func (p *process) browser(client, username string) (string, error) {
	page, err := want(200, p.authorize(client, ""))
	if err != nil {
		return "", err
	}
	found := requestField.FindSubmatch(page)
	if found == nil {
		return "", errors.New("the page has no form")
	}
	form := p.form("/sign-in", "request", html.UnescapeString(string(found[1])), "username", username, "password", password)
	response, err := (&http.Client{CheckRedirect: noRedirects}).Post(form.url, form.contentType, strings.NewReader(form.body))
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if cookies := response.Cookies(); len(cookies) == 1 {
		return cookies[0].Name + "=" + cookies[0].Value, nil
	}
	text, _ := io.ReadAll(response.Body)
	return "", fmt.Errorf("signing in sets no cookie: %d %s", response.StatusCode, text)
}

func noRedirects(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
