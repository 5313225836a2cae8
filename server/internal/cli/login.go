package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

type loginCommand struct {
	Issuer   string   `arg:"" help:"The address of the server, such as https://login.example.com."`
	ClientID string   `name:"client-id" required:"" placeholder:"ID" help:"A public client that has the device grant; make one with: sesame client create NAME --public --device"`
	Scope    []string `help:"A scope to ask for, such as openid; may be repeated."`
	JSON     bool     `help:"Print all tokens as JSON, in place of the access token alone."`
}

// maxLoginAnswer bounds an answer of the server, in bytes.
const maxLoginAnswer = 1 << 20

// deviceLogin is a client of the device authorization grant (RFC 8628). It knows of the server what its metadata say.
type deviceLogin struct {
	http     *http.Client
	clientID string
	Issuer   string `json:"issuer"`
	Device   string `json:"device_authorization_endpoint"`
	Token    string `json:"token_endpoint"`
}

type deviceCodes struct {
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	Plain      string `json:"verification_uri"`
	Complete   string `json:"verification_uri_complete"`
	ExpiresIn  int    `json:"expires_in"`
	Interval   int    `json:"interval"`
}

// loginRefusal is an error of the server (RFC 6749 §5.2).
type loginRefusal struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

// Error is the description for people.
func (r *loginRefusal) Error() string { return cmp.Or(r.Description, r.Code) }

// Run signs a person in by the browser of any device, and prints the access token.
func (c *loginCommand) Run(p *program) error {
	d := &deviceLogin{clientID: c.ClientID, http: &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}}
	if err := d.discover(p.ctx, strings.TrimSuffix(c.Issuer, "/")); err != nil {
		return err
	}
	var codes deviceCodes
	if err := d.post(p.ctx, d.Device, url.Values{"scope": {strings.Join(c.Scope, " ")}}, &codes); err != nil {
		return fmt.Errorf("%s does not start the login: %w", d.Issuer, err)
	}
	fmt.Fprintf(p.Stderr, "Open %s in a browser, and enter the code %s.\nOr open %s\nWaiting until you agree there.\n",
		codes.Plain, codes.UserCode, cmp.Or(codes.Complete, codes.Plain))
	tokens, err := d.wait(p.ctx, codes, p.Tests.Every)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(p.Stdout).Encode(tokens)
	}
	_, err = fmt.Fprintln(p.Stdout, tokens["access_token"])
	return err
}

// discover reads the metadata of the server. They must be those of the issuer (RFC 8414 §3.3), and secret texts go over TLS, or
// stay on this machine.
func (d *deviceLogin) discover(ctx context.Context, issuer string) error {
	if err := checkLoginAddress(issuer); err != nil {
		return usageError{fmt.Errorf("<issuer> %w\nexample: sesame login https://login.example.com --client-id ID", err)}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer+"/.well-known/openid-configuration", nil)
	if err != nil {
		return err
	}
	if err = d.send(request, d); err != nil {
		return fmt.Errorf("the metadata of %s cannot be read: %w", issuer, err)
	}
	switch {
	case strings.TrimSuffix(d.Issuer, "/") != issuer:
		return fmt.Errorf("the server at %s says that it is %q; give the address that it has in SESAME_PUBLIC_URL", issuer, d.Issuer)
	case d.Device == "":
		return fmt.Errorf("the server at %s has no device authorization grant", issuer)
	}
	for _, address := range []string{d.Device, d.Token} {
		if err = checkLoginAddress(address); err != nil {
			return fmt.Errorf("the metadata of %s have an address that %w", issuer, err)
		}
	}
	return nil
}

func checkLoginAddress(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("must be a URL such as https://login.example.com")
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return errors.New("must begin with https://; http:// is for this machine alone")
}

// post sends a form of the client.
func (d *deviceLogin) post(ctx context.Context, address string, form url.Values, into any) error {
	form.Set("client_id", d.clientID)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return d.send(request, into)
}

// send decodes an answer. Errors: *loginRefusal.
func (d *deviceLogin) send(request *http.Request, into any) error {
	response, err := d.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxLoginAnswer))
	if err != nil {
		return err
	}
	if response.StatusCode == http.StatusOK {
		return json.Unmarshal(text, into)
	}
	refusal := &loginRefusal{}
	if json.Unmarshal(text, refusal) != nil || refusal.Code == "" {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return refusal
}

// wait polls until the person has decided (RFC 8628 §3.5). every replaces the interval of the server in tests.
func (d *deviceLogin) wait(ctx context.Context, codes deviceCodes, every time.Duration) (tokens map[string]any, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(codes.ExpiresIn)*time.Second)
	defer cancel()
	interval := time.Duration(cmp.Or(codes.Interval, 5)) * time.Second
	for {
		select {
		case <-time.After(cmp.Or(every, interval)):
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil, errors.New("the code has expired, and nobody has agreed; run the command again")
			}
			return nil, ctx.Err()
		}
		err = d.post(ctx, d.Token, url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {codes.DeviceCode},
		}, &tokens)
		refusal, refused := errors.AsType[*loginRefusal](err)
		switch {
		case err == nil:
			return tokens, nil
		case refused && (refusal.Code == "slow_down" || refusal.Code == "temporarily_unavailable"), !refused:
			interval += 5 * time.Second // the network or the server may be busy (§3.5)
		case refusal.Code != "authorization_pending":
			return nil, fmt.Errorf("not logged in: %w", refusal)
		}
	}
}
