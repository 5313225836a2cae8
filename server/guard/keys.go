package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/MicahParks/jwkset"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

const (
	// refreshInterval is how long Sesame allows clients to cache its keys. It bounds how long a retired key is accepted.
	refreshInterval = 5 * time.Minute
	// unknownInterval limits the refreshes that unknown keys cause, since any request can name one.
	unknownInterval = 10 * time.Second
	// fetchTimeout limits one request to the issuer, and maxDocument its answer, in bytes.
	fetchTimeout = 5 * time.Second
	maxDocument  = 1 << 20
)

// keys are the issuer's public keys. While the issuer is down, the last ones remain valid.
type keys struct {
	stored  jwkset.Storage
	refresh func(context.Context)
	allowed *rate.Limiter
	flight  singleflight.Group
	stop    context.CancelFunc
}

// fetchKeys waits for the issuer: a service and its login server are often started together. It logs each reason once in a row.
func fetchKeys(ctx context.Context, o Options) (*keys, error) {
	starting, cancel := ctx, context.CancelFunc(func() {})
	if o.StartTimeout >= 0 {
		starting, cancel = context.WithTimeout(ctx, o.StartTimeout)
	}
	defer cancel()
	reason := ""
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		k, err := newKeys(ctx, o)
		if err == nil {
			return k, nil
		}
		if err.Error() != reason {
			reason = err.Error()
			o.Log.Warn("the issuer's keys could not be fetched; the guard tries again", "issuer", o.Issuer, "error", err)
		}
		select {
		case <-starting.Done():
			return nil, fmt.Errorf("no keys from the issuer %s: %w", o.Issuer, err)
		case <-time.After(wait):
		}
	}
}

func newKeys(ctx context.Context, o Options) (*keys, error) {
	client := bounded(o.Client)
	found, err := discover(ctx, client, o.Issuer)
	if err == nil {
		err = checkEndpoint(o.Issuer, "jwks_uri", found.Keys)
	}
	if err != nil {
		return nil, err
	}
	address := found.Keys
	ctx, stop := context.WithCancel(ctx)
	stored, err := jwkset.NewStorageFromHTTP(address, jwkset.HTTPClientStorageOptions{
		Ctx: ctx, Client: client, HTTPTimeout: fetchTimeout, RefreshInterval: refreshInterval,
		Storage: notEmptied{jwkset.NewMemoryStorage()},
		RefreshErrorHandler: func(ctx context.Context, err error) {
			o.Log.WarnContext(ctx, "the issuer's keys could not be refreshed; the previous ones remain valid", "issuer", o.Issuer, "error", err)
		},
	})
	if err != nil {
		stop()
		return nil, err
	}
	// The library refreshes whenever its client is asked for an unknown key. find limits how often that happens.
	refresher, err := jwkset.NewHTTPClient(jwkset.HTTPClientOptions{
		HTTPURLs: map[string]jwkset.Storage{address: stored}, RefreshUnknownKID: rate.NewLimiter(rate.Inf, 1),
	})
	if err != nil {
		stop()
		return nil, err
	}
	return &keys{
		stored: stored, stop: stop, allowed: rate.NewLimiter(rate.Every(unknownInterval), 1),
		refresh: func(ctx context.Context) { _, _ = refresher.KeyRead(ctx, "") }, // an unknown key causes a refresh
	}, nil
}

// find returns a key by its kid. An unknown kid causes one refresh for all requests at that time: after a rotation many
// valid tokens have one.
func (k *keys) find(ctx context.Context, kid string) (jwkset.JWK, error) {
	jwk, err := k.stored.KeyRead(ctx, kid)
	if err == nil {
		return jwk, nil
	}
	_, _, _ = k.flight.Do("", func() (any, error) {
		if k.allowed.Allow() {
			// The first request may be canceled while others wait for the refresh.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
			defer cancel()
			k.refresh(ctx)
		}
		return nil, nil
	})
	return k.stored.KeyRead(ctx, kid)
}

// notEmptied keeps the keys if the issuer's address answers 200 without any, as a proxy might.
type notEmptied struct{ jwkset.Storage }

// KeyReplaceAll implements jwkset.Storage.
func (s notEmptied) KeyReplaceAll(ctx context.Context, set []jwkset.JWK) error {
	if len(set) == 0 {
		return errors.New("the answer contains no keys")
	}
	return s.Storage.KeyReplaceAll(ctx, set)
}

// metadata is the part of the issuer's metadata (RFC 8414 §2) that the guard needs.
type metadata struct {
	Issuer        string `json:"issuer"`
	Keys          string `json:"jwks_uri"`
	Introspection string `json:"introspection_endpoint"`
}

// discover returns the issuer's metadata (RFC 8414 §3). Behind a proxy that removes a prefix, Sesame serves them below that prefix.
func discover(ctx context.Context, client *http.Client, issuer string) (metadata, error) {
	const wellKnown = "/.well-known/oauth-authorization-server"
	u, err := url.Parse(issuer)
	if err != nil {
		return metadata{}, err
	}
	path := strings.TrimSuffix(u.Path, "/")
	u.Path = wellKnown + path
	m, err := fetchMetadata(ctx, client, u.String(), issuer)
	if err != nil && path != "" {
		return fetchMetadata(ctx, client, strings.TrimSuffix(issuer, "/")+wellKnown, issuer)
	}
	return m, err
}

func fetchMetadata(ctx context.Context, client *http.Client, address, issuer string) (m metadata, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return m, err
	}
	response, err := client.Do(request)
	if err != nil {
		return m, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return m, fmt.Errorf("%s answers %d", address, response.StatusCode)
	}
	if err = json.NewDecoder(response.Body).Decode(&m); err != nil {
		return m, fmt.Errorf("%s: %w", address, err)
	}
	if m.Issuer != issuer { // RFC 8414 §3.3
		return m, fmt.Errorf("%s says that it is the issuer %q, not %q", address, m.Issuer, issuer)
	}
	return m, nil
}

// checkEndpoint checks an address of the issuer's metadata.
func checkEndpoint(issuer, name, address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && (u.Scheme != "http" || strings.HasPrefix(issuer, "https:")) {
		return fmt.Errorf("the %s %q of the issuer must be https, or http if the issuer is", name, address)
	}
	return nil
}

// bounded returns a client that limits the size of answers and follows no redirects.
func bounded(from *http.Client) *http.Client {
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if from != nil {
		*client = *from
	}
	transport := client.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	client.Transport = limited{transport}
	return client
}

type limited struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := l.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(response.Body, maxDocument), response.Body}
	}
	return response, err
}
