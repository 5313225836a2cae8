package apitest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// collector takes traces as a collector of OpenTelemetry does, and fails the test for anything that is not in the JSON encoding of
// OTLP: fields that the protocol does not have, ids that are not in hexadecimal, 64-bit integers that are no strings.
type collector struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	requests []*http.Request // without their bodies
	bodies   []string        // uncompressed
	spans    []tracedSpan
	// instead answers in place of the collector if it returns true. It is called without the lock.
	instead http.HandlerFunc
}

type tracedSpan struct {
	TraceID, SpanID, Parent, Name, Scope string
	Kind, Status                         int
	Start, End                           int64
	Attributes, Resource                 map[string]any
}

func startCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{t: t}
	c.Server = httptest.NewServer(http.HandlerFunc(c.receive))
	t.Cleanup(c.Close)
	return c
}

// traced gives the settings of a server that sends its traces to a collector, all at its end.
func (c *collector) traced(more ...string) []string {
	return append([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.URL, "OTEL_BSP_SCHEDULE_DELAY=60000"}, more...)
}

func (c *collector) answerInstead(f http.HandlerFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.instead = f
}

func (c *collector) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil && r.Header.Get("Content-Encoding") == "gzip" {
		var plain *gzip.Reader
		if plain, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, err = io.ReadAll(plain)
		}
	}
	if err != nil {
		c.t.Errorf("the body of an export: %v", err)
	}
	c.mu.Lock()
	c.requests = append(c.requests, r)
	instead := c.instead
	c.mu.Unlock()
	if instead != nil {
		instead(w, r)
		return
	}
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
		c.t.Errorf("an export is %s with %s", r.Method, r.Header.Get("Content-Type"))
	}
	spans, err := decodeExport(body)
	if err != nil {
		c.t.Errorf("%v in %s", err, body)
	}
	c.mu.Lock()
	c.bodies, c.spans = append(c.bodies, string(body)), append(c.spans, spans...)
	c.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"partialSuccess":{}}`)
}

// received returns a copy of the spans.
func (c *collector) received() []tracedSpan {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

func (c *collector) everything() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprint(c.bodies)
}

// count returns how many requests have arrived.
func (c *collector) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.requests)
}

type jsonAttribute struct {
	Key   string
	Value struct {
		StringValue *string
		BoolValue   *bool
		IntValue    *string
		DoubleValue *float64
	}
}

type jsonExport struct {
	ResourceSpans []struct {
		Resource   struct{ Attributes []jsonAttribute }
		ScopeSpans []struct {
			Scope struct{ Name, Version string }
			Spans []struct {
				TraceID, SpanID, ParentSpanID, Name string
				Flags                               uint32
				Kind                                int
				StartTimeUnixNano, EndTimeUnixNano  string
				Attributes                          []jsonAttribute
				DroppedAttributesCount              uint32
				Status                              struct{ Code int }
			}
		}
	}
}

var (
	traceIDFormat = regexp.MustCompile(`^[0-9a-f]{32}$`)
	spanIDFormat  = regexp.MustCompile(`^[0-9a-f]{16}$`)
)

func decodeExport(body []byte) (spans []tracedSpan, err error) {
	var export jsonExport
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err = decoder.Decode(&export); err != nil {
		return nil, err
	}
	for _, r := range export.ResourceSpans {
		resource, err := decodeAttributes(r.Resource.Attributes)
		if err != nil {
			return nil, err
		}
		for _, s := range r.ScopeSpans {
			for _, j := range s.Spans {
				span := tracedSpan{
					TraceID: j.TraceID, SpanID: j.SpanID, Parent: j.ParentSpanID, Name: j.Name, Scope: s.Scope.Name, Kind: j.Kind, Status: j.Status.Code, Resource: resource,
				}
				var err1, err2, err3 error
				span.Start, err1 = strconv.ParseInt(j.StartTimeUnixNano, 10, 64)
				span.End, err2 = strconv.ParseInt(j.EndTimeUnixNano, 10, 64)
				span.Attributes, err3 = decodeAttributes(j.Attributes)
				if err1 != nil || err2 != nil || err3 != nil || !traceIDFormat.MatchString(j.TraceID) || !spanIDFormat.MatchString(j.SpanID) ||
					j.ParentSpanID != "" && !spanIDFormat.MatchString(j.ParentSpanID) || j.Kind < 1 || j.Kind > 5 || span.Start > span.End || j.Name == "" {
					return nil, fmt.Errorf("%v %v %v, or an invalid id, kind or time in %+v", err1, err2, err3, j)
				}
				spans = append(spans, span)
			}
		}
	}
	return spans, nil
}

func decodeAttributes(list []jsonAttribute) (map[string]any, error) {
	all := map[string]any{}
	for _, a := range list {
		if _, ok := all[a.Key]; ok || a.Key == "" {
			return nil, fmt.Errorf("the attribute %q is there twice, or has no name", a.Key)
		}
		switch v := a.Value; {
		case v.StringValue != nil:
			all[a.Key] = *v.StringValue
		case v.BoolValue != nil:
			all[a.Key] = *v.BoolValue
		case v.DoubleValue != nil:
			all[a.Key] = *v.DoubleValue
		case v.IntValue != nil:
			n, err := strconv.ParseInt(*v.IntValue, 10, 64)
			if err != nil {
				return nil, err
			}
			all[a.Key] = n
		default:
			return nil, fmt.Errorf("the attribute %q has no value", a.Key)
		}
	}
	return all, nil
}
