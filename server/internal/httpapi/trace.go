package httpapi

import (
	"net/http"
	"regexp"
	"strings"
)

// traceParent is the header traceparent (W3C Trace Context §3.2). A later version may add fields at the end.
var traceParent = regexp.MustCompile(`^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-|$)`)

// maxTraceParent bounds the header, of which only the beginning is read.
const maxTraceParent = 512

// traceID returns the id of the trace that a request belongs to, or "". It is the caller's word, so the log alone has it.
func traceID(r *http.Request) string {
	headers := r.Header["Traceparent"]
	if len(headers) != 1 || len(headers[0]) > maxTraceParent {
		return ""
	}
	m := traceParent.FindStringSubmatch(headers[0])
	switch {
	case m == nil, m[1] == "ff", m[1] == "00" && m[4] != "": // invalid
		return ""
	case strings.Trim(m[2], "0") == "", strings.Trim(m[3], "0") == "": // no trace, or no span
		return ""
	}
	return m[2]
}
