package network

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"sesame/server/internal/names"
)

// maxUserAgent bounds, in bytes, how much of a User-Agent header is kept.
const maxUserAgent = 256

// RequestInfo describes the sender of a request, for events, sessions and mails.
type RequestInfo struct {
	IPAddress string
	UserAgent string // printable, and at most 256 bytes
}

type requestKey struct{}

// WithRequest returns a context that carries the sender of a request. Work in a context without one counts as done at
// the command line.
func WithRequest(ctx context.Context, ipAddress, userAgent string) context.Context {
	return context.WithValue(ctx, requestKey{}, RequestInfo{IPAddress: ipAddress, UserAgent: printable(userAgent, maxUserAgent)})
}

// RequestOf returns the sender of the request that ctx belongs to; ok is false at the command line.
func RequestOf(ctx context.Context) (info RequestInfo, ok bool) {
	info, ok = ctx.Value(requestKey{}).(RequestInfo)
	return info, ok
}

// FromContext returns the network that the request of ctx comes from. The command line is a network of its own.
func FromContext(ctx context.Context) Network {
	info, ok := RequestOf(ctx)
	if !ok {
		return Network{}
	}
	return Of(info.IPAddress)
}

type connectionKey struct{}

// WithTimeout gives a request a time. What goes on after it, such as an export, has ConnectionOf.
func WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithValue(ctx, connectionKey{}, ctx), d)
}

// ConnectionOf returns a context that is canceled when the connection of the request that ctx belongs to has ended. ctx itself does
// not tell that once its time has passed, since its error then remains the same.
func ConnectionOf(ctx context.Context) context.Context {
	if connection, ok := ctx.Value(connectionKey{}).(context.Context); ok {
		return connection
	}
	return ctx
}

// printable removes invisible characters and invalid UTF-8 from a text that a client chose, and cuts it to limit bytes.
func printable(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if !names.Printable(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, text)
	for len(text) > limit {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}
