package apitest

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

const monitoring = "../../docs/monitoring/"

// rules of Prometheus, as far as the tests read them.
type alertRules struct {
	Groups []struct {
		Rules []struct {
			Alert, Expr string
			Labels      struct{ Severity string }
			Annotations struct{ Summary string }
		}
	}
}

func alerts(t *testing.T) (all alertRules) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, monitoring+"alerts.yml")), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// expressions are the queries of the dashboard and of the rules, by the name of their panel or alert.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, g := range alerts(t).Groups {
		for _, r := range g.Rules {
			all[r.Alert] = r.Expr
		}
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, monitoring+"dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		for i, target := range p.Targets {
			all[fmt.Sprintf("%s/%d", p.Title, i)] = target.Expr
		}
	}
	if len(all) < 30 {
		t.Fatalf("only %d expressions are found", len(all))
	}
	return all
}

var (
	metricName = regexp.MustCompile(`\b(?:sesame|http|process|go)_[a-z_]+\b`)
	selector   = regexp.MustCompile(`\b((?:sesame|http|process|go)_[a-z_]+)\{([^}]*)\}`)
	matcher    = regexp.MustCompile(`([a-z_]+)(=~|!~|!=|=)"([^"]*)"`)
)

// Every series and label that the dashboard and the rules name is one that the server serves, and every value that a rule
// selects is one of the label's. The dashboard shows every metric of Sesame.
func TestTheDashboardAndTheRulesNameWhatTheServerServes(t *testing.T) {
	t.Parallel()
	p := newPair(t, 1, time.Now().Add(time.Hour)) // with HTTPS, for the metric of the certificate
	s := start(t, sqliteURL(t), append(p.settings(), metered)...)
	s.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: p.pool}
	s.do(t, me(s.newcomer(t, "ann").AccessToken)).want(200)
	served := map[string]map[string][]string{} // the values of the labels of each metric
	for series := range s.metrics(t) {
		name, labels, _ := strings.Cut(series, "{")
		if served[name] == nil {
			served[name] = map[string][]string{"job": nil, "instance": nil} // which Prometheus adds
		}
		for _, l := range matcher.FindAllStringSubmatch(labels, -1) {
			served[name][l[1]] = append(served[name][l[1]], l[3])
		}
	}
	var used []string
	for where, expression := range expressions(t) {
		for _, name := range metricName.FindAllString(expression, -1) {
			if used = append(used, name); served[name] == nil && !isLabel(served, name) {
				t.Errorf("%s: the server does not serve %s", where, name)
			}
		}
		for _, m := range selector.FindAllStringSubmatch(expression, -1) {
			for _, l := range matcher.FindAllStringSubmatch(m[2], -1) {
				values, known := served[m[1]][l[1]]
				if !known {
					t.Errorf("%s: %s has no label %s", where, m[1], l[1])
				}
				if l[2] == "=" && l[3] != "$job" && l[1] != "job" && !slices.Contains(values, l[3]) {
					t.Errorf("%s: %s is never %q; it is one of %v", where, l[1], l[3], values)
				}
			}
		}
	}
	for name := range served {
		family := strings.TrimSuffix(strings.TrimSuffix(name, "_sum"), "_count")
		if strings.HasPrefix(name, "sesame_") && !slices.ContainsFunc(used, func(u string) bool { return u == name || strings.HasPrefix(u, family) }) {
			t.Errorf("neither the dashboard nor a rule has %s", name)
		}
	}
}

// isLabel reports whether some metric has a label of that name.
func isLabel(served map[string]map[string][]string, name string) bool {
	for _, labels := range served {
		if _, ok := labels[name]; ok {
			return true
		}
	}
	return false
}

// Every rule has a case in which it fires and one in which it does not.
func TestEveryRuleHasACase(t *testing.T) {
	t.Parallel()
	cases := read(t, monitoring+"alerts.test.yml")
	for _, g := range alerts(t).Groups {
		for _, r := range g.Rules {
			if !strings.Contains(cases, "- name: "+r.Alert+" fires\n") || !strings.Contains(cases, "- name: "+r.Alert+" does not fire\n") {
				t.Errorf("%s lacks a case", r.Alert)
			}
			if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels.Severity) || r.Annotations.Summary == "" {
				t.Errorf("%s has the severity %q and says %q", r.Alert, r.Labels.Severity, r.Annotations.Summary)
			}
		}
	}
}

// promtool runs Prometheus' own tool. Where it is not installed the test is skipped.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	tool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("SESAME_TEST_REQUIRE_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	c := exec.CommandContext(t.Context(), tool, args...)
	c.Dir, c.Stdin = monitoring, strings.NewReader(stdin)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err = c.Run(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, &out)
	}
}

func TestTheRulesPassPrometheusOwnTest(t *testing.T) {
	t.Parallel()
	promtool(t, "", "check", "rules", "--lint-fatal", "alerts.yml")
	promtool(t, "", "test", "rules", "alerts.test.yml")
}

func TestTheMetricsPassPrometheusOwnCheck(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t), metered)
	s.newcomer(t, "ann")
	_, text := fetch(t, s.metricsURL(t)+"/metrics")
	promtool(t, text, "check", "metrics")
}
