// Package tracing makes spans and sends them to a collector of OpenTelemetry, by OTLP over HTTP in JSON.
//
//	options, err := tracing.ReadVariables(os.Getenv).Options()
//	tracer := tracing.New(options, log, counts) // nil if the operator has named no collector
//	ctx, span := tracer.Request(r.Context(), r.Header, "GET", "/users/me")
//	defer span.End()
//
// Packages that do the work begin spans below that one, and need no tracer for it:
//
//	ctx, span := tracing.Start(ctx, "password hash")
//	defer span.End()
//
// The way through it: variables.go reads the standard variables, sampling.go decides which requests are recorded, queue.go holds
// ended spans, export.go sends them and otlp.go writes them; statement.go makes the spans of SQL statements.
//
// A span goes to another server, so nothing that a client sends is in one, apart from the ids of its trace. A Span takes no
// error, because its text may quote what a client sent.
package tracing

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// scope is the name of the instrumentation.
const scope = "sesame"

// Span measures one step. The zero Span records nothing.
type Span struct{ span trace.Span }

// Start begins a span below the one in ctx. Without one that is sampled, it returns ctx and the zero Span; that costs a look-up in
// the context, and no allocation. The new span goes where its parent goes: to the collector of this server, or to that of a
// program that mounts it and has begun a span of its own.
func Start(ctx context.Context, name string) (context.Context, Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.SpanContext().IsSampled() {
		return ctx, Span{}
	}
	return start(ctx, parent, name, trace.SpanKindInternal)
}

func start(ctx context.Context, parent trace.Span, name string, kind trace.SpanKind) (context.Context, Span) {
	ctx, span := parent.TracerProvider().Tracer(scope).Start(ctx, name, trace.WithSpanKind(kind))
	return ctx, Span{span}
}

// Set adds an attribute. The value must not be one that a client chooses.
func (s Span) Set(key, value string) {
	if s.span != nil {
		s.span.SetAttributes(attribute.String(key, value))
	}
}

// SetNumber is Set for a number.
func (s Span) SetNumber(key string, value int) {
	if s.span != nil {
		s.span.SetAttributes(attribute.Int(key, value))
	}
}

// Fail marks the span as failed. The kind of the failure must be one of a few texts of this program.
func (s Span) Fail(kind string) {
	if s.span != nil {
		s.span.SetStatus(codes.Error, "")
		s.span.SetAttributes(attribute.String("error.type", kind))
	}
}

// End ends the span. The SDK would record the value of a panic, which may quote what a client sent, if it were called by a
// defer statement itself; so this method is.
func (s Span) End() {
	if s.span != nil {
		s.span.End()
	}
}

// TraceID returns the id of the trace that ctx belongs to, or "".
func TraceID(ctx context.Context) string {
	if c := trace.SpanContextFromContext(ctx); c.HasTraceID() {
		return c.TraceID().String()
	}
	return ""
}

// Methods are those that RFC 9110 and RFC 5789 define. Any other is _OTHER, as OpenTelemetry has it: a client may invent methods.
var Methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodConnect,
	http.MethodOptions, http.MethodTrace,
}

// Tracer begins the spans of requests and of work in the background. A nil Tracer begins none.
type Tracer struct {
	tracer        trace.Tracer
	queue         *queue
	export        *exporter
	followCallers bool
	fixed         []attribute.KeyValue // of the span of each request
}

// Request begins the span of a request: below the one in ctx if there is one, or else in the trace of the caller, or else in a
// new trace. The route must be one of the server's, or "" for a request that has none.
func (t *Tracer) Request(ctx context.Context, h http.Header, method, route string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	if t.followCallers && !trace.SpanContextFromContext(ctx).IsValid() {
		if caller := Caller(h); caller.IsValid() {
			ctx = trace.ContextWithRemoteSpanContext(ctx, caller)
		}
	}
	name := method
	if !slices.Contains(Methods, method) { // as the semantic conventions have it
		name, method = "HTTP", "_OTHER"
	}
	attributes := append(make([]attribute.KeyValue, 0, len(t.fixed)+3), t.fixed...)
	attributes = append(attributes, attribute.String("http.request.method", method))
	if route != "" {
		name += " " + route
		attributes = append(attributes, attribute.String("http.route", route))
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attributes...))
	return ctx, Span{span}
}

// Answered records the status of the answer.
func (s Span) Answered(status int) {
	if s.span == nil {
		return
	}
	s.SetNumber("http.response.status_code", status)
	if status >= http.StatusInternalServerError {
		s.Fail(strconv.Itoa(status))
	}
}

// Background begins the first span of a new trace, for work that no request waits for.
func (t *Tracer) Background(ctx context.Context, name string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithNewRoot())
	return ctx, Span{span}
}

// Counts are functions that count spans, for metrics.
type Counts struct {
	Sent    func(spans int)
	Dropped func(reason string, spans int)
}

// Reasons why a span was dropped.
const (
	reasonQueue     = "queue_full"
	reasonCollector = "not_accepted"
)

// Reasons are the values of Counts.Dropped.
var Reasons = []string{reasonQueue, reasonCollector}

// New makes a Tracer that sends spans to the collector of the options; nil if they name none. Close it.
func New(o Options, address string, log *slog.Logger, counts Counts) *Tracer {
	if o.URL == "" {
		return nil
	}
	e := newExporter(o, version(), log, counts)
	q := newQueue(o, e, counts)
	// Events and links are not sent. The limits are for spans of programs that mount the server; those of the SDK come from variables.
	limits := sdk.SpanLimits{AttributeValueLengthLimit: 4096, AttributeCountLimit: 128}
	provider := sdk.NewTracerProvider(sdk.WithSampler(o.sampler()), sdk.WithSpanProcessor(q), sdk.WithRawSpanLimits(limits))
	return &Tracer{
		tracer: provider.Tracer(scope), queue: q, export: e,
		followCallers: o.FollowCallers, fixed: addressAttributes(address),
	}
}

// Close sends the spans that wait, for up to closeTime, and drops the others.
func (t *Tracer) Close() {
	if t != nil {
		t.queue.close(t.export.abort)
	}
}

// version is the version of the program that contains this package.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
