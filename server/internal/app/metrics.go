package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"sesame/server/internal/audit"
	"sesame/server/internal/certificates"
	"sesame/server/internal/cleanup"
	"sesame/server/internal/config"
	"sesame/server/internal/identity"
	"sesame/server/internal/logout"
	"sesame/server/internal/mailer"
	"sesame/server/internal/oauth"
	"sesame/server/internal/password"
	"sesame/server/internal/store"
	"sesame/server/internal/telemetry"
	"sesame/server/internal/tracing"
	"sesame/server/internal/webhook"
)

// Metrics are what the server counts and measures. They are counted whether or not they are served: it costs less than a
// microsecond a request.
//
// No label has a value that a client chooses: telemetry.Label declares all values.
type Metrics struct {
	registry *telemetry.Registry
	requests *telemetry.Histogram // nil until the routes are known

	logins, throttled, personal, tokens, events, mails, logouts, deliveries *telemetry.Counter
	hashWait                                                                *telemetry.Histogram
	hashRefused, eventsLost                                                 *telemetry.Counter
	cleanupRuns, cleanupRows, acmeAttempts                                  *telemetry.Counter
	cleanupSuccess                                                          *telemetry.Gauge
	spansSent, spansDropped                                                 *telemetry.Counter
}

func newMetrics() *Metrics {
	r := telemetry.NewRegistry()
	r.Process()
	return &Metrics{
		registry: r,
		logins: r.Counter("sesame_logins_total", "Logins with a password.",
			telemetry.Label{Name: "outcome", Values: identity.LoginOutcomes}),
		throttled: r.Counter("sesame_throttled_attempts_total", "Attempts that were refused because of earlier ones (429).",
			telemetry.Label{Name: "attempt", Values: identity.ThrottledAttempts}),
		personal: r.Counter("sesame_personal_token_uses_total", "Requests with a personal access token, and lookups of one.",
			telemetry.Label{Name: "outcome", Values: identity.PersonalTokenOutcomes}),
		tokens: r.Counter("sesame_tokens_issued_total", "Access tokens.", telemetry.Label{Name: "grant", Values: oauth.Grants}),
		events: r.Counter("sesame_events_total", "Events that this process recorded, as GET /events lists them.",
			telemetry.Label{Name: "kind", Values: texts(audit.Kinds)}),
		eventsLost: r.Counter("sesame_event_log_lost_lines_total", "Events that could not be written to SESAME_EVENT_LOG; the database has them."),
		mails:      r.Counter("sesame_mail_attempts_total", "Attempts to send a mail.", telemetry.Label{Name: "outcome", Values: mailer.Outcomes}),
		logouts: r.Counter("sesame_logout_token_attempts_total", "Attempts to send a logout token to a client.",
			telemetry.Label{Name: "outcome", Values: logout.Outcomes}),
		deliveries: r.Counter("sesame_webhook_attempts_total", "Attempts to deliver an event to a webhook.",
			telemetry.Label{Name: "outcome", Values: webhook.Outcomes}),

		hashWait:    r.Histogram("sesame_hash_queue_wait_seconds", "How long a password hash waited for a core."),
		hashRefused: r.Counter("sesame_hash_queue_refused_total", "Password hashes that found no room in the queue (503)."),

		acmeAttempts: r.Counter("sesame_acme_attempts_total", "Attempts to get a certificate from a certification authority.",
			telemetry.Label{Name: "outcome", Values: certificates.Outcomes}),

		cleanupRuns: r.Counter("sesame_cleanup_runs_total", "Runs of the cleanup.", telemetry.Label{Name: "outcome", Values: []string{"success", "failure"}}),
		cleanupRows: r.Counter("sesame_cleanup_deleted_rows_total", "Expired rows that the cleanup deleted.", telemetry.Label{Name: "table", Values: cleanup.Tables}),
		cleanupSuccess: r.Gauge("sesame_cleanup_last_success_timestamp_seconds",
			"When the cleanup last succeeded, or else when the server started, in seconds since 1970."),

		spansSent: r.Counter("sesame_trace_spans_sent_total", "Spans that the collector has accepted."),
		spansDropped: r.Counter("sesame_trace_spans_dropped_total", "Spans that found the queue full, or that the collector did not accept.",
			telemetry.Label{Name: "reason", Values: tracing.Reasons}),
	}
}

func texts[T ~string](values []T) []string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = string(v)
	}
	return all
}

// statusTexts are the statuses of HTTP by their numbers; "" for a number that is none.
var statusTexts = func() (texts [600]string) {
	for status := range texts {
		if http.StatusText(status) != "" {
			texts[status] = strconv.Itoa(status)
		}
	}
	return texts
}()

// SetRoutes declares the routes that Request counts by. A request for anything else has no route.
func (m *Metrics) SetRoutes(routes []string) {
	m.requests = m.registry.Histogram("http_server_request_duration_seconds", "Duration of HTTP requests.",
		telemetry.Label{Name: "http_request_method", Values: tracing.Methods, Other: "_OTHER"},
		telemetry.Label{Name: "http_route", Values: routes},
		telemetry.Label{Name: "http_response_status_code", Values: statusTexts[:]})
}

// Request counts a request.
func (m *Metrics) Request(method, route string, status int, took time.Duration) {
	if status < 0 || status >= len(statusTexts) {
		status = 0
	}
	m.requests.Observe(took, method, route, statusTexts[status])
}

func (m *Metrics) counts() identity.Counts {
	return identity.Counts{
		Login:         func(outcome string) { m.logins.Add(1, outcome) },
		Throttled:     func(what string) { m.throttled.Add(1, what) },
		PersonalToken: func(outcome string) { m.personal.Add(1, outcome) },
	}
}

