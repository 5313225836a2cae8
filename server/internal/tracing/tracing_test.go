package tracing

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// The cost of spans in a server without traces is a look-up in the context.
func TestWithoutTracesNothingIsAllocated(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, 1)
	header := http.Header{}
	var none *Tracer
	if n := testing.AllocsPerRun(100, func() {
		_, request := none.Request(ctx, header, "GET", "/users/me")
		_, span := Start(ctx, "password hash")
		_, statement := Statement(ctx, SQLite, "SELECT 1 FROM users WHERE id = $1")
		span.Set("a", "b")
		span.SetNumber("n", 1)
		span.Fail("timeout")
		request.Answered(500)
		statement.End()
		span.End()
		request.End()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// transport answers in place of a collector.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// start makes a Tracer whose collector is a function, and counts what it drops.
func startTracer(t *testing.T, o Options, collector transport) (tracer *Tracer, dropped map[string]int) {
	t.Helper()
	dropped = map[string]int{}
	o.URL, o.Queue, o.Batch, o.Delay = "http://collector.example/v1/traces", 10, 2, time.Second
	tracer = New(o, "https://login.example:8443", slog.New(slog.DiscardHandler), Counts{
		Sent: func(int) {}, Dropped: func(reason string, spans int) { dropped[reason] += spans },
	})
	tracer.export.client.Transport = collector
	return tracer, dropped
}

// The end of a server waits for a collector that hangs, but not for long, and no batch is sent after that.
func TestTheEndWaitsForTheCollectorALimitedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		tracer, dropped := startTracer(t, Options{Timeout: time.Minute}, func(r *http.Request) (*http.Response, error) {
			sent++
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		for range 10 {
			_, span := tracer.Request(t.Context(), nil, "GET", "/users/me")
			span.End()
		}
		begun := time.Now()
		tracer.Close()
		if took := time.Since(begun); took != closeTime || sent != 1 || dropped[reasonCollector] != 10 {
			t.Errorf("the end took %v, after %d batches; dropped are %v", took, sent, dropped)
		}
	})
}

// What is sent in time is sent, however long the server has waited to send it.
func TestTheEndSendsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bodies strings.Builder
		tracer, dropped := startTracer(t, Options{Timeout: time.Minute}, func(r *http.Request) (*http.Response, error) {
			_, err := io.Copy(&bodies, r.Body)
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, err
		})
		for range 9 {
			_, span := tracer.Background(t.Context(), "mail")
			span.End()
		}
		tracer.Close()
		if n := strings.Count(bodies.String(), `"name":"mail"`); n != 9 || len(dropped) != 0 {
			t.Errorf("%d spans are sent, and dropped are %v", n, dropped)
		}
		tracer.Close() // again, and nothing is sent after the end
		_, span := tracer.Background(t.Context(), "mail")
		span.End()
	})
}

// A caller cannot have more requests recorded than the limit, neither by the flag nor by an id that the ratio selects.
func TestCallersCannotHaveEachRequestRecorded(t *testing.T) {
	selected, _ := trace.TraceIDFromHex("00000000000000010000000000000001") // by any ratio
	for _, o := range []Options{{Sampler: parentRatio}, {Sampler: parentRatio, Ratio: 0.01}, {Sampler: traceIDRatio, Ratio: 0.01}, {Sampler: parentAlwaysOff, Ratio: 1}} {
		begun := time.Now()
		flags := trace.FlagsSampled
		if o.Sampler == traceIDRatio {
			flags = 0
		}
		caller := trace.NewSpanContext(trace.SpanContextConfig{TraceID: selected, SpanID: trace.SpanID{1}, TraceFlags: flags, Remote: true})
		sampler, sampled := o.sampler(), 0
		for range 10_000 {
			if sampler.ShouldSample(sdk.SamplingParameters{ParentContext: trace.ContextWithRemoteSpanContext(t.Context(), caller), TraceID: selected}).Decision == sdk.RecordAndSample {
				sampled++
			}
		}
		if limit := callersPerSecond * (1 + time.Since(begun).Seconds()); sampled < callersPerSecond || float64(sampled) > limit+1 {
			t.Errorf("%+v: %d of 10,000 are sampled, more than %v", o, sampled, limit)
		}
		local := trace.ContextWithSpanContext(t.Context(), caller.WithRemote(false).WithTraceFlags(trace.FlagsSampled))
		if o.Sampler != traceIDRatio && sampler.ShouldSample(sdk.SamplingParameters{ParentContext: local, TraceID: selected}).Decision != sdk.RecordAndSample {
			t.Errorf("%+v: a step of a sampled request is not", o)
		}
	}
}

