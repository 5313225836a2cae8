package tracing

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	otel "go.opentelemetry.io/otel/sdk"

	"sesame/server/secret"
)

// Variable is a standard variable of OpenTelemetry.
type Variable struct{ Name, Value, Help string }

// signal is the part of the name that makes a variable one for traces alone. It overrides the one without.
const signal = "TRACES_"

// Variables are those that the server reads.
var Variables = []Variable{
	{"OTEL_EXPORTER_OTLP_ENDPOINT", "URL", "Collector that traces are sent to, such as http://localhost:4318; /v1/traces is added. (default: none; there are no traces)"},
	{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "URL", "The same, but the whole URL: nothing is added."},
	{"OTEL_EXPORTER_OTLP_HEADERS", "NAME=VALUE,…", "Headers for the collector, such as a key; in the encoding of URLs. OTEL_EXPORTER_OTLP_TRACES_HEADERS overrides it. (default: none)"},
	{"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "NAME=VALUE,…", ""},
	{"OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "The server sends JSON alone. OTEL_EXPORTER_OTLP_TRACES_PROTOCOL overrides it. (default: http/json)"},
	{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", ""},
	{"OTEL_EXPORTER_OTLP_TIMEOUT", "MILLISECONDS", "How long the server tries to send a batch of spans, 100 to 60000. OTEL_EXPORTER_OTLP_TRACES_TIMEOUT overrides it. (default: 10000)"},
	{"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "MILLISECONDS", ""},
	{"OTEL_EXPORTER_OTLP_COMPRESSION", "none|gzip", "Compression of what is sent. OTEL_EXPORTER_OTLP_TRACES_COMPRESSION overrides it. (default: none)"},
	{"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none|gzip", ""},
	{"OTEL_SERVICE_NAME", "NAME", "Name of the server in traces. (default: service.name in OTEL_RESOURCE_ATTRIBUTES, or else sesame)"},
	{"OTEL_RESOURCE_ATTRIBUTES", "NAME=VALUE,…", "Attributes of the server in traces, such as deployment.environment.name=production; in the encoding of URLs."},
	{"OTEL_TRACES_SAMPLER", "NAME", "Which requests are recorded: " + samplerNames + ". (default: " + defaultSampler + ")"},
	{"OTEL_TRACES_SAMPLER_ARG", "RATIO", "Part of the traces that a sampler of ratios selects, 0 to 1. (default: 1)"},
	{"OTEL_PROPAGATORS", "tracecontext|none", "Whether the server continues the trace of a caller that sends traceparent. baggage is accepted and has no effect. (default: tracecontext,baggage)"},
	{"OTEL_BSP_MAX_QUEUE_SIZE", "N", "How many spans may wait for the collector, 1 to 100000; further ones are dropped. (default: 2048)"},
	{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "N", "How many spans are sent at once, at most as many as may wait. (default: 512)"},
	{"OTEL_BSP_SCHEDULE_DELAY", "MILLISECONDS", "How long spans wait until a batch is full, 10 to 60000. (default: 5000)"},
	{"OTEL_TRACES_EXPORTER", "otlp|none", "none switches traces off, whatever the other variables are. (default: otlp)"},
	{"OTEL_SDK_DISABLED", "true|false", "true switches traces off, whatever the other variables are. (default: false)"},
}

// unsupported are variables that would change how the collector is reached, each without the part for traces.
var unsupported = map[string]string{
	"OTEL_EXPORTER_OTLP_CERTIFICATE":        "the server trusts the certificates of the system; name others with SSL_CERT_FILE",
	"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "the server has no certificate of its own; send a key with OTEL_EXPORTER_OTLP_HEADERS, or use a collector on this machine",
	"OTEL_EXPORTER_OTLP_CLIENT_KEY":         "the server has no certificate of its own; send a key with OTEL_EXPORTER_OTLP_HEADERS, or use a collector on this machine",
}

// Environment holds the variables as they are set. Headers may contain keys, so each is a secret.
type Environment map[string]secret.Text

// ReadVariables reads the variables that are set.
func ReadVariables(getenv func(string) string) Environment {
	e := Environment{}
	read := func(name string) {
		if value := strings.TrimSpace(getenv(name)); value != "" {
			e[name] = secret.New(value)
		}
	}
	for _, v := range Variables {
		read(v.Name)
	}
	for name := range unsupported {
		read(name)
		read(forTraces(name))
	}
	return e
}

// Print returns a variable's value as a person may see it. An address that the server does not use may contain a password or a key.
func (e Environment) Print(name string) (value string, ok bool) {
	text, ok := e[name]
	u, err := url.Parse(text.Reveal())
	if strings.HasSuffix(name, "_HEADERS") || strings.HasSuffix(name, "_ENDPOINT") && (err != nil || holdsMore(u)) {
		return text.String(), ok
	}
	return text.Reveal(), ok
}

// holdsMore reports whether a URL has parts in which keys are common.
func holdsMore(u *url.URL) bool { return u.User != nil || u.RawQuery != "" || u.Fragment != "" }

// Options are what the variables say. An empty URL is a server without traces.
type Options struct {
	URL           string
	Headers       map[string]secret.Text
	Timeout       time.Duration
	Gzip          bool
	ServiceName   string
	Resource      map[string]string
	Sampler       string
	Ratio         float64
	FollowCallers bool
	Queue, Batch  int
	Delay         time.Duration
}

// forTraces is the name of a variable for traces alone.
func forTraces(name string) string {
	const prefix = "OTEL_EXPORTER_OTLP_"
	if rest, ok := strings.CutPrefix(name, prefix); ok {
		return prefix + signal + rest
	}
	return name
}

// reader reads values, and collects an error for each that is invalid.
type reader struct {
	Environment
	faults []error
}

func (r *reader) fault(name, format string, args ...any) {
	r.faults = append(r.faults, fmt.Errorf("%s %s", name, fmt.Sprintf(format, args...)))
}

// get returns the value of a variable, and the name of the one that it comes from.
func (r *reader) get(name string) (value, from string) {
	for _, from := range []string{forTraces(name), name} {
		if text, ok := r.Environment[from]; ok {
			return text.Reveal(), from
		}
	}
	return "", name
}

func (r *reader) oneOf(name, standard string, allowed ...string) string {
	value, from := r.get(name)
	if value = cmp.Or(strings.ToLower(value), standard); !slices.Contains(allowed, value) {
		r.fault(from, "is %q; it must be %s", value, strings.Join(allowed, " or "))
	}
	return value
}

func (r *reader) number(name string, standard, low, high int) int {
	value, from := r.get(name)
	if value == "" {
		return standard
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < low || n > high {
		r.fault(from, "is %q; it must be a number from %d to %d", value, low, high)
	}
	return n
}

// Options reads the variables. The error names each that is invalid. A server that sends no traces ignores them, because they may be
// meant for other programs.
func (e Environment) Options() (Options, error) {
	r := &reader{Environment: e}
	o := Options{URL: r.endpoint()}
	if o.URL == "" && len(r.faults) == 0 {
		return Options{}, nil
	}
	if off := r.oneOf("OTEL_SDK_DISABLED", "false", "true", "false") == "true"; off || r.oneOf("OTEL_TRACES_EXPORTER", "otlp", "otlp", "none") == "none" {
		return Options{}, nil
	}
	r.checkProtocol()
	o.Headers = map[string]secret.Text{}
	headers, from := r.get("OTEL_EXPORTER_OTLP_HEADERS")
	for name, value := range r.pairs(from, headers, isHeader) {
		o.Headers[name] = secret.New(value)
	}
	o.Timeout = time.Duration(r.number("OTEL_EXPORTER_OTLP_TIMEOUT", 10_000, 100, 60_000)) * time.Millisecond
	o.Gzip = r.oneOf("OTEL_EXPORTER_OTLP_COMPRESSION", "none", "none", "gzip") == "gzip"
	o.ServiceName, _ = r.get("OTEL_SERVICE_NAME")
	resource, from := r.get("OTEL_RESOURCE_ATTRIBUTES")
	o.Resource = r.pairs(from, resource, isAttribute)
	o.Sampler = r.oneOf("OTEL_TRACES_SAMPLER", defaultSampler, alwaysOn, alwaysOff, traceIDRatio, parentAlwaysOn, parentAlwaysOff, parentRatio)
	o.Ratio = r.ratio()
	o.FollowCallers = r.propagators()
	o.Queue = r.number("OTEL_BSP_MAX_QUEUE_SIZE", 2048, 1, 100_000)
	o.Batch = r.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", min(512, o.Queue), 1, o.Queue)
	o.Delay = time.Duration(r.number("OTEL_BSP_SCHEDULE_DELAY", 5000, 10, 60_000)) * time.Millisecond
	return o, errors.Join(r.faults...)
}

// endpoint is the URL that traces are sent to.
func (r *reader) endpoint() string {
	value, from := r.get("OTEL_EXPORTER_OTLP_ENDPOINT")
	if value == "" {
		return ""
	}
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		r.fault(from, "must be a URL such as http://localhost:4318")
		return ""
	case holdsMore(u):
		r.fault(from, "must have no user, query or fragment; send a key with OTEL_EXPORTER_OTLP_HEADERS")
		return ""
	case from == "OTEL_EXPORTER_OTLP_ENDPOINT":
		u = u.JoinPath("v1/traces")
	}
	return u.String()
}

func (r *reader) checkProtocol() {
	if value, from := r.get("OTEL_EXPORTER_OTLP_PROTOCOL"); value != "" && value != "http/json" {
		r.fault(from, "is %q, and this server sends http/json alone; remove the variable or set it to http/json. "+
			"Collectors accept it where they accept http/protobuf, usually at port 4318; port 4317 is for grpc", value)
	}
	for name, reason := range unsupported {
		if value, from := r.get(name); value != "" {
			r.fault(from, "is set, and %s", reason)
		}
	}
}

func (r *reader) ratio() float64 {
	value, from := r.get("OTEL_TRACES_SAMPLER_ARG")
	if sampler, _ := r.get("OTEL_TRACES_SAMPLER"); value == "" || !strings.HasSuffix(strings.ToLower(sampler), traceIDRatio) {
		return 1 // no other sampler of the server uses it
	}
	ratio, err := strconv.ParseFloat(value, 64)
	if err != nil || !(ratio >= 0 && ratio <= 1) {
		r.fault(from, "is %q; it must be a number from 0 to 1, such as 0.05", value)
	}
	return ratio
}

// propagators reports whether the server continues the traces of callers.
func (r *reader) propagators() bool {
	value, from := r.get("OTEL_PROPAGATORS")
	follow := false
	for name := range strings.SplitSeq(cmp.Or(value, "tracecontext"), ",") {
		switch strings.TrimSpace(name) {
		case "tracecontext":
			follow = true
		case "baggage", "none":
		default:
			r.fault(from, "has %q; it must be tracecontext or none", name)
		}
	}
	return follow
}

// pairs reads NAME=VALUE,NAME=VALUE, in which the values are percent-encoded. It does not quote them, since they may be keys.
func (r *reader) pairs(variable, list string, isName func(string) bool) map[string]string {
	pairs := map[string]string{}
	for item := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(item) == "" {
			continue
		}
		name, value, ok := strings.Cut(item, "=")
		name = strings.TrimSpace(name)
		text, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || !isName(name) || err != nil || !utf8.ValidString(text) || strings.ContainsFunc(text, isControl) {
			r.fault(variable, "must be a list of NAME=VALUE with commas in between, in which the values are encoded as in URLs (%%20 for a space)")
			return nil
		}
		pairs[name] = text
	}
	return pairs
}

func isControl(c rune) bool { return c < ' ' || c == 0x7f }

// isHeader reports whether a text is the name of a header (RFC 9110 §5.1).
func isHeader(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(c rune) bool {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
	})
}

func isAttribute(name string) bool {
	return name != "" && utf8.ValidString(name) && !strings.ContainsFunc(name, isControl)
}

// resource are the attributes of the server, for the collector.
func (o *Options) resource(version string) []keyValue {
	all := map[string]string{
		"service.name": "sesame", "service.version": version, "service.instance.id": uuid.NewString(),
		"telemetry.sdk.name": "opentelemetry", "telemetry.sdk.language": "go", "telemetry.sdk.version": otel.Version(),
	}
	for name, value := range o.Resource {
		all[name] = value
	}
	if o.ServiceName != "" {
		all["service.name"] = o.ServiceName
	}
	var attributes []keyValue
	for name, value := range all {
		attributes = append(attributes, keyValue{name, text(value)})
	}
	slices.SortFunc(attributes, func(a, b keyValue) int { return strings.Compare(a.Key, b.Key) })
	return attributes
}
