package oauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"sesame/server/internal/outbound"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of what strangers can make the server do by naming documents.
const (
	maxDocument     = 5 << 10         // bytes
	documentTimeout = 5 * time.Second // for all of a request
	maxReading      = 16              // requests at once
	maxReadingOfOne = 2               // of them for one network, or to one host
	maxOfHost       = 30              // documents of a host in hostWindow that nobody here has agreed to
	hostWindow      = time.Minute
	maxCached       = 1000
	shortestCache   = time.Minute
	defaultCache    = 10 * time.Minute
	longestCache    = 24 * time.Hour
	documentPause   = 10 * time.Second // after a failure, before the next request for the same document
)

var (
	// errDocument says that the answer of the host is no valid document.
	errDocument = errors.New("the document is not valid")
	errBusy     = errors.New("too many documents are being read, or were read from this host")
)

// documents reads client ID metadata documents, and keeps the valid ones for a while. It is safe for concurrent use.
type documents struct {
	client      *http.Client
	now         func() time.Time
	serviceName string

	mu      sync.Mutex
	cache   map[string]cachedDocument
	flights map[string]chan struct{} // closed when the request for a document has ended, and the cache has its outcome
	reading map[string]int           // requests in progress for a network, and to a host
	total   int
	hosts   map[string]int // requests to a host in the current window
	window  time.Time      // its end
}

// cachedDocument is a valid document or, for a few seconds, why there is none: the host of a document that nobody can read would
// otherwise get as many requests as this server does.
type cachedDocument struct {
	Metadata
	err   error
	until time.Time
}

func newDocuments(d Documents, serviceName string, now func() time.Time) *documents {
	addresses := outbound.Policy{Private: d.Private, Whose: "host of a client ID metadata document", Setting: "SESAME_PRIVATE_CLIENT_DOCUMENTS", Roots: d.Roots}
	return &documents{
		client: addresses.NewClient(documentTimeout, maxDocument), now: now, serviceName: serviceName,
		cache: map[string]cachedDocument{}, flights: map[string]chan struct{}{}, reading: map[string]int{}, hosts: map[string]int{},
	}
}

// cached returns a valid document that was read a short time ago.
func (d *documents) cached(uri string) (Metadata, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	entry := d.cache[uri]
	return entry.Metadata, entry.err == nil && entry.until.After(d.now())
}

// read reads a document. from is the network of the request that names it; known says that somebody here has agreed to the client.
// Errors: errDocument if the host answers with something else than a valid document, errBusy, and those of the network.
func (d *documents) read(ctx context.Context, uri, from string, known bool) (m Metadata, err error) {
	u, err := url.Parse(uri)
	if err != nil {
		return m, err
	}
	d.mu.Lock()
	if entry := d.cache[uri]; entry.err == nil && entry.until.After(d.now()) { // another request has read it meanwhile
		d.mu.Unlock()
		return entry.Metadata, nil
	}
	flight, ok := d.flights[uri]
	if ok {
		d.mu.Unlock()
		return d.join(ctx, uri, flight)
	}
	done, err := d.begin(uri, u.Host, from, known)
	d.mu.Unlock()
	if err != nil {
		return m, err
	}
	defer done()
	m, keep, err := d.fetch(context.WithoutCancel(ctx), uri) // others may wait for it
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.cache) >= maxCached {
		d.forgetOne()
	}
	d.cache[uri] = cachedDocument{m, err, d.now().Add(keep)}
	return m, err
}

// join waits for the request of another person for the same document.
func (d *documents) join(ctx context.Context, uri string, flight <-chan struct{}) (Metadata, error) {
	select {
	case <-flight:
	case <-ctx.Done():
		return Metadata{}, ctx.Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	entry, ok := d.cache[uri]
	if !ok { // others have taken its place
		return Metadata{}, errBusy
	}
	return entry.Metadata, entry.err
}

// begin counts a request, unless there are too many. It needs the lock; done takes it.
func (d *documents) begin(uri, host, from string, known bool) (done func(), err error) {
	now := d.now()
	if entry := d.cache[uri]; entry.err != nil && entry.until.After(now) && !entry.until.After(now.Add(documentPause)) {
		return nil, entry.err
	}
	if !d.window.After(now) || d.window.After(now.Add(hostWindow)) {
		d.window = now.Add(hostWindow)
		clear(d.hosts)
	}
	network, host := "network "+from, "host "+host
	switch {
	case d.total >= maxReading || d.reading[network] >= maxReadingOfOne || d.reading[host] >= maxReadingOfOne:
		return nil, errBusy
	case known:
	case d.hosts[host] >= maxOfHost || len(d.hosts) >= maxCached:
		return nil, errBusy
	default:
		d.hosts[host]++
	}
	flight := make(chan struct{})
	d.flights[uri] = flight
	d.total++
	d.reading[network]++
	d.reading[host]++
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.total--
		delete(d.flights, uri)
		close(flight)
		for _, key := range []string{network, host} {
			if d.reading[key]--; d.reading[key] == 0 {
				delete(d.reading, key)
			}
		}
	}, nil
}

