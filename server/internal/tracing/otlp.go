package tracing

import (
	"encoding/json"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// The types are those of opentelemetry/proto/collector/trace/v1/trace_service.proto in the JSON encoding of OTLP: ids are in
// hexadecimal, 64-bit integers are strings, and enumerations are numbers.

type exportRequest struct {
	ResourceSpans []resourceSpans `json:"resourceSpans"`
}

type resourceSpans struct {
	Resource   resource     `json:"resource"`
	ScopeSpans []scopeSpans `json:"scopeSpans"`
}

type resource struct {
	Attributes []keyValue `json:"attributes"`
}

type scopeSpans struct {
	Scope struct {
		Name    string `json:"name"`
		Version string `json:"version,omitempty"`
	} `json:"scope"`
	Spans []spanJSON `json:"spans"`
}

type spanJSON struct {
	TraceID                string     `json:"traceId"`
	SpanID                 string     `json:"spanId"`
	ParentSpanID           string     `json:"parentSpanId,omitempty"`
	Flags                  uint32     `json:"flags"`
	Name                   string     `json:"name"`
	Kind                   int        `json:"kind"`
	Start                  string     `json:"startTimeUnixNano"`
	End                    string     `json:"endTimeUnixNano"`
	Attributes             []keyValue `json:"attributes,omitempty"`
	DroppedAttributesCount int        `json:"droppedAttributesCount,omitempty"`
	Status                 *status    `json:"status,omitempty"`
}

type status struct {
	Code int `json:"code"`
}

type keyValue struct {
	Key   string   `json:"key"`
	Value anyValue `json:"value"`
}

// anyValue has exactly one of its fields.
type anyValue struct {
	String *string  `json:"stringValue,omitempty"`
	Bool   *bool    `json:"boolValue,omitempty"`
	Int    string   `json:"intValue,omitempty"`
	Double *float64 `json:"doubleValue,omitempty"`
}

// Flags beside those of W3C Trace Context.
const (
	flagHasRemote = 1 << 8
	flagIsRemote  = 1 << 9
)

// statusCodeError is STATUS_CODE_ERROR; the number of the SDK is another.
const statusCodeError = 2

// encode writes spans as the body of an export. Only the spans of this package and of programs that mount the server are here;
// their events and links are left out, because the SDK and other packages put the texts of errors into events.
func encode(attributes []keyValue, spans []sdk.ReadOnlySpan) ([]byte, error) {
	var scopes []scopeSpans
	at := map[string]int{}
	for _, s := range spans {
		from := s.InstrumentationScope()
		i, ok := at[from.Name+"\x00"+from.Version]
		if !ok {
			i = len(scopes)
			at[from.Name+"\x00"+from.Version] = i
			added := scopeSpans{}
			added.Scope.Name, added.Scope.Version = from.Name, from.Version
			scopes = append(scopes, added)
		}
		scopes[i].Spans = append(scopes[i].Spans, encodeSpan(s))
	}
	return json.Marshal(exportRequest{[]resourceSpans{{resource{attributes}, scopes}}})
}

func encodeSpan(s sdk.ReadOnlySpan) spanJSON {
	c := s.SpanContext()
	span := spanJSON{
		TraceID: c.TraceID().String(), SpanID: c.SpanID().String(), Flags: uint32(c.TraceFlags()) | flagHasRemote,
		Name: s.Name(), Kind: int(s.SpanKind()), // whose numbers are those of OTLP
		Start:                  strconv.FormatInt(s.StartTime().UnixNano(), 10),
		End:                    strconv.FormatInt(s.EndTime().UnixNano(), 10),
		Attributes:             encodeAttributes(s.Attributes()),
		DroppedAttributesCount: s.DroppedAttributes(),
	}
	if parent := s.Parent(); parent.HasSpanID() {
		span.ParentSpanID = parent.SpanID().String()
		if parent.IsRemote() {
			span.Flags |= flagIsRemote
		}
	}
	if s.Status().Code == codes.Error {
		span.Status = &status{statusCodeError}
	}
	return span
}

func encodeAttributes(attributes []attribute.KeyValue) (all []keyValue) {
	for _, a := range attributes {
		all = append(all, keyValue{string(a.Key), encodeValue(a.Value)})
	}
	return all
}

// encodeValue writes lists, which only a program that mounts the server can add, as one text.
func encodeValue(v attribute.Value) anyValue {
	switch v.Type() {
	case attribute.BOOL:
		b := v.AsBool()
		return anyValue{Bool: &b}
	case attribute.INT64:
		return anyValue{Int: strconv.FormatInt(v.AsInt64(), 10)}
	case attribute.FLOAT64:
		if f := v.AsFloat64(); f-f == 0 { // JSON has neither NaN nor infinity
			return anyValue{Double: &f}
		}
	}
	return text(v.String())
}

func text(s string) anyValue { return anyValue{String: &s} }
