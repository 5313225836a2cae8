// Package telemetry keeps the metrics of a server and serves them in Prometheus' text format, on a listener of their own.
//
//	metrics := telemetry.NewRegistry()
//	logins := metrics.Counter("sesame_logins_total", "Logins.", telemetry.Label{Name: "outcome", Values: []string{"success", "failure"}})
//	logins.Add(1, "success")
//	err := telemetry.Serve(ctx, listener, metrics.Handler(false))
//
// It knows neither the operations nor the domain: package app declares what is measured, and the packages that do the
// work call functions that they are given.
//
// Every label declares all of its values. A value that is not declared is counted under the label's Other, so nothing
// that a client sends can add a series: a flood of invented paths or client ids would otherwise fill the memory of this
// server, and of the one that scrapes it.
package telemetry

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxLabels is how many labels a metric has at most.
const maxLabels = 3

// Label is the name of a label and every value that it may have.
type Label struct {
	Name   string
	Values []string
	Other  string // takes the place of every other value; "" leaves the label out
}

// Registry holds the metrics of one server. Declare them before it is used by several goroutines.
type Registry struct {
	families []*family
	scraped  []func(context.Context)
}

// NewRegistry makes an empty Registry.
func NewRegistry() *Registry { return &Registry{} }

// family holds the series of one name.
type family struct {
	name, help, kind string
	labels           []Label
	bounds           []time.Duration // of a histogram
	isSet            bool            // its numbers are set and not counted

	mu     sync.RWMutex
	series map[[maxLabels]string]*series
}

// series is one combination of values of labels.
type series struct {
	number  atomic.Uint64   // of a counter; of a gauge, the bits of a float64
	buckets []atomic.Uint64 // of a histogram: one for each bound, and the last for what is longer
	sum     atomic.Int64    // of a histogram, in nanoseconds
}

func (r *Registry) add(kind, name, help string, bounds []time.Duration, labels []Label) *family {
	if len(labels) > maxLabels || slices.ContainsFunc(r.families, func(f *family) bool { return f.name == name }) {
		panic("telemetry: " + name + " is declared twice, or has too many labels")
	}
	f := &family{name: name, help: help, kind: kind, labels: labels, bounds: bounds, series: map[[maxLabels]string]*series{}}
	r.families = append(r.families, f)
	return f
}

// find returns the series of values, which are those of the labels in their order.
func (f *family) find(values []string) *series {
	var key [maxLabels]string
	for i, l := range f.labels {
		if key[i] = l.Other; slices.Contains(l.Values, values[i]) {
			key[i] = values[i]
		}
	}
	f.mu.RLock()
	s := f.series[key]
	f.mu.RUnlock()
	if s != nil {
		return s
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if s = f.series[key]; s == nil {
		s = &series{}
		if f.kind == "histogram" {
			s.buckets = make([]atomic.Uint64, len(f.bounds)+1)
		}
		f.series[key] = s
	}
	return s
}

// Counter counts. A nil Counter counts nothing.
type Counter struct{ *family }

// Counter declares a counter. Each combination of the values of its labels begins at zero: the increase of a series that
// first appears with its first event would be unknown, and an alert would miss that event.
func (r *Registry) Counter(name, help string, labels ...Label) *Counter {
	c := &Counter{r.add("counter", name, help, nil, labels)}
	combine(labels, nil, func(values []string) { c.find(values) })
	return c
}

// combine calls f with each combination of the values of labels.
func combine(labels []Label, chosen []string, f func(values []string)) {
	if len(labels) == 0 {
		f(chosen)
		return
	}
	for _, value := range labels[0].Values {
		combine(labels[1:], append(chosen, value), f)
	}
}

// Add counts n more, under the values of the labels.
func (c *Counter) Add(n uint64, values ...string) {
	if c != nil {
		c.find(values).number.Add(n)
	}
}

// Gauge is a number that is set: what something is now, or a total that is counted elsewhere.
type Gauge struct{ *family }

// Gauge declares a gauge. A series appears when it is set.
func (r *Registry) Gauge(name, help string, labels ...Label) *Gauge {
	g := &Gauge{r.add("gauge", name, help, nil, labels)}
	g.isSet = true
	return g
}

// Total declares a counter whose value is set, because something else counts.
func (r *Registry) Total(name, help string, labels ...Label) *Gauge {
	g := r.Gauge(name, help, labels...)
	g.kind = "counter"
	return g
}

// Set sets the number, under the values of the labels.
func (g *Gauge) Set(n float64, values ...string) { g.find(values).number.Store(math.Float64bits(n)) }

// Unknown makes the number unknown (NaN): no alert compares with it.
func (g *Gauge) Unknown(values ...string) { g.Set(math.NaN(), values...) }

// Histogram counts durations by their length. A nil Histogram counts nothing.
type Histogram struct{ *family }

// DefaultBounds are the upper bounds of buckets that OpenTelemetry recommends for requests.
var DefaultBounds = []time.Duration{
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 75 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, 750 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 7500 * time.Millisecond, 10 * time.Second,
}

// Histogram declares a histogram of durations in seconds, with DefaultBounds. One without labels begins at zero;
// otherwise a series appears with its first duration.
func (r *Registry) Histogram(name, help string, labels ...Label) *Histogram {
	h := &Histogram{r.add("histogram", name, help, DefaultBounds, labels)}
	if len(labels) == 0 {
		h.find(nil)
	}
	return h
}

// Observe counts a duration, under the values of the labels.
func (h *Histogram) Observe(d time.Duration, values ...string) {
	if h == nil {
		return
	}
	s := h.find(values)
	i, _ := slices.BinarySearch(h.bounds, d)
	s.buckets[i].Add(1)
	s.sum.Add(int64(d))
}

// OnScrape adds a function that sets gauges before they are written. It must return soon after ctx ends.
func (r *Registry) OnScrape(f func(ctx context.Context)) { r.scraped = append(r.scraped, f) }
