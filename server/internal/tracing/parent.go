package tracing

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// traceParent is the header traceparent (W3C Trace Context §3.2). A later version may add fields at the end.
var traceParent = regexp.MustCompile(`^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-|$)`)

// maxTraceParent bounds the header, of which only the beginning is read.
const maxTraceParent = 512

// Caller returns the span of the caller of a request, as its header traceparent names it; the zero value if there is none, or an
// invalid one. Anyone can send the header. The headers tracestate and baggage are not read: a stranger could send data in
// them that would be stored with each span.
func Caller(h http.Header) trace.SpanContext {
	headers := h["Traceparent"]
	if len(headers) != 1 || len(headers[0]) > maxTraceParent {
		return trace.SpanContext{}
	}
	m := traceParent.FindStringSubmatch(headers[0])
	if m == nil || m[1] == "ff" || m[1] == "00" && m[5] != "" {
		return trace.SpanContext{}
	}
	traceID, err := trace.TraceIDFromHex(m[2])
	if err != nil { // only zeros
		return trace.SpanContext{}
	}
	spanID, err := trace.SpanIDFromHex(m[3])
	if err != nil {
		return trace.SpanContext{}
	}
	flags, _ := strconv.ParseUint(m[4], 16, 8)
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: traceID, SpanID: spanID, TraceFlags: trace.TraceFlags(flags) & trace.FlagsSampled, Remote: true,
	})
}

// addressAttributes are those of a server with a public address. What a client sends as Host is not used.
func addressAttributes(address string) []attribute.KeyValue {
	u, err := url.Parse(address)
	if err != nil {
		return nil
	}
	attributes := []attribute.KeyValue{attribute.String("url.scheme", u.Scheme), attribute.String("server.address", u.Hostname())}
	if port, err := strconv.Atoi(u.Port()); err == nil {
		attributes = append(attributes, attribute.Int("server.port", port))
	}
	return attributes
}