// The SDK would record the value of a panic.
func TestAPanicIsNotRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var body []byte
		tracer, _ := startTracer(t, Options{Timeout: time.Minute}, func(r *http.Request) (*http.Response, error) {
			body, _ = io.ReadAll(r.Body)
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
		})
		func() {
			defer func() { _ = recover() }()
			ctx, span := tracer.Background(t.Context(), "mail")
			defer span.End()
			_, below := Start(ctx, "mail send")
			defer below.End()
			// A program that mounts the server may use the SDK as it likes.
			trace.SpanFromContext(ctx).RecordError(errors.New("a wooden horse"))
			trace.SpanFromContext(ctx).SetStatus(1, "a wooden horse")
			panic("a wooden horse")
		}()
		tracer.Close()
		if !json.Valid(body) || !strings.Contains(string(body), "mail send") || strings.Contains(string(body), "horse") {
			t.Errorf("sent is %s", body)
		}
	})
}

func TestAttributesOfOtherTypes(t *testing.T) {
	list := []attribute.KeyValue{
		attribute.Bool("a", false), attribute.Int("b", -1), attribute.Float64("c", 0.5), attribute.Float64("d", inf()), attribute.StringSlice("e", []string{"x"}), attribute.String("f", "\xff"),
	}
	text, err := json.Marshal(encodeAttributes(list))
	const want = `[{"key":"a","value":{"boolValue":false}},{"key":"b","value":{"intValue":"-1"}},{"key":"c","value":{"doubleValue":0.5}},` +
		`{"key":"d","value":{"stringValue":"Infinity"}},{"key":"e","value":{"stringValue":"[\"x\"]"}},{"key":"f","value":{"stringValue":"\ufffd"}}]`
	if err != nil || string(text) != want {
		t.Errorf("%v: got\n%s, want\n%s", err, text, want)
	}
}

func inf() float64 {
	zero := 0.0
	return 1 / zero
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for header, want := range map[string]time.Duration{
			"": 0, "7": 7 * time.Second, "-7": 0, "x": 0, "99999999": maxRetryAfter, "99999999999999999999": 0,
			time.Now().Add(time.Minute).UTC().Format(http.TimeFormat): time.Minute, "Thu, 01 Jan 1970 00:00:00 GMT": 0,
		} {
			if got := retryAfter(header); got != want {
				t.Errorf("%q: got %v, want %v", header, got, want)
			}
		}
	})
}

// A summary has operations and tables, and nothing that a statement quotes.
func TestSummaries(t *testing.T) {
	for statement, want := range map[string]string{
		`SELECT id, name FROM users WHERE id = $1`:                                                      "SELECT users",
		"\n\t\tinsert into sessions (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET x = 1 RETURNING id": "INSERT sessions",
		`UPDATE users SET x = $1 WHERE id = $2`:                                                         "UPDATE users",
		`SELECT (SELECT 1 FROM a), (SELECT 1 FROM b) FROM c`:                                            "SELECT a SELECT b c",
		`UPDATE ONLY users SET x = $1`:                                                                  "UPDATE users",
		`DELETE FROM mails WHERE id IN (SELECT id FROM mails ORDER BY id LIMIT $1)`:                     "DELETE mails SELECT mails",
		`INSERT INTO a SELECT b FROM c JOIN d ON d.x = c.x`:                                             "INSERT a SELECT c d",
		`SELECT 1 FROM users WHERE id = $1 FOR UPDATE SKIP LOCKED`:                                      "SELECT users",
		`SELECT 1 FROM users FOR NO KEY UPDATE`:                                                         "SELECT users",
		`WITH old AS (SELECT id FROM users) DELETE FROM users`:                                          "SELECT users DELETE users",
		`SELECT * FROM (SELECT id FROM users) AS u`:                                                     "SELECT users",
		`SELECT 'UPDATE secret', "FROM secret" FROM users -- FROM secret` + "\n":                        "SELECT users",
		`SELECT 'it''s FROM secret' FROM users /* FROM secret */`:                                       "SELECT users",
		`SELECT E'\' FROM secret' FROM users`:                                                           "SELECT",
		`SELECT $x$ FROM secret $x$`:                                                                    "SELECT",
		`SELECT FROM 42`:                                                                                "SELECT",
		`begin isolation level serializable`:                                                            "BEGIN",
		`COMMIT`:                                                                                        "COMMIT",
		`PRAGMA x`:                                                                                      "PRAGMA",
		`secret`:                                                                                        "",
		`FROM secret`:                                                                                   "",
		``:                                                                                              "",
		`SELECT 'never ends FROM secret`:                                                                "SELECT",
		`SELECT /* never ends FROM secret`:                                                              "SELECT",
		strings.Repeat("SELECT 1 FROM a_table_of_a_long_name; SELECT 1 FROM another_of_a_long_name; ", 99): "",
	} {
		got := summary(statement)
		if len(got) > maxSummary || len(statement) < 1000 && got != want {
			t.Errorf("%.80s: got %q, want %q", statement, got, want)
		}
	}
}

// The statements of a program that mounts the server may be without number.
func TestTheCacheOfSummariesHasABound(t *testing.T) {
	var c cache
	for i := range 2 * maxSummaries {
		if got := c.of("SELECT 1 FROM users WHERE id = " + strings.Repeat("1", i)); got != "SELECT users" {
			t.Fatalf("got %q", got)
		}
	}
	if n := c.size.Load(); n != maxSummaries {
		t.Errorf("%d are kept", n)
	}
}