// forgetOne removes an expired document from the cache or, if there is none, any.
func (d *documents) forgetOne() {
	victim := ""
	for uri, entry := range d.cache {
		victim = uri
		if !entry.until.After(d.now()) {
			break
		}
	}
	delete(d.cache, victim)
}

// fetch sends the request. keep is how long not to send another.
func (d *documents) fetch(ctx context.Context, uri string) (m Metadata, keep time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return m, documentPause, err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Accept-Encoding", "identity")
	request.Header.Set("User-Agent", "sesame")
	response, err := d.client.Do(request)
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	if err != nil {
		return m, documentPause, err
	}
	defer response.Body.Close()
	mediaType, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	switch {
	case response.StatusCode >= http.StatusInternalServerError || response.StatusCode == http.StatusTooManyRequests:
		return m, documentPause, fmt.Errorf("the host answers with status %d", response.StatusCode)
	case response.StatusCode != http.StatusOK:
		return m, documentPause, fmt.Errorf("%w: the host answers with status %d", errDocument, response.StatusCode)
	case mediaType != "application/json" && !(strings.HasPrefix(mediaType, "application/") && strings.HasSuffix(mediaType, "+json")):
		return m, documentPause, fmt.Errorf("%w: it is not JSON by its Content-Type", errDocument)
	}
	text, err := io.ReadAll(response.Body)
	if errors.Is(err, outbound.ErrTooLarge) {
		return m, documentPause, fmt.Errorf("%w: %w", errDocument, err)
	}
	if err != nil {
		return m, documentPause, err
	}
	if m, err = parseDocument(text, uri, d.serviceName); err != nil {
		return m, documentPause, fmt.Errorf("%w: %w", errDocument, err)
	}
	return m, cacheTime(response.Header.Get("Cache-Control")), nil
}

// documentText is a document. Other members are ignored.
type documentText struct {
	ClientID      string         `json:"client_id"`
	Name          string         `json:"client_name"`
	RedirectURIs  []string       `json:"redirect_uris"`
	GrantTypes    []string       `json:"grant_types"`
	ResponseTypes []string       `json:"response_types"`
	AuthMethod    string         `json:"token_endpoint_auth_method"`
	Secret        jsontext.Value `json:"client_secret"`
	SecretExpires jsontext.Value `json:"client_secret_expires_at"`
}

// parseDocument returns the valid content of the document at a URL. A key that is there twice makes it invalid.
func parseDocument(text []byte, uri, serviceName string) (Metadata, error) {
	var document documentText
	if err := json.Unmarshal(text, &document); err != nil {
		return Metadata{}, errors.New("it is not a JSON object with members of the right types")
	}
	switch {
	case document.ClientID != uri:
		return Metadata{}, errors.New("its client_id is not its URL")
	case document.Secret != nil || document.SecretExpires != nil:
		return Metadata{}, errors.New("it has a secret, which everybody can read")
	case document.Name == "":
		return Metadata{}, errors.New("it has no client_name")
	}
	m := Metadata{
		Name: document.Name, RedirectURIs: document.RedirectURIs, GrantTypes: document.GrantTypes, ResponseTypes: document.ResponseTypes, AuthMethod: document.AuthMethod,
	}
	name, fault := m.check(serviceName, []string{"", "none"})
	if fault != nil {
		return Metadata{}, fmt.Errorf("%s %s", strings.TrimPrefix(fault.Fields[0].Pointer, "/"), fault.Fields[0].Detail)
	}
	m.Name = name
	return m, nil
}

// cacheTime is how long a document is used, by its Cache-Control and within limits.
func cacheTime(control string) time.Duration {
	keep := defaultCache
	for directive := range strings.SplitSeq(strings.ToLower(control), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch name {
		case "no-store", "no-cache":
			return shortestCache
		case "max-age":
			if seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				keep = time.Duration(seconds) * time.Second
			}
		}
	}
	return min(max(keep, shortestCache), longestCache)
}
