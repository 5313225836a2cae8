package certificates

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"time"

	"golang.org/x/crypto/acme"

	"sesame/server/internal/store"
)

// order takes the steps of RFC 8555 §7 to a certificate, and returns it sealed.
func (m *Manager) order(ctx context.Context, row store.Certificate) (sealed string, err error) {
	client, err := m.account(ctx, row)
	if err != nil {
		return "", err
	}
	order, err := client.AuthorizeOrder(ctx, acme.DomainIDs(m.Host))
	if err != nil {
		return "", fmt.Errorf("order a certificate: %w", err)
	}
	for _, address := range order.AuthzURLs {
		if err = m.authorize(ctx, client, address, row); err != nil {
			return "", err
		}
	}
	if order, err = client.WaitOrder(ctx, order.URI); err != nil {
		return "", fmt.Errorf("wait for the order: %w", err)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{m.Host}}, private)
	if err != nil {
		return "", err
	}
	chain, _, err := client.CreateCertFromOrder(ctx, order, request, true)
	if err != nil {
		return "", fmt.Errorf("get the certificate of the order: %w", err)
	}
	text, err := encode(private, chain)
	if err == nil {
		err = m.check(text)
	}
	if err != nil {
		return "", fmt.Errorf("the certification authority has issued a certificate that cannot be used: %w", err)
	}
	return m.sealer.Seal(text, sealName("certificate", row)), nil
}

// check returns an error for a certificate that clients would refuse, or that does not belong to its key.
func (m *Manager) check(text []byte) error {
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return err
	}
	if m.Now().After(pair.Leaf.NotAfter) {
		return fmt.Errorf("it expired at %v", pair.Leaf.NotAfter)
	}
	return pair.Leaf.VerifyHostname(m.Host)
}

// account returns a client of the authority with the account of the row, which it makes where there is none. To make one is
// to agree to the authority's terms, as the operator has by the setting.
func (m *Manager) account(ctx context.Context, row store.Certificate) (*acme.Client, error) {
	private, err := m.accountKey(ctx, row)
	if err != nil {
		return nil, err
	}
	client := &acme.Client{Key: private, DirectoryURL: m.Directory, HTTPClient: bounded(m.Client), UserAgent: "sesame", RetryBackoff: retryAfter}
	_, err = client.Register(ctx, &acme.Account{}, acme.AcceptTOS)
	if err != nil && !errors.Is(err, acme.ErrAccountAlreadyExists) {
		return nil, fmt.Errorf("make an account at the certification authority %s: %w", m.Directory, err)
	}
	return client, nil
}

// retryAfter is how long a request to the authority waits before it is repeated, within the time of the attempt. A refusal for
// too many requests ends the attempt: the next one waits for as long as the authority asks.
func retryAfter(n int, _ *http.Request, response *http.Response) time.Duration {
	if response.StatusCode == http.StatusTooManyRequests || n > 5 {
		return 0
	}
	return 100 * time.Millisecond << n
}

func (m *Manager) accountKey(ctx context.Context, row store.Certificate) (crypto.Signer, error) {
	if row.Account != "" {
		der, err := m.sealer.Open(row.Account, sealName("account", row))
		if err == nil {
			parsed, err := x509.ParsePKCS8PrivateKey(der)
			if private, ok := parsed.(crypto.Signer); ok && err == nil {
				return private, nil
			}
		}
		m.Log.Warn("the account at the certification authority cannot be opened, perhaps because another master key has sealed it; the server makes a new one", "error", err)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	return private, m.db.SetAccount(ctx, row, m.sealer.Seal(der, sealName("account", row)))
}

// challengeType alternates, if the server answers at port 80 too: often only one of the two ports is reachable.
func (m *Manager) challengeType(row store.Certificate) string {
	if m.HTTP && row.Failures%2 == 1 {
		return "http-01"
	}
	return "tls-alpn-01"
}

// authorize answers the challenge of an authorization, and waits until the authority has verified it.
func (m *Manager) authorize(ctx context.Context, client *acme.Client, address string, row store.Certificate) error {
	authorization, err := client.GetAuthorization(ctx, address)
	if err != nil {
		return fmt.Errorf("get an authorization: %w", err)
	}
	if authorization.Status == acme.StatusValid { // of an earlier order
		return nil
	}
	kind := m.challengeType(row)
	i := slices.IndexFunc(authorization.Challenges, func(c *acme.Challenge) bool { return c.Type == kind })
	if i < 0 {
		return fmt.Errorf("the certification authority offers no challenge %s for %s", kind, m.Host)
	}
	offered := authorization.Challenges[i]
	if err = m.publish(ctx, client, offered, row); err != nil {
		return fmt.Errorf("answer a challenge: %w", err)
	}
	if _, err = client.Accept(ctx, offered); err != nil {
		return fmt.Errorf("accept a challenge: %w", err)
	}
	if _, err = client.WaitAuthorization(ctx, address); err != nil {
		return fmt.Errorf("the certification authority could not verify that %s is this server (%s); it must reach port %s of the address that the name resolves to: %w",
			m.Host, kind, map[string]string{"http-01": "80", "tls-alpn-01": "443"}[kind], err)
	}
	return nil
}

// encode writes a private key and a chain of certificates in PEM.
func encode(private crypto.PrivateKey, chain [][]byte) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err = pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: der}); err != nil {
		return nil, err
	}
	for _, der := range chain {
		if err = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			return nil, err
		}
	}
	return text.Bytes(), nil
}

// selfSigned makes a certificate that no client trusts.
func selfSigned(host string) (*tls.Certificate, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host, Organization: []string{"not verified"}}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, nil
}
