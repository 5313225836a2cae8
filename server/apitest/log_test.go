package apitest

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"testing"
)

// A caller that is part of a trace finds the lines of the log by the id of the trace.
func TestTheLogHasTheTrace(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	r := get("/healthz")
	r.header = map[string]string{"traceparent": "00-" + id + "-00f067aa0ba902b7-01", "tracestate": "vendor=x"}
	s.do(t, r).want(200)
	s.do(t, get("/healthz")).want(200)
	if text := s.wholeLog(); strings.Count(text, `"trace_id":"`+id+`"`) != 1 || strings.Contains(text, "vendor") {
		t.Errorf("the log is\n%s", text)
	}
}

// A request writes one line to the log, and none is longer than a kilobyte, however long the parts of the request are
// that its sender has chosen.
func TestLinesOfTheLogHaveABound(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.newcomer(t, "ann").AccessToken
		long := strings.Repeat("x", 8_000)
		requests := []request{
			{method: strings.Repeat("X", 8_000), path: "/healthz"},
			get("/" + long), get("/healthz?" + long), get("/users/" + long),
			{method: "GET", path: "/users/me", token: ann, header: map[string]string{"User-Agent": long, "X-Request-ID": long, "X-Forwarded-For": long}},
			{method: "GET", path: "/users/me", token: long},
			{method: "GET", path: "/healthz", header: map[string]string{"Host": long}},
			{method: "GET", path: "/healthz", header: map[string]string{"Origin": long, "Referer": long, "Content-Type": long}},
			patch(ann, `{"`+long+`":1}`), patch(ann, `{"full_name":"`+long+`"}`), patch(ann, long),
			passwordGrant(long, long), refreshGrant(long), withScope(passwordGrant("ann", horse), long),
			{method: "POST", path: "/token", form: map[string][]string{long: {long}, "grant_type": {long}}},
			{method: "POST", path: "/token", header: map[string]string{"Authorization": "Basic " + long}},
		}
		for _, r := range requests {
			if _, err := s.try(r); err != nil {
				t.Errorf("%.20s %.20s: %v", r.method, r.path, err)
			}
		}
		// A client of net/http cannot send these.
		for _, line := range []string{"GET " + long + " HTTP/1.1", long + " / HTTP/1.1", "GET / " + long, "GET /%zz" + long + " HTTP/1.1"} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err = conn.Write([]byte(line + "\r\nHost: x\r\nConnection: close\r\n\r\n")); err != nil {
				t.Fatal(err)
			}
			if _, err = http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
				t.Errorf("%.20s: %v", line, err)
			}
		}
		lines := 0
		for line := range strings.Lines(s.wholeLog()) {
			if len(line) > 1_000 {
				t.Errorf("a line of %d bytes: %.300s", len(line), line)
			}
			if strings.Contains(line, `"msg":"request"`) {
				lines++
			}
		}
		if lines < len(requests) {
			t.Errorf("%d lines for %d requests", lines, len(requests))
		}
	}, proxied, "SESAME_LOG_LEVEL=debug")
}
