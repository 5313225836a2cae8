package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"sesame/server/internal/names"
)

// listing prints a list one item at a time: a table for people, or with --json one object, {"items": […]}. The fields of an item
// have the names of the HTTP API, and the headings are those names in capitals.
type listing struct {
	out   io.Writer
	table *tabwriter.Writer // nil for JSON
	count int
}

func (p *program) newListing(asJSON bool, headings ...string) *listing {
	l := &listing{out: p.Stdout}
	if !asJSON {
		l.table = newTable(p.Stdout)
		row(l.table, headings...)
	}
	return l
}

// add prints an item, whose cells are in the order of the headings.
func (l *listing) add(item any, cells ...string) error {
	l.count++
	if l.table != nil {
		row(l.table, cells...)
		if l.count%1000 == 0 {
			return l.table.Flush() // a table of a million accounts would otherwise stay in memory
		}
		return nil
	}
	text, err := json.Marshal(item)
	if err != nil {
		return err
	}
	separator := ","
	if l.count == 1 {
		separator = `{"items":[`
	}
	_, err = fmt.Fprintf(l.out, "%s\n%s", separator, text)
	return err
}

// end ends the list. beside are further members of the JSON object, or "".
func (l *listing) end(beside string) error {
	if l.table != nil {
		return l.table.Flush()
	}
	begin := "\n]"
	if l.count == 0 {
		begin = `{"items":[]`
	}
	_, err := fmt.Fprintf(l.out, "%s%s}\n", begin, beside)
	return err
}

// printOne prints a single thing: as a JSON object, or as lines of a name and a value.
func (p *program) printOne(asJSON bool, object any, lines ...[2]string) error {
	if asJSON {
		return json.NewEncoder(p.Stdout).Encode(object)
	}
	table := newTable(p.Stdout)
	for _, line := range lines {
		row(table, line[0], line[1])
	}
	return table.Flush()
}

func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

// row writes a row of a table. It escapes control characters, so that no cell can begin another row or column. An empty cell is a
// hyphen, so that every row has as many words as its columns need.
func row(table io.Writer, cells ...string) {
	for i, cell := range cells {
		cells[i] = cmp.Or(names.Visible(cell), "-")
	}
	fmt.Fprintln(table, strings.Join(cells, "\t"))
}

// moment is a time in a table; nil is none.
func moment(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Format(time.RFC3339)
}

func yesOrNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// orNil is a text as JSON, where the HTTP API has null for an empty one.
func orNil(text string) any {
	if text == "" {
		return nil
	}
	return text
}
