package tracing

import (
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// callersPerSecond is how many requests per second are sampled because of what their callers sent. Anyone can send a traceparent
// that asks for it, or a trace id that a ratio selects; without the limit, a stranger could have each request recorded.
const callersPerSecond = 100

// The samplers of OTEL_TRACES_SAMPLER that the server has.
const (
	alwaysOn        = "always_on"
	alwaysOff       = "always_off"
	traceIDRatio    = "traceidratio"
	parentAlwaysOn  = "parentbased_always_on"
	parentAlwaysOff = "parentbased_always_off"
	parentRatio     = "parentbased_traceidratio"

	defaultSampler = parentAlwaysOn
	samplerNames   = alwaysOn + ", " + alwaysOff + ", " + traceIDRatio + ", " + parentAlwaysOn + ", " + parentAlwaysOff + " or " + parentRatio
)

// sampler makes the sampler of the options.
func (o *Options) sampler() sdk.Sampler {
	ratio := sdk.TraceIDRatioBased(o.Ratio)
	switch o.Sampler {
	case alwaysOn:
		return sdk.AlwaysSample()
	case alwaysOff:
		return sdk.NeverSample()
	case traceIDRatio:
		return o.limited(ratio)
	case parentAlwaysOff:
		return o.limited(sdk.ParentBased(sdk.NeverSample()))
	case parentRatio:
		return o.limited(sdk.ParentBased(ratio))
	}
	return sdk.ParentBased(sdk.AlwaysSample())
}

// limited bounds what callers decide, unless every request is sampled anyway.
func (o *Options) limited(s sdk.Sampler) sdk.Sampler {
	if o.Sampler != parentAlwaysOff && o.Ratio >= 1 {
		return s
	}
	return limitedSampler{s, rate.NewLimiter(callersPerSecond, callersPerSecond)}
}

type limitedSampler struct {
	sdk.Sampler
	callers *rate.Limiter
}

// ShouldSample implements Sampler.
func (l limitedSampler) ShouldSample(p sdk.SamplingParameters) sdk.SamplingResult {
	result := l.Sampler.ShouldSample(p)
	if result.Decision == sdk.RecordAndSample && trace.SpanContextFromContext(p.ParentContext).IsRemote() && !l.callers.Allow() {
		result.Decision = sdk.Drop
	}
	return result
}
