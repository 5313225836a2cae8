package main

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestReadResponse(t *testing.T) {
	for name, test := range map[string]struct {
		answer string
		status int
		body   string
		fails  bool
	}{
		"an answer":           {"HTTP/1.1 200 OK\r\nX-Other: 1\r\nContent-Length: 2\r\n\r\nokHTTP/1.1", 200, "ok", false},
		"an empty one":        {"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", 503, "", false},
		"no length":           {"HTTP/1.1 200 OK\r\n\r\n", 200, "", true},
		"half a body":         {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", 200, "", true},
		"no status":           {"hello\r\n", 0, "", true},
		"a closed connection": {"", 0, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			status, body, err := readResponse(bufio.NewReader(strings.NewReader(test.answer)), nil)
			if (err != nil) != test.fails {
				t.Fatalf("error %v, want one: %v", err, test.fails)
			}
			if status != test.status || (!test.fails && string(body) != test.body) {
				t.Errorf("got %d %q, want %d %q", status, body, test.status, test.body)
			}
		})
	}
}

func TestRepeatCountsEveryAnswerAndFollowsTheChain(t *testing.T) {
	var seen []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.FormValue("refresh_token"))
		if len(seen) == 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		w.Write([]byte(`{"access_token":"a","refresh_token":"next"}`))
	}))
	defer server.Close()
	host := server.Listener.Addr().String()
	c, err := dial(host, refreshRequest(host, "first"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	c.after = func(body []byte) ([]byte, error) {
		next, err := readTokens(body)
		return refreshRequest(host, next.Refresh), err
	}
	r, err := c.repeat(time.Now().Add(50 * time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.latencies) != len(seen) || len(seen) < 3 || r.failures != 1 {
		t.Fatalf("%d latencies and %d failures of %d requests, want all and 1", len(r.latencies), r.failures, len(seen))
	}
	if seen[0] != "first" || seen[1] != "next" {
		t.Errorf("sent %q, then %q, want first, then next", seen[0], seen[1])
	}
}

func TestFiguresOfRounds(t *testing.T) {
	ms := time.Millisecond
	of := func(cpu time.Duration, n int) round { return round{cpu: cpu, latencies: make([]time.Duration, n)} }
	bare := &benchCase{rounds: []round{of(10*ms, 10), of(20*ms, 10), of(30*ms, 10)}}
	full := &benchCase{rounds: []round{of(20*ms, 10), of(60*ms, 10), of(60*ms, 10)}}
	if got, want := full.each(round.cpuPerRequest), (spread{6000, 2000, 6000}); got != want {
		t.Errorf("CPU %v, want %v", got, want)
	}
	if got, want := full.against(bare, round.cpuPerRequest), (spread{2, 2, 3}); got != want {
		t.Errorf("ratio %v, want %v", got, want)
	}
	if got, want := spreadOf([]float64{4, 1, 3, 2}), (spread{2.5, 1, 4}); got != want {
		t.Errorf("an even number of values gives %v, want %v", got, want)
	}
	sorted := []time.Duration{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	if p50, p99 := percentile(sorted, 0.5), percentile(sorted, 0.99); p50 != 6 || p99 != 10 {
		t.Errorf("p50 %d and p99 %d, want 6 and 10", p50, p99)
	}
}

func TestAimsAreJudged(t *testing.T) {
	show := func(v float64) string { return "x" }
	for _, test := range []struct {
		value, limit float64
		least        bool
		met          string
	}{{1, 2, false, "yes"}, {3, 2, false, "no"}, {3, 2, true, "yes"}, {1, 2, true, "no"}} {
		a := aim{name: "a", value: spread{median: test.value}, show: show, limit: test.limit, least: test.least}
		if row := a.row(); row[len(row)-1] != test.met {
			t.Errorf("%v: met %s", test, row[len(row)-1])
		}
	}
}
