package apitest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A collector that is down, slow or hostile costs traces and nothing else: each request is answered, the queue has a bound, what it
// drops is counted, and the server still ends.
func TestACollectorThatFailsHarmsNoRequest(t *testing.T) {
	t.Parallel()
	stranger := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed, with the headers") }))
	t.Cleanup(stranger.Close)
	for name, answer := range map[string]http.HandlerFunc{
		"asks to wait": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusServiceUnavailable)
		},
		"is no collector": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"redirects": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, stranger.URL, http.StatusTemporaryRedirect)
		},
		"cuts connections": func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		},
		"never ends its answer": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat("x", 4096)); err != nil {
					return
				}
			}
		},
		"refuses": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startCollector(t)
			c.answerInstead(answer)
			if answer == nil {
				c.Close()
			}
			s := start(t, sqliteURL(t), c.traced(metered, "OTEL_BSP_MAX_QUEUE_SIZE=20", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=5", "OTEL_BSP_SCHEDULE_DELAY=10",
				"OTEL_EXPORTER_OTLP_TIMEOUT=200", "OTEL_EXPORTER_OTLP_HEADERS=x-key=KeyOfTheCollector")...)
			ann := s.newcomer(t, "ann").AccessToken
			for range 30 {
				s.do(t, me(ann)).want(200)
			}
			failed := `sesame_trace_spans_dropped_total{reason="not_accepted"}`
			if name == "never ends its answer" { // which says 200 at its beginning
				failed = "sesame_trace_spans_sent_total"
			}
			until(t, "spans are counted", func() bool { return s.metrics(t)[failed] >= 5 })
			if name == "asks to wait" && c.count() != 1 {
				t.Errorf("the collector has asked to wait, and got %d requests", c.count())
			}
			s.stop()
			log := s.wholeLog()
			if name != "never ends its answer" && strings.Count(log, "sending traces failed") != 1 || strings.Contains(log, "KeyOfTheCollector") {
				t.Errorf("the log is\n%.3000s", log)
			}
		})
	}
}

// While a collector hangs, the queue fills up, and further spans are dropped. The waiting ones are sent when the collector answers again.
func TestTheQueueOfSpansHasABound(t *testing.T) {
	t.Parallel()
	c, over := startCollector(t), make(chan struct{})
	c.answerInstead(func(http.ResponseWriter, *http.Request) { <-over })
	s := start(t, sqliteURL(t), c.traced(metered, "OTEL_BSP_MAX_QUEUE_SIZE=20", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=5", "OTEL_EXPORTER_OTLP_TIMEOUT=60000")...)
	for range 50 {
		s.do(t, get("/healthz")).want(200)
	}
	if n := s.metrics(t); n[`sesame_trace_spans_dropped_total{reason="queue_full"}`] != 30 || n["sesame_trace_spans_sent_total"] != 0 {
		t.Errorf("of 50 spans, %v are dropped", n[`sesame_trace_spans_dropped_total{reason="queue_full"}`])
	}
	close(over)
	until(t, "the others are sent", func() bool { return s.metrics(t)["sesame_trace_spans_sent_total"] == 20 })
	s.do(t, get("/healthz")).want(200)
	if n := s.metrics(t); n[`sesame_trace_spans_dropped_total{reason="queue_full"}`] != 30 {
		t.Error("the queue is still full")
	}
}

// A failure that may pass is tried again, and what the collector does not accept is counted.
func TestTracesAreSentAgainAfterAFailure(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 502, 503, 504} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			c := startCollector(t)
			c.answerInstead(func(w http.ResponseWriter, _ *http.Request) {
				c.answerInstead(nil)
				w.WriteHeader(status)
			})
			s := start(t, sqliteURL(t), c.traced(metered, "OTEL_BSP_SCHEDULE_DELAY=10")...)
			s.do(t, get("/healthz")).want(200)
			until(t, "the spans arrive", func() bool { return s.metrics(t)["sesame_trace_spans_sent_total"] > 0 })
			for series, n := range s.metrics(t) {
				if strings.HasPrefix(series, "sesame_trace_spans_dropped_total") && n != 0 {
					t.Errorf("%s is %v", series, n)
				}
			}
			spanCalled(t, c.received(), "GET /healthz")
		})
	}
}

