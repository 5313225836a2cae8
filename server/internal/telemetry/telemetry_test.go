package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func text(t *testing.T, r *Registry) string {
	t.Helper()
	var b strings.Builder
	if err := r.Write(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTheTextFormat(t *testing.T) {
	r := NewRegistry()
	outcomes := Label{Name: "outcome", Values: []string{"success", `a "quoted" \ value`}, Other: "other"}
	logins := r.Counter("logins_total", "Logins,\nall of them.", outcomes)
	logins.Add(2, "success")
	wait := r.Histogram("wait_seconds", "Wait.", Label{Name: "queue", Values: []string{"a"}})
	wait.Observe(5*time.Millisecond, "a") // a bound belongs to its bucket
	wait.Observe(6*time.Second, "a")
	wait.Observe(time.Minute, "a")
	r.Gauge("age_seconds", "Age.").Set(1.5)
	r.Total("waits_total", "Waits.").Set(3)
	r.Gauge("unset", "Never set.")
	unknown := r.Gauge("unknown", "Unknown.")
	r.OnScrape(func(context.Context) { unknown.Unknown() })
	want := `# HELP age_seconds Age.
# TYPE age_seconds gauge
age_seconds 1.5
# HELP logins_total Logins,\nall of them.
# TYPE logins_total counter
logins_total{outcome="a \"quoted\" \\ value"} 0
logins_total{outcome="success"} 2
# HELP unknown Unknown.
# TYPE unknown gauge
unknown NaN
# HELP wait_seconds Wait.
# TYPE wait_seconds histogram
wait_seconds_bucket{queue="a",le="0.005"} 1
wait_seconds_bucket{queue="a",le="0.01"} 1
wait_seconds_bucket{queue="a",le="0.025"} 1
wait_seconds_bucket{queue="a",le="0.05"} 1
wait_seconds_bucket{queue="a",le="0.075"} 1
wait_seconds_bucket{queue="a",le="0.1"} 1
wait_seconds_bucket{queue="a",le="0.25"} 1
wait_seconds_bucket{queue="a",le="0.5"} 1
wait_seconds_bucket{queue="a",le="0.75"} 1
wait_seconds_bucket{queue="a",le="1"} 1
wait_seconds_bucket{queue="a",le="2.5"} 1
wait_seconds_bucket{queue="a",le="5"} 1
wait_seconds_bucket{queue="a",le="7.5"} 2
wait_seconds_bucket{queue="a",le="10"} 2
wait_seconds_bucket{queue="a",le="+Inf"} 3
wait_seconds_sum{queue="a"} 66.005
wait_seconds_count{queue="a"} 3
# HELP waits_total Waits.
# TYPE waits_total counter
waits_total 3
`
	if got := text(t, r); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Whatever values come, the series are those that were declared.
func TestUndeclaredValuesAddNoSeries(t *testing.T) {
	r := NewRegistry()
	methods := Label{Name: "method", Values: []string{"GET", "POST"}, Other: "_OTHER"}
	routes := Label{Name: "route", Values: []string{"/users/me"}}
	counter, histogram := r.Counter("c_total", "C.", methods, routes), r.Histogram("h_seconds", "H.", methods, routes)
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			for j := range 1000 {
				method, route := fmt.Sprintf("M%d-%d", i, j), fmt.Sprintf("/%d\n%d", i, j)
				counter.Add(1, method, route)
				histogram.Observe(time.Second, method, route)
				histogram.Observe(time.Second, "GET", route)
			}
		})
	}
	wait.Wait()
	got := strings.Split(text(t, r), "\n")
	for _, line := range []string{`c_total{method="_OTHER"} 8000`, `h_seconds_count{method="_OTHER"} 8000`, `h_seconds_count{method="GET"} 8000`, `c_total{method="GET",route="/users/me"} 0`} {
		if !slices.Contains(got, line) {
			t.Errorf("%s is missing from %q", line, got)
		}
	}
	if series := len(counter.series) + len(histogram.series); series != 2+1+2 {
		t.Errorf("there are %d series", series)
	}
}

