package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// figures are everything that a run has measured.
type figures struct {
	plan    plan
	cases   []*benchCase
	process process
	alike   enumeration
	busy    string // how many programs wanted a core when the run began
}

func (f figures) find(name string) *benchCase {
	for _, c := range f.cases {
		if c.name == name {
			return c
		}
	}
	return nil
}

// failed says that there were answers other than 200: such a run has measured something else.
func (f figures) failed() error {
	for _, c := range f.cases {
		if n := c.failures(); n > 0 {
			return fmt.Errorf("%s: %d answers were not 200\n%s", c.name, n, c.server.log())
		}
	}
	return nil
}

// tables is what both the terminal and the document show.
func (f figures) tables() string {
	return "## Requests\n\n" + f.requests() + "\n## Answered alike\n\n" + alikeTable("a login refused for", f.alike.logins) + "\n" +
		alikeTable("a login refused where all hashes are imported, for", f.alike.imported) + "\n" + mixedTable(f.alike.mixed) + "\n" +
		alikeTable("a reset asked for", f.alike.resets) + "\n## Aims\n\n" + f.aims()
}

func (f figures) requests() string {
	rows := [][]string{{"case", "CPU a request", "low to high", "times bare", "low to high", "p50", "p99", "requests/s", "failures"}}
	bare := f.find(caseBare)
	for _, c := range f.cases {
		cpu := c.each(round.cpuPerRequest)
		ratio, ratioSpread := "", ""
		if c.duration == bare.duration { // the cases that do not hash
			r := c.against(bare, round.cpuPerRequest)
			ratio, ratioSpread = fmt.Sprintf("%.2f", r.median), fmt.Sprintf("%.2f to %.2f", r.low, r.high)
		}
		latencies := c.latencies()
		rows = append(rows, []string{
			c.name, micro(cpu.median), micro(cpu.low) + " to " + micro(cpu.high), ratio, ratioSpread,
			milli(percentile(latencies, 0.50)), milli(percentile(latencies, 0.99)),
			fmt.Sprintf("%.0f", c.each(round.perSecond).median), fmt.Sprint(c.failures()),
		})
	}
	return table(rows)
}

// aim is one figure beside what it should be.
type aim struct {
	name  string
	value spread
	show  func(float64) string
	limit float64 // none if 0
	least bool    // whether the limit is the least and not the most
}

func (f figures) aims() string {
	const mib = 1 << 20
	login, hash, bare := f.find(caseLogin), f.find(caseHash), f.find(caseBare)
	times := func(v float64) string { return fmt.Sprintf("%.3f", v) }
	percent := func(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) }
	mebibytes := func(v float64) string { return fmt.Sprintf("%.1f MiB", v/mib) }
	all := []aim{
		{name: "CPU of GET /users/me, SQLite, over that of the bare handler", value: f.find(caseMeSQLite).against(bare, round.cpuPerRequest), show: times, limit: 2.3},
		{name: "CPU of a refresh, SQLite", value: f.find(caseRefreshSQLite).each(round.cpuPerRequest), show: micro, limit: 150},
		{name: "CPU of a login, over that of a bare hash", value: login.against(hash, round.cpuPerRequest), show: times, limit: 1.03},
		{name: "Logins, as a share of the bare hashes in the same time", value: login.against(hash, round.perSecond), show: percent, limit: 0.95, least: true},
		{name: "Medians of refused logins, apart", value: exactly(apart(f.alike.logins)), show: percent, limit: 0.05},
		{name: "Medians of refused logins where all hashes are imported, apart", value: exactly(apart(f.alike.imported)), show: percent, limit: 0.05},
		{name: "Slow refusals where half of the hashes are imported, apart", value: exactly(math.Abs(slowShare(f.alike.mixed[0]) - slowShare(f.alike.mixed[1]))), show: percent, limit: 0.15},
		{name: "Medians of resets asked for, apart", value: exactly(apart(f.alike.resets)), show: percent, limit: 0.05},
		{name: "Start to the first answer", value: f.process.start, show: func(v float64) string { return fmt.Sprintf("%.1f ms", v) }, limit: 40},
		{name: "Resident memory, idle", value: exactly(f.process.idle), show: mebibytes, limit: 24 * mib},
		{name: "Resident memory, peak while logging in", value: exactly(f.process.peak), show: mebibytes, limit: 90 * mib},
		{name: "Binary", value: exactly(f.process.binaryBytes), show: func(v float64) string { return fmt.Sprintf("%.1f MB", v/1e6) }, limit: 36e6},
	}
	if postgres := f.find(caseMePostgres); postgres != nil {
		me := aim{name: "CPU of GET /users/me, PostgreSQL, over that of the bare handler", value: postgres.against(bare, round.cpuPerRequest), show: times, limit: 4.5}
		all = slices.Insert(all, 1, me)
	}
	rows := [][]string{{"figure", "measured", "low to high", "aim", "met"}}
	for _, a := range all {
		rows = append(rows, a.row())
	}
	return table(rows)
}

func exactly[N int64 | float64](value N) spread {
	v := float64(value)
	return spread{median: v, low: v, high: v}
}

func (a aim) row() []string {
	relation, met := "at most ", a.value.median <= a.limit
	if a.least {
		relation, met = "at least ", a.value.median >= a.limit
	}
	between := ""
	if a.value.low != a.value.high {
		between = a.show(a.value.low) + " to " + a.show(a.value.high)
	}
	verdict := "no"
	if met {
		verdict = "yes"
	}
	return []string{a.name, a.show(a.value.median), between, relation + a.show(a.limit), verdict}
}

// micro shows microseconds, as milliseconds where there are many.
func micro(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%.2f ms", v/1000)
	}
	return fmt.Sprintf("%.1f µs", v)
}

func milli(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }

// table lays rows out as Markdown, the first as the head, in columns that a terminal shows straight.
func table(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			fmt.Fprintf(&text, "| %s%s ", cell, strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)))
		}
		text.WriteString("|\n")
		if n == 0 {
			for _, width := range widths {
				text.WriteString("|" + strings.Repeat("-", width+2))
			}
			text.WriteString("|\n")
		}
	}
	return text.String()
}