func TestRejectedSpansAreCounted(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{`{"partialSuccess":{"rejectedSpans":"1","errorMessage":"no"}}`, `{"partialSuccess":{"rejectedSpans":1}}`} {
		c := startCollector(t)
		c.answerInstead(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) })
		s := start(t, sqliteURL(t), c.traced(metered, "OTEL_BSP_SCHEDULE_DELAY=10")...)
		s.do(t, get("/healthz")).want(200)
		until(t, "one is counted", func() bool { return s.metrics(t)[`sesame_trace_spans_dropped_total{reason="not_accepted"}`] == 1 })
	}
}

// The variables are those of OpenTelemetry's specification.
func TestTheVariablesOfTraces(t *testing.T) {
	t.Parallel()
	c := startCollector(t)
	s := start(t, sqliteURL(t), "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+c.URL+"/tenant/7",
		"OTEL_EXPORTER_OTLP_HEADERS=x-key=wrong", "OTEL_EXPORTER_OTLP_TRACES_HEADERS=x-key=a%20b, Authorization=Bearer%20c==", "OTEL_EXPORTER_OTLP_COMPRESSION=gzip",
		"OTEL_SERVICE_NAME=login", "OTEL_RESOURCE_ATTRIBUTES=service.name=other,deployment.environment.name=a%2Cb", "OTEL_EXPORTER_OTLP_PROTOCOL=http/json",
		"OTEL_TRACES_EXPORTER=otlp", "OTEL_SDK_DISABLED=false", "OTEL_PROPAGATORS=none", "OTEL_TRACES_SAMPLER=always_on")
	s.do(t, inTrace(someTrace, "00", get("/healthz"))).want(200)
	log := s.wholeLog()
	span := spanCalled(t, c.received(), "GET /healthz")
	if span.Resource["service.name"] != "login" || span.Resource["deployment.environment.name"] != "a,b" {
		t.Errorf("the server is %v", span.Resource)
	}
	if span.TraceID == someTrace || span.Parent != "" || strings.Contains(log, someTrace) || !strings.Contains(log, `"trace_id":"`+span.TraceID) {
		t.Errorf("OTEL_PROPAGATORS=none: the span is %+v, and the log\n%s", span, log)
	}
	if r := c.requests[0]; r.URL.Path != "/tenant/7" || r.Header.Get("X-Key") != "a b" || r.Header.Get("Authorization") != "Bearer c==" || r.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("the request is %s with %v", r.URL, r.Header)
	}
	for endpoint, path := range map[string]string{"": "/v1/traces", "/": "/v1/traces", "/otlp": "/otlp/v1/traces", "/otlp/": "/otlp/v1/traces"} {
		c := startCollector(t)
		s := start(t, sqliteURL(t), "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL+endpoint)
		s.do(t, get("/healthz")).want(200)
		if s.stop(); c.count() != 1 || c.requests[0].URL.Path != path {
			t.Errorf("%q: %d requests", endpoint, c.count())
		}
	}
	for _, off := range []string{"OTEL_SDK_DISABLED=true", "OTEL_TRACES_EXPORTER=none", "OTEL_TRACES_SAMPLER=always_off", "OTEL_TRACES_SAMPLER=parentbased_always_off"} {
		c := startCollector(t)
		s := start(t, sqliteURL(t), c.traced(off)...)
		s.do(t, get("/healthz")).want(200)
		if s.stop(); c.count() != 0 {
			t.Errorf("%s: spans arrive", off)
		}
	}
}

// A caller decides about its own requests where the sampler says so.
func TestACallerDecidesWhatIsSampled(t *testing.T) {
	t.Parallel()
	c := startCollector(t)
	s := start(t, sqliteURL(t), c.traced("OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0")...)
	s.do(t, inTrace(someTrace, "01", get("/healthz"))).want(200)
	s.do(t, inTrace(someTrace, "00", get("/readyz"))).want(200)
	s.do(t, get("/openapi.yaml")).want(200)
	log := s.wholeLog()
	if spans := c.received(); len(spans) != 1 || spans[0].Name != "GET /healthz" || spans[0].TraceID != someTrace {
		t.Errorf("the spans are %+v", spans)
	}
	if strings.Count(log, `"trace_id":"`) != 3 { // of spans that are not recorded, too
		t.Errorf("the log is\n%s", log)
	}
}