func TestNothingIsCountedByNil(*testing.T) {
	(*Counter)(nil).Add(1)
	(*Histogram)(nil).Observe(time.Second)
}

func TestTheProcess(t *testing.T) {
	r := NewRegistry()
	r.Process()
	got := text(t, r)
	names := []string{"sesame_build_info{", "process_start_time_seconds ", "go_goroutines ", "go_memstats_heap_alloc_bytes ", "go_memstats_sys_bytes ", "go_gc_cycles_total "}
	if _, err := os.Stat("/proc/self/stat"); err == nil {
		names = append(names, "process_cpu_seconds_total ", "process_resident_memory_bytes ", "process_open_fds ", "process_max_fds ")
	}
	for _, name := range names {
		if !strings.Contains(got, "\n"+name) {
			t.Errorf("%s is missing in\n%s", name, got)
		}
	}
	// An alert compares the open files with a share of the limit.
	if n := number("unlimited"); !math.IsInf(n, 1) || decimal(n) != "+Inf" {
		t.Errorf("no limit is %v", n)
	}
}

func TestHandler(t *testing.T) {
	r := NewRegistry()
	r.Process()
	get := func(profiles bool, host, path string) (status int, body string) {
		request, response := httptest.NewRequest(http.MethodGet, path, http.NoBody), httptest.NewRecorder()
		request.Host = host
		r.Handler(profiles).ServeHTTP(response, request)
		return response.Code, response.Body.String()
	}
	for _, c := range []struct {
		profiles   bool
		host, path string
		want       int
	}{
		{true, "127.0.0.1:9464", "/metrics", 200},
		{true, "localhost:9464", "/metrics", 200},
		{true, "[::1]:9464", "/metrics", 200},
		{true, "127.0.0.1:9464", "/debug/pprof/", 200},
		{true, "127.0.0.1", "/debug/pprof/goroutine", 200},
		{true, "127.0.0.1", "/debug/pprof/heap?debug=1", 200},
		{true, "127.0.0.1", "/debug/pprof/profile?seconds=0.01", 200},
		{true, "127.0.0.1", "/debug/pprof/trace?seconds=0.01", 200},
		{true, "127.0.0.1", "/debug/pprof/profile?seconds=NaN", 400},
		{true, "127.0.0.1", "/debug/pprof/profile?seconds=1e9", 400},
		{true, "127.0.0.1", "/debug/pprof/trace?seconds=-1", 400},
		{true, "127.0.0.1", "/debug/pprof/cmdline", 404},
		{true, "127.0.0.1", "/", 404},
		{true, "rebound.example:9464", "/metrics", 421},
		{true, "rebound.example", "/debug/pprof/heap", 421},
		{true, "", "/metrics", 421},
		{false, "sesame.internal:9464", "/metrics", 200},
		{false, "127.0.0.1", "/debug/pprof/", 404},
		{false, "127.0.0.1", "/debug/pprof/heap", 404},
	} {
		if status, body := get(c.profiles, c.host, c.path); status != c.want || c.path == "/metrics" && status == 200 && !strings.Contains(body, "sesame_build_info{") {
			t.Errorf("%+v: got %d\n%s", c, status, body)
		}
	}
}

func TestServingEndsWithItsContext(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Serve(ctx, listener, NewRegistry().Handler(true), slog.New(slog.DiscardHandler))
	}()
	response, err := http.Get("http://" + listener.Addr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	cancel()
	<-ended
	if response, err = http.Get("http://" + listener.Addr().String() + "/metrics"); err == nil {
		response.Body.Close()
		t.Error("it still answers")
	}
}

// What a request costs: it is counted whether or not the metrics are served.
func BenchmarkObserve(b *testing.B) {
	r := NewRegistry()
	routes := make([]string, 50)
	for i := range routes {
		routes[i] = fmt.Sprintf("/a/route/%d", i)
	}
	h := r.Histogram("h_seconds", "H.", Label{Name: "method", Values: []string{"GET", "POST"}}, Label{Name: "route", Values: routes}, Label{Name: "status", Values: []string{"200", "401"}})
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			h.Observe(time.Millisecond, "GET", routes[49], "200")
		}
	})
}
