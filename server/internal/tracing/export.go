package tracing

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
)

const (
	// firstPause is the pause before the second attempt. Each pause is twice the last one, within the time limit of a batch.
	firstPause = 250 * time.Millisecond
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 64 << 10
	// maxRetryAfter bounds how long a collector may ask for.
	maxRetryAfter = time.Hour
)

// exporter sends batches to the collector, one after the other. It implements the SDK's SpanExporter.
type exporter struct {
	url        string
	headers    http.Header
	timeout    time.Duration // for a batch, with all attempts
	gzip       bool
	client     *http.Client
	attributes []keyValue
	log        *slog.Logger
	counts     Counts
	done       func(spans int) // called after each batch

	alive context.Context //nolint:containedctx // ends when abort is called
	abort context.CancelFunc

	notBefore time.Time // what the collector has asked for with Retry-After
	failing   bool      // whether the last batch was dropped, which the log has
}

func newExporter(o Options, version string, log *slog.Logger, counts Counts) *exporter {
	transport := &http.Transport{ // not the default one, which a program that mounts the server may have replaced
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 1, IdleConnTimeout: 2 * time.Minute, TLSHandshakeTimeout: o.Timeout,
	}
	e := &exporter{
		url: o.URL, headers: http.Header{}, timeout: o.Timeout, gzip: o.Gzip, attributes: o.resource(version), log: log, counts: counts,
		// A redirect would send the headers, which may hold a key, to another server.
		client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	for name, value := range o.Headers {
		e.headers.Set(name, value.Reveal())
	}
	e.headers.Set("Content-Type", "application/json")
	e.headers.Set("User-Agent", "sesame/"+version)
	if o.Gzip {
		e.headers.Set("Content-Encoding", "gzip")
	}
	alive, abort := context.WithCancel(context.Background())
	e.alive, e.abort = alive, func() { abort(); transport.CloseIdleConnections() }
	return e
}

// ExportSpans implements SpanExporter. It returns no error: the SDK would write it to standard error.
func (e *exporter) ExportSpans(_ context.Context, spans []sdk.ReadOnlySpan) error {
	defer e.done(len(spans))
	rejected := 0
	body, err := encode(e.attributes, spans)
	if err == nil {
		rejected, err = e.send(body)
	}
	if err != nil {
		rejected = len(spans)
	}
	rejected = max(0, min(rejected, len(spans)))
	if rejected > 0 {
		e.counts.Dropped(reasonCollector, rejected)
	}
	e.counts.Sent(len(spans) - rejected)
	e.report(err)
	return nil
}

// Shutdown implements SpanExporter.
func (e *exporter) Shutdown(context.Context) error { return nil }

// report logs the first of several failures, and the end of them. A server that stops and cannot send the last spans logs that, too.
func (e *exporter) report(err error) {
	switch {
	case err != nil && !e.failing:
		e.log.Warn("sending traces failed; they are dropped until the collector accepts them", "collector", e.url, "error", err)
	case err == nil && e.failing:
		e.log.Info("the collector accepts traces again", "collector", e.url)
	}
	e.failing = err != nil
}

// retryable is a failure that may pass.
type retryable struct {
	error
	after time.Duration // Retry-After; 0 if the collector did not send it
}

// send sends one batch, several times if need be.
func (e *exporter) send(body []byte) (rejected int, err error) {
	if e.gzip {
		if body, err = compress(body); err != nil {
			return 0, err
		}
	}
	ctx, cancel := context.WithTimeout(e.alive, e.timeout)
	defer cancel()
	for pause := firstPause; ; pause *= 2 {
		if !sleep(ctx, time.Until(e.notBefore)) {
			return 0, errors.New("the collector has asked to wait (Retry-After)")
		}
		rejected, err = e.post(ctx, body)
		failed, ok := errors.AsType[retryable](err)
		if !ok {
			return rejected, err
		}
		if failed.after > 0 {
			e.notBefore = time.Now().Add(failed.after)
		}
		if !sleep(ctx, pause/2+rand.N(pause)) { //nolint:gosec // so that replicas do not try at once
			return 0, err
		}
	}
}

// sleep waits, and reports false if ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		<-ctx.Done() // the next batch would not be accepted either
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// post sends a batch once, and returns how many of its spans the collector has rejected.
func (e *exporter) post(ctx context.Context, body []byte) (rejected int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header = e.headers
	response, err := e.client.Do(r)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // without the address
		}
		return 0, retryable{err, 0}
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return 0, retryable{statusError(response.StatusCode), retryAfter(response.Header.Get("Retry-After"))}
	}
	switch {
	case response.StatusCode/100 != 2:
		return 0, statusError(response.StatusCode)
	case err != nil:
		return 0, retryable{err, 0}
	}
	return rejectedSpans(answer), nil
}

// statusError does not quote the answer, which may quote what was sent.
func statusError(status int) error {
	return fmt.Errorf("the collector answered with status %d", status)
}

func retryAfter(header string) time.Duration {
	seconds, err := strconv.ParseUint(header, 10, 32)
	if err != nil {
		when, err := http.ParseTime(header)
		if err != nil {
			return 0
		}
		return max(0, min(time.Until(when), maxRetryAfter))
	}
	return min(time.Duration(seconds)*time.Second, maxRetryAfter)
}

// rejectedSpans reads how many spans a collector has rejected although it answers with 200.
func rejectedSpans(answer []byte) int {
	var partial struct {
		PartialSuccess struct {
			RejectedSpans json.RawMessage `json:"rejectedSpans"` // a text or a number
		} `json:"partialSuccess"`
	}
	if json.Unmarshal(answer, &partial) != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.Trim(string(partial.PartialSuccess.RejectedSpans), `"`))
	return n
}

func compress(body []byte) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(body)
	err = errors.Join(err, w.Close())
	return b.Bytes(), err
}
