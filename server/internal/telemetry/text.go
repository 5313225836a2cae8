package telemetry

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Write writes all metrics in Prometheus' text format, sorted by name.
func (r *Registry) Write(ctx context.Context, to io.Writer) error {
	for _, f := range r.scraped {
		f(ctx)
	}
	w := bufio.NewWriter(to)
	families := slices.SortedFunc(slices.Values(r.families), func(a, b *family) int { return strings.Compare(a.name, b.name) })
	for _, f := range families {
		f.write(w)
	}
	return w.Flush()
}

func (f *family) write(w *bufio.Writer) {
	f.mu.RLock()
	all := maps.Clone(f.series)
	f.mu.RUnlock()
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", f.name, escapeHelp.Replace(f.help), f.name, f.kind)
	keys := slices.SortedFunc(maps.Keys(all), func(a, b [maxLabels]string) int { return slices.Compare(a[:], b[:]) })
	for _, key := range keys {
		s, labels := all[key], f.pairs(key)
		switch {
		case s.buckets != nil:
			f.writeBuckets(w, s, labels)
		case f.isSet:
			fmt.Fprintf(w, "%s%s %s\n", f.name, braces(labels), decimal(math.Float64frombits(s.number.Load())))
		default:
			fmt.Fprintf(w, "%s%s %d\n", f.name, braces(labels), s.number.Load())
		}
	}
}

// writeBuckets writes a histogram: how many durations there are up to each bound, how many in all, and their sum.
func (f *family) writeBuckets(w *bufio.Writer, s *series, labels string) {
	if labels != "" {
		labels += ","
	}
	count := uint64(0)
	for i := range s.buckets {
		bound := "+Inf"
		if i < len(f.bounds) {
			bound = decimal(f.bounds[i].Seconds())
		}
		count += s.buckets[i].Load()
		fmt.Fprintf(w, "%s_bucket{%sle=\"%s\"} %d\n", f.name, labels, bound, count)
	}
	labels = braces(strings.TrimSuffix(labels, ","))
	fmt.Fprintf(w, "%s_sum%s %s\n%s_count%s %d\n", f.name, labels, decimal(float64(s.sum.Load())/1e9), f.name, labels, count)
}

// pairs returns the labels of a series without braces. An empty value is the same as none.
func (f *family) pairs(key [maxLabels]string) string {
	var pairs []string
	for i, l := range f.labels {
		if key[i] != "" {
			pairs = append(pairs, l.Name+`="`+escapeLabel.Replace(key[i])+`"`)
		}
	}
	return strings.Join(pairs, ",")
}

func braces(labels string) string {
	if labels == "" {
		return ""
	}
	return "{" + labels + "}"
}

func decimal(n float64) string { return strconv.FormatFloat(n, 'g', -1, 64) }

var (
	escapeHelp  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	escapeLabel = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)
