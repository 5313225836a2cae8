package upstream

import (
	"strings"

	"sesame/server/internal/outbound"
)

// maxBody bounds what is read of an answer, in bytes, after decompression.
const maxBody = 256 << 10

// addressesOf returns which addresses providers may have.
func addressesOf(private bool) outbound.Policy {
	return outbound.Policy{Private: private, Whose: "provider", Setting: "SESAME_PRIVATE_PROVIDERS"}
}

// checkURL returns why a URL cannot be that of a provider, or "".
func (s *Service) checkURL(text string) string {
	if strings.ContainsAny(text, "?#") {
		return "must have neither a query nor a fragment"
	}
	return s.addresses.CheckURL(text)
}
