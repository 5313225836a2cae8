package tracing

import (
	"net/http"
	"strings"
	"testing"
)

// The examples of W3C Trace Context, and headers that are none.
func TestCaller(t *testing.T) {
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for header, want := range map[string]string{
		"00-" + id + "-00f067aa0ba902b7-01":                              id,
		"00-" + id + "-00f067aa0ba902b7-00":                              id,
		"cc-" + id + "-00f067aa0ba902b7-01":                              id,
		"cc-" + id + "-00f067aa0ba902b7-01-what-the-future-will":         id,
		"00-" + id + "-00f067aa0ba902b7-01-more":                         "",
		"00-" + id + "-00f067aa0ba902b7-01x":                             "",
		"ff-" + id + "-00f067aa0ba902b7-01":                              "",
		"00-" + strings.ToUpper(id) + "-00f067aa0ba902b7-01":             "",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01":        "",
		"00-" + id + "-0000000000000000-01":                              "",
		"00-" + id + "-00f067aa0ba902b7":                                 "",
		"00-" + id[1:] + "-00f067aa0ba902b7-01":                          "",
		" 00-" + id + "-00f067aa0ba902b7-01":                             "",
		"cc-" + id + "-00f067aa0ba902b7-01-" + strings.Repeat("x", 8000): "",
		"": "",
	} {
		if got := callerID(http.Header{"Traceparent": {header}}); got != want {
			t.Errorf("%.80s: got %q, want %q", header, got, want)
		}
	}
	one := "00-" + id + "-00f067aa0ba902b7-01"
	if got := callerID(http.Header{"Traceparent": {one, one}}); got != "" {
		t.Errorf("two headers: got %q", got)
	}
}

func callerID(h http.Header) string {
	if c := Caller(h); c.IsValid() && c.IsRemote() {
		return c.TraceID().String()
	}
	return ""
}