// N15: variables that cannot work stop the start, all at once, unless there are no traces.
func TestVariablesOfTracesThatCannotWork(t *testing.T) {
	t.Parallel()
	for setting, reason := range map[string]string{
		"OTEL_EXPORTER_OTLP_PROTOCOL=grpc":                 `OTEL_EXPORTER_OTLP_PROTOCOL is "grpc", and this server sends http/json alone`,
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf": `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is "http/protobuf"`,
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=localhost:431": "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT must be a URL",
		"OTEL_EXPORTER_OTLP_ENDPOINT=ftp://localhost":      "OTEL_EXPORTER_OTLP_ENDPOINT must be a URL",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://a:db-secret@b": "must have no user",
		"OTEL_EXPORTER_OTLP_HEADERS=db-secret":             "OTEL_EXPORTER_OTLP_HEADERS must be a list of NAME=VALUE",
		"OTEL_EXPORTER_OTLP_HEADERS=x=db-secret%0a":        "OTEL_EXPORTER_OTLP_HEADERS must be a list",
		"OTEL_EXPORTER_OTLP_HEADERS=x y=db-secret":         "OTEL_EXPORTER_OTLP_HEADERS must be a list",
		"OTEL_RESOURCE_ATTRIBUTES=a=%zz":                   "OTEL_RESOURCE_ATTRIBUTES must be a list",
		"OTEL_EXPORTER_OTLP_TIMEOUT=10s":                   "must be a number from 100 to 60000",
		"OTEL_EXPORTER_OTLP_COMPRESSION=zstd":              "none or gzip",
		"OTEL_EXPORTER_OTLP_CERTIFICATE=ca.pem":            "SSL_CERT_FILE",
		"OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY=x.pem":       "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY is set",
		"OTEL_TRACES_SAMPLER=jaeger_remote":                `OTEL_TRACES_SAMPLER is "jaeger_remote"; it must be always_on`,
		"OTEL_TRACES_SAMPLER_ARG=2":                        "must be a number from 0 to 1",
		"OTEL_TRACES_SAMPLER_ARG=NaN":                      "must be a number from 0 to 1",
		"OTEL_PROPAGATORS=b3":                              "tracecontext or none",
		"OTEL_BSP_MAX_QUEUE_SIZE=0":                        "OTEL_BSP_MAX_QUEUE_SIZE",
		"OTEL_BSP_MAX_EXPORT_BATCH_SIZE=5000":              "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
		"OTEL_BSP_SCHEDULE_DELAY=0":                        "OTEL_BSP_SCHEDULE_DELAY",
		"OTEL_SDK_DISABLED=yes":                            "true or false",
		"OTEL_TRACES_EXPORTER=zipkin":                      "otlp or none",
	} {
		e := environment{"SESAME_DATABASE_URL": emptySQLiteURL(t), "SESAME_LISTEN": "127.0.0.1:0", "OTEL_TRACES_SAMPLER": "traceidratio"}
		name, value, _ := strings.Cut(setting, "=")
		if e[name] = value; !strings.Contains(name, "ENDPOINT") {
			succeeds(t, "", e, "config") // no traces
			e["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:4318"
		}
		fails(t, "", e, reason, "serve")
		fails(t, "", e, reason, "config")
	}
	e := environment{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=db-secret", "OTEL_TRACES_SAMPLER": "always_on"}
	if printed := succeeds(t, "", e, "config"); strings.Contains(printed, "db-secret") || !strings.Contains(printed, "OTEL_EXPORTER_OTLP_HEADERS=[secret]\n") ||
		!strings.Contains(printed, "OTEL_TRACES_SAMPLER=always_on\n") {
		t.Errorf("printed %s", printed)
	}
	for _, unused := range []string{"OTEL_SDK_DISABLED=true", "OTEL_TRACES_EXPORTER=none", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:4318/v1/traces"} {
		for _, endpoint := range []string{"https://me:db-secret@collector.example", "https://collector.example?key=db-secret", "https://db-secret%zz@collector.example"} {
			name, value, _ := strings.Cut(unused, "=")
			e = environment{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, name: value}
			if printed := succeeds(t, "", e, "config"); strings.Contains(printed, "db-secret") || !strings.Contains(printed, "OTEL_EXPORTER_OTLP_ENDPOINT=[secret]\n") {
				t.Errorf("%s, %s: printed %s", unused, endpoint, printed)
			}
		}
	}
	if printed := succeeds(t, "", environment{}, "help", "settings"); !strings.Contains(printed, "OTEL_TRACES_SAMPLER=NAME") {
		t.Errorf("printed %s", printed)
	}
}

// A server without a collector has no trace in its log that its caller did not send.
func TestWithoutACollectorThereAreNoTraces(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t), "OTEL_SERVICE_NAME=login", "OTEL_BSP_SCHEDULE_DELAY=10")
	s.newcomer(t, "ann")
	if log := s.wholeLog(); strings.Contains(log, "trace_id") || strings.Contains(log, "sending traces") {
		t.Errorf("the log is\n%s", log)
	}
}