func (m *Metrics) spans() tracing.Counts {
	return tracing.Counts{
		Sent:    func(spans int) { m.spansSent.Add(uint64(max(0, spans))) },
		Dropped: func(reason string, spans int) { m.spansDropped.Add(uint64(max(0, spans)), reason) },
	}
}

func (m *Metrics) watch() password.Watch {
	return password.Watch{
		Waited:  func(d time.Duration) { m.hashWait.Observe(d) },
		Refused: func() { m.hashRefused.Add(1) },
	}
}

func (m *Metrics) cleaned(now func() time.Time) func(error) {
	m.cleanupSuccess.Set(float64(now().Unix()))
	return func(err error) {
		if err != nil {
			m.cleanupRuns.Add(1, "failure")
			return
		}
		m.cleanupRuns.Add(1, "success")
		m.cleanupSuccess.Set(float64(now().Unix()))
	}
}

// readOnScrape declares the numbers that are read when somebody asks for them.
func (a *App) readOnScrape() {
	r := a.Metrics.registry
	waiting := r.Gauge("sesame_hash_queue_depth", "Password hashes that wait for a core.")
	running := r.Gauge("sesame_hash_running", "Password hashes that have a core.")
	keyAge := r.Gauge("sesame_signing_key_age_seconds", "How long the signing key has been signing.")
	r.Gauge("sesame_signing_key_rotation_seconds", "SESAME_KEY_ROTATION: the age at which a key is replaced; 0 for no schedule.").Set(a.KeyRotation.Seconds())
	r.OnScrape(func(context.Context) {
		w, n := a.hasher.Load()
		waiting.Set(float64(w))
		running.Set(float64(n))
		keyAge.Set(max(0, a.Now().Sub(a.Keys.List()[0].SignsFrom).Seconds()))
	})
	a.readQueue("sesame_mails_waiting", "sesame_oldest_waiting_mail_age_seconds", "Mails", a.DB.WaitingMails)
	a.readQueue("sesame_logout_tokens_waiting", "sesame_oldest_waiting_logout_token_age_seconds", "Logout tokens", a.DB.WaitingLogouts)
	a.readQueue("sesame_webhook_deliveries_waiting", "sesame_oldest_waiting_webhook_delivery_age_seconds", "Deliveries to webhooks that are not disabled", a.DB.WaitingDeliveries)
	a.readPools()
	a.readCertificate()
}

// readCertificate declares when the certificate expires. Without one, it has expired long ago, so that an alert fires.
func (a *App) readCertificate() {
	if a.expiry == nil {
		return
	}
	expires := a.Metrics.registry.Gauge("sesame_tls_certificate_expiry_timestamp_seconds", "When the certificate of the server expires, in seconds since 1970; 0 if there is none.")
	a.Metrics.registry.OnScrape(func(context.Context) {
		expires.Set(0)
		if expiry := a.expiry(); !expiry.IsZero() {
			expires.Set(float64(expiry.Unix()))
		}
	})
}

// readQueue declares the size of a queue in the database, and the age of its oldest entry, which read returns.
func (a *App) readQueue(size, age, what string, read func(context.Context) (n int64, since time.Time, err error)) {
	r := a.Metrics.registry
	waiting := r.Gauge(size, what+" in the database that are neither sent nor dropped; NaN if it cannot be read.")
	oldest := r.Gauge(age, "Age of the oldest of them; 0 if there is none.")
	r.OnScrape(func(ctx context.Context) {
		n, since, err := read(ctx)
		if err != nil {
			waiting.Unknown()
			oldest.Unknown()
			return
		}
		waiting.Set(float64(n))
		oldest.Set(0)
		if !since.IsZero() {
			oldest.Set(max(0, a.Now().Sub(since).Seconds()))
		}
	})
}

func (a *App) readPools() {
	r, pool := a.Metrics.registry, telemetry.Label{Name: "pool", Values: store.PoolNames}
	limit := r.Gauge("sesame_db_connections_max", "How many connections to the database there may be.", pool)
	open := r.Gauge("sesame_db_connections_open", "Connections to the database.", pool)
	used := r.Gauge("sesame_db_connections_in_use", "Connections that run a statement or a transaction.", pool)
	waits := r.Total("sesame_db_connection_waits_total", "How often a request waited for a connection.", pool)
	waited := r.Total("sesame_db_connection_wait_seconds_total", "How long requests waited for a connection, in seconds.", pool)
	r.OnScrape(func(context.Context) {
		for name, s := range a.DB.Pools() {
			limit.Set(float64(s.MaxOpenConnections), name)
			open.Set(float64(s.OpenConnections), name)
			used.Set(float64(s.InUse), name)
			waits.Set(float64(s.WaitCount), name)
			waited.Set(s.WaitDuration.Seconds(), name)
		}
	})
}

// ListenForMetrics listens at SESAME_METRICS_LISTEN; it returns nil where that is not set.
func ListenForMetrics(ctx context.Context, s config.Settings) (net.Listener, error) {
	if s.MetricsListen == "" {
		return nil, nil //nolint:nilnil // no listener is what the settings ask for
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.MetricsListen)
	if err != nil {
		return nil, fmt.Errorf("cannot serve metrics at %s; choose another address with %s: %w", s.MetricsListen, config.Variable("metrics-listen"), err)
	}
	return listener, nil
}

// serveMetrics answers until ctx ends.
func (a *App) serveMetrics(ctx context.Context) {
	a.readOnScrape()
	a.Log.Info("serving metrics", "address", "http://"+a.MetricsListener.Addr().String()+"/metrics", "profiles", a.MetricsLocal())
	a.workers.Go(func() { telemetry.Serve(ctx, a.MetricsListener, a.Metrics.registry.Handler(a.MetricsLocal()), a.Log) })
}
